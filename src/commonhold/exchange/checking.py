"""How a kept set is: which shares of each pack are where. And mended: what is missing goes to other servers.

By the set's seed alone: whoever may store for somebody can do it while they are away, and opens nothing.
docs/spec/keeping.md.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from commonhold.erasure.share import verify
from commonhold.erasure.values import PackSeed, Shape
from commonhold.errors import HoldError, Kind
from commonhold.exchange.finding import open_pack
from commonhold.exchange.locating import Holder, by_layout, locate
from commonhold.exchange.packing import Putting, Servers, Tools
from commonhold.exchange.server import StorageServer
from commonhold.formats.inventory import Inventory, Packed
from commonhold.formats.malformed import Malformed
from commonhold.formats.pin import SpkiPin


@dataclass(frozen=True, slots=True)
class Health:
    """How one pack is: the servers of each sound share; whose is damaged; and who has failed to say."""

    bytes: int
    shape: Shape
    shares: Mapping[int, tuple[SpkiPin, ...]]
    damaged: Mapping[SpkiPin, str] = field(default_factory=dict)
    failed: Mapping[SpkiPin, str] = field(default_factory=dict)

    @property
    def readable(self) -> bool:
        """Whether it can be read: k different shares are there."""
        return len(self.shares) >= self.shape.k

    @property
    def whole(self) -> bool:
        """Whether all n shares are there, each at a server of its own."""
        servers = {server for holders in self.shares.values() for server in holders}
        return len(self.shares) == self.shape.n and len(servers) >= self.shape.n


async def look(packed: Packed, servers: Sequence[StorageServer], *, deep: bool, tools: Tools) -> Health:
    """Look for a pack's shares. `deep`: have each server read its own again, and read all of each here."""
    found = await locate(PackSeed(packed.seed), servers)
    others = [(server.pin, error) for server, error in found.others if error is not None]
    damaged = {pin: error.why for pin, error in others if error.kind is Kind.CORRUPT}
    failed = {pin: error.why for pin, error in others if error.kind is not Kind.CORRUPT}
    shares: dict[int, list[SpkiPin]] = {}
    for layout, holders in by_layout(found.holders):
        for holder in holders:
            if layout.length != packed.length or layout.shape != Shape(packed.k, packed.n):
                damaged[holder.server.pin] = "it has a share of another pack there"
                continue
            why = await _damage(PackSeed(packed.seed), holder, tools) if deep else None
            if why is None:
                shares.setdefault(holder.share.number, []).append(holder.server.pin)
            else:
                damaged[holder.server.pin] = why
    sound = {number: tuple(pins) for number, pins in sorted(shares.items())}
    return Health(packed.length, Shape(packed.k, packed.n), sound, damaged, failed)


async def _damage(seed: PackSeed, holder: Holder, tools: Tools) -> str | None:
    """What is wrong with a share, all of which is read; None for nothing."""
    data = memoryview(bytearray(holder.share.length))
    try:
        await holder.server.read(holder.index, 0, data, holder.copy)
        await asyncio.get_running_loop().run_in_executor(tools.threads, verify, seed, holder.server.pin, data)
    except HoldError as error:
        return error.why
    except Malformed as error:
        return str(error)
    return None


def packs_of(seed: bytes, shape: Shape, found: Inventory) -> Iterable[Packed]:
    """All packs of a set: the inventory itself first."""
    yield Packed(seed, len(found.encoded), shape.k, shape.n, b"")
    yield from found.packs


async def mend(packed: Packed, health: Health, servers: Servers, until: int, tools: Tools) -> None:
    """Read a pack from who has it, and have every share that is missing or damaged kept. NOT_FOUND, NotKept.

    What is damaged and not ours to remove stays where it is: another server gets that share.
    """
    seed = PackSeed(packed.seed)
    sound = {pin for holders in health.shares.values() for pin in holders}
    opened = [await servers.open(pin) for pin in sound]
    source = await open_pack(packed, opened, tools)
    data = await source.read(0, packed.length)
    left = set()
    for pin in health.damaged:
        try:
            await (await servers.open(pin)).drop([seed.index(pin)])
        except HoldError:
            left.add(pin)
    await Putting(seed, health.shape, [memoryview(data)], tools).put(servers, until, left)
