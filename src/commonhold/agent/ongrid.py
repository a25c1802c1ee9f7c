"""This user's grids: sealed trees kept there, found again, checked and mended. Waits for what `exchange` does in a loop
of its own thread.

A set is known by its capability: whoever can verify a tree can find what keeps it. docs/spec/keeping.md.
"""

import asyncio
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from commonhold.agent import unread
from commonhold.api import BlockStore
from commonhold.crypto.derive import derive
from commonhold.erasure.choosing import quickest
from commonhold.erasure.values import PackSeed, Shape
from commonhold.errors import HoldError, Kind
from commonhold.exchange.book import Book, KeptSet
from commonhold.exchange.checking import Health, clear, leaving_of, look, mend, packs_of
from commonhold.exchange.ending import Ended, end
from commonhold.exchange.finding import SetReader, find_inventory
from commonhold.exchange.keeping import Keeping, Wanted, set_seed
from commonhold.exchange.locating import by_layout, locate
from commonhold.exchange.packing import LONGER, Opened, Tools
from commonhold.exchange.renewing import renew
from commonhold.exchange.sending import Sent
from commonhold.exchange.server import StorageServer
from commonhold.exchange.tending import LEASE, Care, begun, looked, state_of
from commonhold.exchange.visiting import Kept
from commonhold.formats.capability import VerifyCapability
from commonhold.formats.inventory import Inventory, Packed
from commonhold.formats.multihash import Multihash
from commonhold.formats.pack import Entry
from commonhold.formats.storagewords import Use
from commonhold.grids import membership
from commonhold.grids.client import GridClient
from commonhold.grids.known import KnownServer
from commonhold.grids.member import Member
from commonhold.grids.membership import Membership
from commonhold.grids.rounds import BOOK, TURNS
from commonhold.host import sidebyside
from commonhold.host.looping import LoopThread

GONE: Final = LONGER + 7 * 86_400  # seconds after the end of its lease within which a share goes: what was drawn, grace
_PACKS: Final = b"commonhold packs of an account v1\0"
_THREADS: Final = 4
_TURN: Final = 60.0  # seconds that one waits for another


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

    def __init__(self, membership: Membership, owner: int, store: BlockStore) -> None:
        self.name = membership.name
        self.grid = membership.grid
        self._membership = membership
        self._store = store
        self._member = Member(membership, owner)
        self._loop = LoopThread("hold-grid")
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="hold-pack")
        self._tools = Tools(quickest(), self._threads, os.urandom)
        self._client = GridClient(self._member, owner, _now, os.urandom)
        self._book = Book(membership.directory / BOOK)
        self._turns = membership.directory / TURNS
        self._cancelled = False

    @staticmethod
    def load(directory: Path) -> Membership:
        """The membership that a grid's directory has."""
        return membership.load(directory)

    def cancel(self) -> None:
        """From another thread: what is at work here, and what comes, ends with CancelledError."""
        self._cancelled = True
        self._loop.cancel()

    def close(self) -> None:
        """Hang up on all servers."""
        self._loop.run(self._client.close())
        self._loop.close()
        self._threads.shutdown()
        self._book.close()
        self._member.close()

    # ── keeping ──

    def shape(self) -> tuple[Shape, str | None]:
        """The shape that this grid has servers for now, and what is to be said if it is not the one wanted."""
        keep = self._membership.keep
        wanted = Shape(keep.k, keep.n)
        count = self._uploads(now=False)
        if count < wanted.n:
            count = self._uploads(now=True)
        if count >= wanted.n or not count:
            return wanted, None
        found = Shape(max(1, count * wanted.k // wanted.n), count)
        there = "1 server takes" if count == 1 else f"{count} servers take"
        return found, f"{there} shares now, so it is kept {found}, not {wanted}"

    def _uploads(self, *, now: bool) -> int:
        """How many servers take shares, as far as is known; `now`: ask introducers again."""
        self._enrol(now=now)
        return sum(verdict.allowed for verdict in self._client.verdicts().values())

    def _enrol(self, *, now: bool = False) -> None:
        """Know the servers there are, and have a credential for each, as far as blessers give them now."""
        self._loop.run(self._client.refresh(now=now))
        blessed = [server.pin for server in self._client.known() if server.read.allowed]
        self._loop.run(self._member.enrol(blessed))
        self._client.forget()

    def keep(
        self,
        name: str,
        capability: VerifyCapability,
        shape: Shape,
        told: Callable[[int, int], None],
        sent: Sent,
        instead: frozenset[str] = frozenset(),
    ) -> Inventory:
        """Have a sealed tree that is here kept. NotKept, and what the store says of what is missing. `instead`: sets
        that end then."""
        entries = list(self._entries(capability))
        secret = derive(self._member.secret.raw, _PACKS)
        keeping = Keeping(self._client, self._book, self._tools, secret, _now, sent)
        wanted = Wanted(name, set_seed(capability.key, capability), shape, entries, instead)
        with sidebyside.beside(self._turns, _TURN):
            return self._loop.run(keeping.keep(wanted, self._store.get, told))

    def end(self, name: str) -> Ended:
        """Have servers let a set go, but for what others have of it, and forget it. BUSY while one is being kept."""
        self._enrol()
        pins = [one.pin for one in self._client.known() if one.read.allowed]
        with sidebyside.alone(self._turns, _TURN):
            seeds = [PackSeed(seed) for seed in self._book.alone(name)]
            found = self._loop.run(end(seeds, Opened(self._client), pins))
            self._book.end_set(name)
        return found

    def known(self) -> tuple[KnownServer, ...]:
        """Its servers."""
        return self._client.known()

    def _entries(self, capability: VerifyCapability) -> Iterator[Entry]:
        """The tree's blocks, each once, parents first."""
        seen: set[Multihash] = set()
        for cid, data in unread.met(self._store, capability):
            if self._cancelled:
                raise CancelledError
            key = cid.multihash
            if key not in seen:
                seen.add(key)
                yield Entry(key, self._store.size(key) if data is None else len(data))

    @property
    def directory(self) -> Path:
        """Where its files are."""
        return self._membership.directory

    def sets(self) -> list[KeptSet]:
        """What this user keeps here."""
        return self._book.sets()

    def keeps(self, capability: VerifyCapability) -> bool:
        """Whether a tree is kept here, as far as the book says or else servers do. UNREACHABLE."""
        seed = set_seed(capability.key, capability)
        if any(kept.seed == seed and kept.until > _now() for kept in self._book.sets()):
            return True
        try:
            self._loop.run(find_inventory(seed, self._reachable(), self._tools))
        except HoldError as error:
            if error.kind is not Kind.NOT_FOUND:
                raise
            return False
        return True

    def cares(self) -> dict[str, Care]:
        """How they are looked after, and how they were."""
        return self._book.cares()

    def packs(self, name: str) -> int:
        """How many packs a set has."""
        return len(list(self._book.packs(name)))

    # ── reading ──

    def reading(self, capability: VerifyCapability) -> "Reading":
        """A kept tree, to be read. NOT_FOUND if it is not kept here; UNREACHABLE."""
        servers = self._reachable()
        found = self._loop.run(find_inventory(set_seed(capability.key, capability), servers, self._tools))
        return Reading(SetReader(found, servers, self._tools), self._loop)

    def _reachable(self) -> list[StorageServer]:
        self._loop.run(self._client.refresh())
        servers, failed = self._loop.run(self._client.readers())
        if not servers:
            said = "; ".join(f"{pin}: {error.why}" for pin, error in failed.items()) or "none is known"
            raise HoldError("find", Kind.UNREACHABLE, f"servers of {self.name}", said, hint="hold servers")
        return servers

    # ── how it is ──

    def check(self, seed: bytes, *, deep: bool) -> SetHealth:
        """Look where the shares of a kept set are. `deep`: read all of them. NOT_FOUND if it is not kept."""
        found = self._loop.run(self._check(seed, self._reachable(), deep))
        self._note(seed, found, deep=deep)
        return found

    async def _check(self, seed: bytes, servers: Sequence[StorageServer], deep: bool) -> SetHealth:
        packs = await self._packs(seed, servers)
        leaving = leaving_of(self._client)
        looked = [await look(one, servers, deep=deep, tools=self._tools, leaving=leaving) for one in packs]
        return SetHealth(looked[0].shape, tuple(looked))

    def _note(self, seed: bytes, found: SetHealth, *, deep: bool, until: int | None = None) -> None:
        """Write down how a set is, if it is one of ours. The next visit, which mends, is when it was to be."""
        cares, now = self._book.cares(), _now()
        for kept in self._book.sets():
            if kept.seed == seed:
                care = cares.get(kept.name) or begun(now, _draw)
                said = (state_of(found.packs), "")
                self._book.put_care(kept, replace(looked(care, said, deep, now, _draw), next=care.next), until)

    def _own(self, seed: bytes) -> Kept | None:
        """What we keep of a set ourselves; of several names the newest."""
        own = [one for one in self._book.sets() if one.seed == seed]
        if not own:
            return None
        newest = max(own, key=lambda one: (one.made, one.name))
        return Kept(tuple(self._book.packs(newest.name)), self._book.inventory(newest))

    async def _packs(self, seed: bytes, servers: Sequence[StorageServer]) -> list[Packed]:
        """All packs of a set, the inventory first: as we keep it, or as whoever else does."""
        own = self._own(seed)
        if own is not None:
            return list(own.all)
        found = await find_inventory(seed, servers, self._tools)
        there = by_layout((await locate(PackSeed(seed), servers)).holders)
        return list(packs_of(seed, there[0][0].shape, found))

    def repair(self, seed: bytes, told: Callable[[int], None]) -> SetHealth:
        """Have what is missing or damaged made again, and leases renewed; how it is then."""
        self._enrol()
        servers = self._reachable()
        with sidebyside.beside(self._turns, _TURN):
            found, until = self._loop.run(self._repair(seed, servers, told))
        self._note(seed, found, deep=False, until=until if found.whole else None)
        return found

    async def _repair(
        self, seed: bytes, servers: Sequence[StorageServer], told: Callable[[int], None]
    ) -> tuple[SetHealth, int]:
        until, grid, own = _now() + LEASE, Opened(self._client), self._own(seed)
        leaving = leaving_of(grid)
        packs = await self._packs(seed, servers)
        await renew(packs, grid, [one.pin for one in servers], until, self._tools)
        for packed in packs:
            health = await look(packed, servers, deep=True, tools=self._tools, leaving=leaving)
            if not health.whole or health.damaged:
                here = own.bytes_of(packed) if own is not None else None
                await mend(packed, health, grid, until, self._tools, here)
            await clear(packed, health, grid)
            told(packed.length)
        return await self._check(seed, servers, deep=False), until

    def use(self) -> list[tuple[KnownServer, Use | HoldError]]:
        """What the account uses and may use, server by server; or why that is not known."""
        self._enrol()
        return self._loop.run(self._use())

    async def _use(self) -> list[tuple[KnownServer, Use | HoldError]]:
        async def ask(server: KnownServer) -> Use | HoldError:
            if self._member.badge(server.pin) is None:
                return HoldError(
                    "use", Kind.DENIED, server.name or str(server.pin), self._member.standing_at(server.pin)
                )
            try:
                return await (await self._client.open(server.pin)).use()
            except HoldError as error:
                return error

        known = self._client.known()
        return list(zip(known, await asyncio.gather(*map(ask, known)), strict=True))


class Reading:
    """A kept set, for code that waits: see `beyond.Beyond`."""

    def __init__(self, reader: SetReader, loop: LoopThread) -> None:
        self._reader = reader
        self._loop = loop
        self.has = reader.has
        self.size = reader.size

    def read(self, keys: Sequence[Multihash]) -> dict[Multihash, memoryview]:
        """See `beyond.Beyond`."""
        return self._loop.run(self._reader.read(keys))


def _draw() -> float:
    return int.from_bytes(os.urandom(4)) / 2**32


def _now() -> int:
    return int(time.time())
