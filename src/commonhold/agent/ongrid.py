"""This user's grids: sealed trees kept there, found again, checked and mended. Waits for what `exchange` does in a loop
of its own thread.

A set is known by its capability: whoever can verify a tree can find what keeps it. docs/spec/keeping.md.
"""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from commonhold.agent import unread
from commonhold.agent.beyond import GridSource
from commonhold.agent.blocks import Source
from commonhold.api import BlockStore
from commonhold.crypto.derive import derive
from commonhold.erasure.choosing import quickest
from commonhold.erasure.values import PackSeed, Shape
from commonhold.errors import HoldError, Kind
from commonhold.exchange.book import Book, KeptSet
from commonhold.exchange.checking import Health, look, packs_of
from commonhold.exchange.finding import SetReader, find_inventory
from commonhold.exchange.keeping import Keeping, Wanted, set_seed
from commonhold.exchange.packing import Tools
from commonhold.exchange.server import StorageServer
from commonhold.formats.capability import VerifyCapability
from commonhold.formats.inventory import Inventory
from commonhold.formats.multihash import Multihash
from commonhold.formats.pack import Entry
from commonhold.formats.pin import SpkiPin
from commonhold.formats.storagewords import Use
from commonhold.grids.client import GridClient, Member
from commonhold.host.looping import LoopThread

BOOK: Final = "kept.sqlite"
_PACKS: Final = b"commonhold packs of an account v1\0"
_THREADS: Final = 4


@dataclass(frozen=True, slots=True)
class SetHealth:
    """How a kept set is, pack by pack; the inventory is the first."""

    shape: Shape
    packs: tuple[Health, ...]

    @property
    def whole(self) -> bool:
        """Whether every share is where it should be."""
        return all(one.whole for one in self.packs)

    @property
    def readable(self) -> bool:
        """Whether all of it can be read."""
        return all(one.readable for one in self.packs)


class OnGrid:
    """One grid of this user's. Close it."""

    def __init__(self, member: Member, secret: bytes, owner: int, store: BlockStore) -> None:
        """`secret` is the account's, of which the seeds of packs are made."""
        self.name = member.name
        self._store = store
        self._secret = derive(secret, _PACKS)
        self._loop = LoopThread("hold-grid")
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="hold-pack")
        self._tools = Tools(quickest(), self._threads, os.urandom)
        self._client = GridClient(member, owner, _now, os.urandom)
        self._book = Book(member.directory / BOOK)

    def close(self) -> None:
        """Hang up on all servers."""
        self._loop.run(self._client.close())
        self._loop.close()
        self._threads.shutdown()
        self._book.close()

    # ── keeping ──

    def shape(self, wanted: Shape) -> tuple[Shape, str | None]:
        """The shape that this grid has servers for now, and what is to be said if it is not the one wanted."""
        count = sum(verdict.allowed for verdict in self._client.verdicts().values())
        if count >= wanted.n or not count:
            return wanted, None
        k = max(1, count * wanted.k // wanted.n)
        return Shape(k, count), f"{count} servers take shares now, so it is kept {k}-of-{count}, not {wanted}"

    def keep(
        self, name: str, capability: VerifyCapability, shape: Shape, told: Callable[[int, int], None]
    ) -> Inventory:
        """Have a sealed tree that is here kept. NotKept, and what the store says of what is missing."""
        entries = list(self._entries(capability))
        keeping = Keeping(self._client, self._book, self._tools, self._secret, _now)
        wanted = Wanted(name, set_seed(capability.key, capability), shape, entries)
        return self._loop.run(keeping.keep(wanted, self._store.get, told))

    def _entries(self, capability: VerifyCapability) -> Iterator[Entry]:
        """The tree's blocks, each once, parents first."""
        seen: set[Multihash] = set()
        for cid, data in unread.met(self._store, capability):
            key = cid.multihash
            if key not in seen:
                seen.add(key)
                yield Entry(key, self._store.size(key) if data is None else len(data))

    def sets(self) -> list[KeptSet]:
        """What this user keeps here."""
        return self._book.sets()

    # ── reading ──

    def source(self, capability: VerifyCapability) -> Source:
        """The blocks of a tree, from here as far as they are here, else from the grid."""
        return GridSource(self._store, lambda: self._open(capability))

    def _open(self, capability: VerifyCapability) -> "_Reading":
        servers = self._reachable()
        found = self._loop.run(find_inventory(set_seed(capability.key, capability), servers, self._tools))
        return _Reading(SetReader(found, servers, self._tools), self._loop)

    def _reachable(self) -> list[StorageServer]:
        servers, failed = self._loop.run(self._client.readers())
        if not servers:
            said = "; ".join(f"{pin}: {error.why}" for pin, error in failed.items()) or "none is known"
            raise HoldError("find", Kind.UNREACHABLE, f"servers of {self.name}", said, hint="hold servers")
        return servers

    # ── how it is ──

    def check(self, capability: VerifyCapability, *, deep: bool) -> SetHealth:
        """Look where the shares of a kept tree are. `deep`: read all of them. NOT_FOUND if it is not kept."""
        servers = self._reachable()
        return self._loop.run(self._check(capability, servers, deep))

    async def _check(self, capability: VerifyCapability, servers: Sequence[StorageServer], deep: bool) -> SetHealth:
        seed = set_seed(capability.key, capability)
        found = await find_inventory(seed, servers, self._tools)
        shape = await self._shape_of(seed, servers)
        packs = [await look(one, servers, deep=deep, tools=self._tools) for one in packs_of(seed, shape, found)]
        return SetHealth(shape, tuple(packs))

    async def _shape_of(self, seed: bytes, servers: Sequence[StorageServer]) -> Shape:
        from commonhold.exchange.locating import by_layout, locate

        found = await locate(PackSeed(seed), servers)
        return by_layout(found.holders)[0][0].shape

    def use(self) -> dict[SpkiPin, Use | HoldError]:
        """What the account uses and may use, server by server; or why that is not known."""
        return self._loop.run(self._use())

    async def _use(self) -> dict[SpkiPin, Use | HoldError]:
        found: dict[SpkiPin, Use | HoldError] = {}
        for pin in self._client.verdicts():
            try:
                found[pin] = await (await self._client.open(pin)).use()
            except HoldError as error:
                found[pin] = error
        return found


class _Reading:
    """A kept set, for code that waits: see `beyond.Beyond`."""

    def __init__(self, reader: SetReader, loop: LoopThread) -> None:
        self._reader = reader
        self._loop = loop
        self.has = reader.has
        self.size = reader.size

    def read(self, keys: Sequence[Multihash]) -> dict[Multihash, memoryview]:
        """See `beyond.Beyond`."""
        return self._loop.run(self._reader.read(keys))


def _now() -> int:
    return int(time.time())
