"""A pack kept: each share at a server of its own. What is there stays; where a server fails the next takes over.

Which server gets what is `authority.placing`'s to say. docs/spec/keeping.md.
"""

import asyncio
import contextlib
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Final, Protocol

from commonhold.authority import placing
from commonhold.authority.blessed import Verdict
from commonhold.authority.derived import Secret
from commonhold.authority.placing import Placed, TooFew
from commonhold.erasure.code import Code
from commonhold.erasure.layout import Layout
from commonhold.erasure.spreading import Spreading
from commonhold.erasure.values import SALT, PackSeed, Place, Salt, Shape
from commonhold.errors import HoldError, Kind
from commonhold.exchange.locating import by_layout, locate
from commonhold.exchange.sending import Parcel, Sent, nobody, send
from commonhold.exchange.server import StorageServer
from commonhold.formats.pin import SpkiPin

_FULL: Final = "hold quota says how much is used; hold keep --end lets something go"
_AWAY: Final = "hold doctor says who does not answer; fewer shares can be wanted in [keep] of its grid.toml"
_TRIES: Final = 2  # of one server, for one share: a connection may break
LONGER: Final = 7 * 86_400  # seconds: leases end at some moment within them, that no two servers see the same one


class Servers(Protocol):
    """The storage servers of a grid, as one client knows them."""

    def verdicts(self) -> Mapping[SpkiPin, Verdict]:
        """All that are known, and whether anything may be put there."""
        ...

    async def open(self, server: SpkiPin) -> StorageServer:
        """One of them, over a connection that is open. HoldError."""
        ...


class Opened:
    """Servers, each opened once for as long as its connection holds: one entry at a door does for many packs."""

    def __init__(self, servers: Servers) -> None:
        self._servers = servers
        self._there: dict[SpkiPin, StorageServer] = {}
        self._opening: dict[SpkiPin, asyncio.Lock] = {}

    def verdicts(self) -> Mapping[SpkiPin, Verdict]:
        """All that are known, and whether anything may be put there."""
        return self._servers.verdicts()

    async def open(self, server: SpkiPin) -> StorageServer:
        """One of them. HoldError."""
        async with self._opening.setdefault(server, asyncio.Lock()):
            there = self._there.get(server)
            if there is None or there.is_lost:
                there = self._there[server] = await self._servers.open(server)
            return there


async def opened(servers: Servers) -> list[StorageServer]:
    """All that can be reached now."""
    answers = await asyncio.gather(*map(servers.open, servers.verdicts()), return_exceptions=True)
    for answer in answers:
        if isinstance(answer, BaseException) and not isinstance(answer, HoldError):
            raise answer
    return [answer for answer in answers if isinstance(answer, StorageServer)]


@dataclass(frozen=True, slots=True)
class Tools:
    """What packs are made with. `randomness` gives so many random bytes."""

    code: Code
    threads: Executor
    randomness: Callable[[int], bytes]


def drawn_end(until: int, tools: Tools) -> int:
    """A moment, from then on, until which servers are asked to keep something; drawn for each call: D18."""
    return until + int.from_bytes(tools.randomness(4)) % LONGER


class NotKept(HoldError):
    """Too few servers took a share. `lines` says who did not, and why. QUOTA if it was that of all of them."""

    def __init__(self, found: TooFew, *, full: bool = False) -> None:
        kind = Kind.QUOTA if full else Kind.UNREACHABLE
        super().__init__("keep", kind, "pack", "; ".join(found.lines), hint=_FULL if full else _AWAY)
        self.lines = tuple(found.lines)


class Putting:
    """One pack on its way to its servers."""

    def __init__(
        self, seed: PackSeed, shape: Shape, pack: Sequence[memoryview], tools: Tools, told: Sent = nobody
    ) -> None:
        self._told = told
        self._seed = seed
        self._shape = shape
        self._pack = pack
        self._tools = tools
        self._verdicts: dict[SpkiPin, Verdict] = {}
        self._opened: dict[SpkiPin, StorageServer] = {}
        self._there: dict[SpkiPin, set[int]] = {}
        self._salts: dict[tuple[SpkiPin, int], Salt] = {}
        self._tries: dict[SpkiPin, int] = {}
        self._full: set[SpkiPin] = set()

    async def put(self, servers: Servers, until: int, without: Collection[SpkiPin] = ()) -> Mapping[int, SpkiPin]:
        """Have every share kept until a time in seconds since 1970 at least; where each is then. NotKept.

        What servers `without` have does not count, nor what those have that are leaving.
        """
        self._verdicts = {pin: said for pin, said in servers.verdicts().items() if pin not in without}
        await self._look(servers)
        while True:
            placed = placing.place(Secret(self._seed.raw), self._shape.n, self._shape.n, self._verdicts, self._there)
            if isinstance(placed, TooFew):
                raise NotKept(placed, full=bool(placed.refused) and self._full >= placed.refused.keys())
            if not placed.put:
                await self._renew(placed, until)
                return placed.kept
            await self._send(placed, servers, until)

    async def _look(self, servers: Servers) -> None:
        """See which shares are there."""
        staying = [server for server, said in self._verdicts.items() if not said.leaving]
        await asyncio.gather(*(self._open(server, servers) for server in staying))
        length = sum(map(len, self._pack))

        def fits(layout: Layout) -> bool:
            return layout.shape == self._shape and layout.length == length

        found = await locate(self._seed, list(self._opened.values()), fits=fits)
        for server, error in found.others:
            if error is not None:
                self._fail(server.pin, error)
        for layout, holders in by_layout(found.holders):
            if fits(layout):
                for holder in holders:
                    self._there.setdefault(holder.server.pin, set()).add(holder.share.number)

    async def _open(self, server: SpkiPin, servers: Servers) -> None:
        try:
            self._opened[server] = await servers.open(server)
        except HoldError as error:
            self._opened.pop(server, None)
            self._fail(server, error)

    def _fail(self, server: SpkiPin, error: HoldError) -> None:
        self._verdicts[server] = Verdict(False, f"{error.op}: {error.why}")
        if error.kind is Kind.QUOTA:
            self._full.add(server)

    async def _renew(self, placed: Placed, until: int) -> None:
        """Have those that were there before kept as long."""
        for number, server in placed.kept.items():
            if (server, number) not in self._salts and server in self._opened:
                with contextlib.suppress(HoldError):  # it may be another account's, or a server that takes nothing
                    await self._opened[server].renew([self._seed.index(server)], drawn_end(until, self._tools))

    async def _send(self, placed: Placed, servers: Servers, until: int) -> None:
        everywhere = {**placed.kept, **placed.put}
        places = [self._place(everywhere[number], number) for number in range(self._shape.n)]
        spreading = Spreading(self._tools.code, self._seed, self._shape, self._pack, places)
        parcels = [
            Parcel(self._opened[server], number, self._seed.index(server), drawn_end(until, self._tools))
            for number, server in placed.put.items()
        ]
        failures = await send(spreading, parcels, self._tools.threads, self._told)
        for parcel, failure in zip(parcels, failures, strict=True):
            server = parcel.server.pin
            if failure is None:
                self._there.setdefault(server, set()).add(parcel.number)
                continue
            self._tries[server] = self._tries.get(server, 0) + 1
            if self._tries[server] >= _TRIES:
                self._fail(server, failure)
            elif failure.kind is Kind.UNREACHABLE:
                await self._open(server, servers)
            elif failure.kind in (Kind.EXISTS, Kind.CORRUPT, Kind.CHANGED):
                await self._clear(parcel)
            elif failure.kind is not Kind.NOT_FOUND:  # its facet has ended before its time, or the upload: tried again
                self._fail(server, failure)

    async def _clear(self, parcel: Parcel) -> None:
        """Something else of ours is in a share's place, such as what another process did not finish: it goes."""
        try:
            await parcel.server.drop([parcel.index])
        except HoldError as error:
            self._fail(parcel.server.pin, error)

    def _place(self, server: SpkiPin, number: int) -> Place:
        """A share's place, with a salt that is the same when it is tried again: its bytes are, too."""
        salt = self._salts.get((server, number))
        if salt is None:
            salt = self._salts[server, number] = Salt(self._tools.randomness(SALT))
        return Place(server, salt)
