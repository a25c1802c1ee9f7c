"""How a kept set is: which shares of each pack are where. And mended: what is missing goes to other servers.

By the set's seed alone: whoever may store for somebody can do it while they are away, and opens nothing.
docs/spec/keeping.md.
"""

import asyncio
import contextlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from commonhold.erasure.layout import Layout
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
    """How one pack is: the servers of each sound share; whose is damaged; and who has failed to say.

    `leaving`: sound shares at servers that are leaving, which can be read, and do not count.
    """

    bytes: int
    shape: Shape
    shares: Mapping[int, tuple[SpkiPin, ...]]
    damaged: Mapping[SpkiPin, str] = field(default_factory=dict)
    failed: Mapping[SpkiPin, str] = field(default_factory=dict)
    leaving: Mapping[SpkiPin, int] = field(default_factory=dict)

    @property
    def readable(self) -> bool:
        """Whether it can be read: k different shares are there."""
        return len({*self.shares, *self.leaving.values()}) >= self.shape.k

    @property
    def placed(self) -> int:
        """How many shares are there, each at a server of its own that stays."""
        return min(len(self.shares), len({server for holders in self.shares.values() for server in holders}))

    @property
    def whole(self) -> bool:
        """Whether all n shares are there, each at a server of its own."""
        return self.placed >= self.shape.n

    def without(self, servers: Collection[SpkiPin]) -> "Health":
        """The same, but that what some servers have does not count."""
        some = {number: tuple(pin for pin in pins if pin not in servers) for number, pins in self.shares.items()}
        return replace(self, shares={number: pins for number, pins in some.items() if pins})


def together(parts: Sequence[Health]) -> Health:
    """How a pack is of which every server was asked by itself."""
    shares: dict[int, tuple[SpkiPin, ...]] = {}
    damaged: dict[SpkiPin, str] = {}
    failed: dict[SpkiPin, str] = {}
    leaving: dict[SpkiPin, int] = {}
    for one in parts:
        for number, pins in one.shares.items():
            shares[number] = shares.get(number, ()) + pins
        damaged |= one.damaged
        failed |= one.failed
        leaving |= one.leaving
    return Health(parts[0].bytes, parts[0].shape, dict(sorted(shares.items())), damaged, failed, leaving)


async def look(
    packed: Packed, servers: Sequence[StorageServer], *, deep: bool, tools: Tools, leaving: Collection[SpkiPin] = ()
) -> Health:
    """Look for a pack's shares. `deep`: read all of each here. `leaving`: servers that do not count."""
    found = await locate(PackSeed(packed.seed), servers, fits=lambda layout: _is_of(layout, packed))
    others = [(server.pin, error) for server, error in found.others if error is not None]
    damaged = {pin: error.why for pin, error in others if error.kind is Kind.CORRUPT}
    failed = {pin: error.why for pin, error in others if error.kind is not Kind.CORRUPT}
    shares: dict[int, list[SpkiPin]] = {}
    moving: dict[SpkiPin, int] = {}
    for layout, holders in by_layout(found.holders):
        for holder in holders:
            if not _is_of(layout, packed):
                damaged[holder.server.pin] = "it has a share of another pack there"
                continue
            try:
                why = await _damage(PackSeed(packed.seed), holder, tools) if deep else None
            except HoldError as error:
                failed[holder.server.pin] = error.why
                continue
            if why is None and holder.server.pin in leaving:
                moving[holder.server.pin] = holder.share.number
            elif why is None:
                shares.setdefault(holder.share.number, []).append(holder.server.pin)
            else:
                damaged[holder.server.pin] = why
    sound = {number: tuple(pins) for number, pins in sorted(shares.items())}
    return Health(packed.length, Shape(packed.k, packed.n), sound, damaged, failed, moving)


def _is_of(layout: Layout, packed: Packed) -> bool:
    return layout.length == packed.length and layout.shape == Shape(packed.k, packed.n)


async def _damage(seed: PackSeed, holder: Holder, tools: Tools) -> str | None:
    """What is wrong with a share, all of which is read; None for nothing. UNREACHABLE: a line that breaks is no damage,
    and what may be sound is not to be dropped."""
    data = memoryview(bytearray(holder.share.length))
    try:
        await holder.server.read(holder.index, 0, data, holder.copy)
        await asyncio.get_running_loop().run_in_executor(tools.threads, verify, seed, holder.server.pin, data)
    except HoldError as error:
        if error.kind is Kind.UNREACHABLE:
            raise
        return error.why
    except Malformed as error:
        return str(error)
    return None


def packs_of(seed: bytes, shape: Shape, found: Inventory) -> Iterable[Packed]:
    """All packs of a set: the inventory itself first."""
    yield Packed(seed, len(found.encoded), shape.k, shape.n, b"")
    yield from found.packs


async def mend(
    packed: Packed, health: Health, servers: Servers, until: int, tools: Tools, here: bytes | None = None
) -> None:
    """Read a pack from who has it, unless its bytes are `here`, and have every share that is missing or damaged kept.
    NOT_FOUND, NotKept.

    What is damaged and not ours to remove stays where it is: another server gets that share.
    """
    seed = PackSeed(packed.seed)
    data = await _read(packed, health, servers, tools) if here is None else here
    left = set()
    for pin in health.damaged:
        try:
            await (await servers.open(pin)).drop([seed.index(pin)])
        except HoldError:
            left.add(pin)
    await Putting(seed, health.shape, [memoryview(data)], tools).put(servers, until, left)


async def _read(packed: Packed, health: Health, servers: Servers, tools: Tools) -> bytes | bytearray | memoryview:
    """A pack, from those who have sound shares and can be reached now. NOT_FOUND."""
    there: list[StorageServer] = []
    for pin in {pin for holders in health.shares.values() for pin in holders} | {*health.leaving}:
        with contextlib.suppress(HoldError):
            there.append(await servers.open(pin))
    return await (await open_pack(packed, there, tools)).read(0, packed.length)


async def clear(packed: Packed, health: Health, servers: Servers) -> None:
    """Of a pack that is whole without them: have servers that are leaving drop their shares. It is well if they do not:
    whoever was told once is told again with the next look."""
    for pin in health.leaving:
        with contextlib.suppress(HoldError):
            await (await servers.open(pin)).drop([PackSeed(packed.seed).index(pin)])


def leaving_of(servers: Servers) -> frozenset[SpkiPin]:
    """Those whose shares are to be moved to others."""
    return frozenset(pin for pin, said in servers.verdicts().items() if said.leaving)
