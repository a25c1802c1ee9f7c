"""What would be the same at all servers of a pack is made to differ. REQUIREMENTS D18; docs/spec/keeping.md."""

import asyncio
import os
import selectors
from collections.abc import AsyncIterator
from itertools import combinations
from pathlib import Path
from typing import Any, cast

import pytest

from commonhold.authority import times
from commonhold.erasure.spreading import Spreading
from commonhold.erasure.values import DEFAULT, PackSeed, Place, Salt
from commonhold.exchange.badge import Badge
from commonhold.exchange.book import Book
from commonhold.exchange.checking import look, mend, packs_of
from commonhold.exchange.finding import find_inventory
from commonhold.exchange.sending import Parcel, send
from commonhold.exchange.server import StorageServer
from commonhold.exchange.tending import LEASE
from commonhold.formats import entry, keys, statement, storagewords
from commonhold.formats.entry import Nonce
from commonhold.formats.keys import Seed
from commonhold.formats.pin import SpkiPin
from commonhold.formats.shareindex import ShareIndex
from commonhold.formats.statement import Kind as Said
from commonhold.grids.client import GridClient
from commonhold.grids.member import Member
from commonhold.transport.rules import Rules, Way
from tests.exchange.grids import GRID, Client, Grid, Server, now
from tests.exchange.members import KnownGrid
from tests.exchange.test_keeping import SEED, blocks, kept, on_grid

WEEK = 7 * 86_400


class Seen(StorageServer):
    """A server that notes what it is told: until when a share is to be kept, and what is read of which."""

    until: list[int]
    spans: list[tuple[ShareIndex, int, int]]

    async def begin(self, index: ShareIndex, size: int, until: int) -> int:
        self.until.append(until)
        return await super().begin(index, size, until)

    async def renew(self, indexes: Any, until: int) -> list[bool]:
        self.until.append(until)
        return await super().renew(indexes, until)

    async def read(self, index: ShareIndex, start: int, into: memoryview, copy: int = 0) -> None:
        self.spans.append((index, start, start + len(into)))
        await super().read(index, start, into, copy)


class Watched(Client):
    """A client all of whose servers are such."""

    def __init__(self, there: Grid) -> None:
        super().__init__(there.servers)
        self.until: dict[SpkiPin, list[int]] = {pin: [] for pin in self.known}
        self.spans: dict[SpkiPin, list[tuple[ShareIndex, int, int]]] = {pin: [] for pin in self.known}

    async def open(self, server: SpkiPin) -> StorageServer:
        found = Seen(await self.connection(server), self.badge(server), now)
        found.until, found.spans = self.until[server], self.spans[server]
        return found


def test_no_two_leases_end_at_one_moment_and_none_before_it_was_asked_for(tmp_path: Path) -> None:
    async def work(there: Grid, _: Client, book: Book) -> None:
        client, before = Watched(there), now()
        await kept(there, client, book, blocks(1, 1000))
        servers = await client.all()
        for one in packs_of(SEED, DEFAULT, await find_inventory(SEED, servers, there.tools)):
            health = await look(one, servers, deep=False, tools=there.tools)
            await mend(one, health, client, now() + LEASE, there.tools)  # all there is to do is to renew
        ends = [until for said in client.until.values() for until in said]
        assert len(ends) == 5 * 4 and len(set(ends)) == len(ends)
        assert all(before + LEASE <= until < now() + LEASE + WEEK for until in ends)
        assert max(ends) - min(ends) > WEEK // 4
        await client.close()

    on_grid(tmp_path, 5, work)


def test_the_last_segments_are_read_to_the_end_of_each_share(tmp_path: Path) -> None:
    """Where the pack ends is the same in all shares; where they end is not."""

    async def work(there: Grid, client: Client, book: Book) -> None:
        await kept(there, client, book, blocks(2, 1 << 20, 300_000))
        watched = Watched(there)
        servers = await watched.all()
        for one in packs_of(SEED, DEFAULT, await find_inventory(SEED, servers, there.tools)):
            await mend(one, await look(one, servers, deep=False, tools=there.tools), watched, now(), there.tools)
        ends = {pin: {stop for _, start, stop in spans if start} for pin, spans in watched.spans.items()}
        sizes = {server.pin: {path.stat().st_size for path in server.files} for server in there.servers}
        assert sum(map(bool, ends.values())) >= DEFAULT.k
        assert all(ends[pin] <= sizes[pin] for pin in ends)
        assert not any(ends[one] & ends[other] for one, other in combinations(ends, 2))
        await watched.close()

    on_grid(tmp_path, 5, work)


class Taking:
    """As much of a `StorageServer` as a share is sent to; `parts` are what is written at once."""

    def __init__(self, pin: SpkiPin) -> None:
        self.pin = pin
        self.parts: list[int] = []

    async def begin(self, index: ShareIndex, size: int, until: int) -> int:
        return 0

    async def append(self, index: ShareIndex, at: int, body: AsyncIterator[bytes], size: int) -> int:
        self.parts = [len(part) async for part in body]
        return sum(self.parts)

    async def finish(self, index: ShareIndex, sha256: bytes) -> None:
        pass


def test_a_share_is_written_in_parts_that_do_not_show_where_its_pieces_end(tmp_path: Path) -> None:
    async def work(there: Grid, client: Client, book: Book) -> None:
        seed, tools = PackSeed(b"p" * 32), there.tools
        places = [Place(SpkiPin(bytes([number]) * 32), Salt(bytes([number]) * 16)) for number in range(5)]
        spreading = Spreading(tools.code, seed, DEFAULT, [memoryview(bytes(3_000_001))], places)
        taking = [Taking(place.server) for place in places]
        parcels: Any = [Parcel(one, number, seed.index(one.pin), 0) for number, one in enumerate(taking)]  # type: ignore[arg-type]
        assert await send(spreading, parcels, tools.threads) == [None] * 5
        for one, share in zip(taking, spreading.shares, strict=True):
            *whole, last = one.parts
            assert set(whole) == {256 << 10} and 0 < last <= 256 << 10
            assert sum(one.parts) == share.length
        assert len({one.parts[-1] for one in taking}) == 5

    on_grid(tmp_path, 0, work)


def test_entries_of_one_moment_say_times_that_differ_and_that_a_door_takes() -> None:
    badge, moment = Badge(GRID, (), Seed(b"k" * 32)), 1_800_000_000
    said = set()
    for number in range(200):
        showing = badge.show(Nonce(number.to_bytes(32)), SpkiPin(b"s" * 32), SpkiPin(b"c" * 32), moment)
        said.add(entry.parse(statement.decode(Said.ENTRY, storagewords.decode_showing(showing.encoded).entry)).time)
    assert len(said) > 60
    assert moment - 60 <= min(said) < moment - 30 and moment + 30 < max(said) <= moment + 60
    assert times.SKEW > 2 * 60  # so a clock may be wrong by more than that, too


class Hurried(asyncio.SelectorEventLoop):
    """A loop in which nobody waits: time goes on at once to when something is due."""

    def __init__(self) -> None:
        super().__init__(_Jumping())

    def time(self) -> float:
        return cast(_Jumping, self._selector).now  # type: ignore[attr-defined]


class _Jumping(selectors.DefaultSelector):
    now = 0.0

    def select(self, timeout: float | None = None) -> Any:
        self.now += timeout or 0.0
        return super().select(0)


@pytest.mark.parametrize(
    ("rules", "least", "most"),
    [(Rules(anonymous=True), 5.0, 20.0), (Rules(tcp=Way.OFF), 0.0, 0.001)],
    ids=["anonymous", "known"],
)
def test_only_connections_of_who_is_anonymous_begin_apart(
    tmp_path: Path, rules: Rules, least: float, most: float
) -> None:
    """D20. The key of a connection is drawn when it begins; here it ends there, as the rules have no way."""
    servers = [Server(Seed(bytes([number]) * 32), tmp_path, *[cast(Any, None)] * 5) for number in range(1, 17)]
    member = KnownGrid(tmp_path / "grid", servers)
    member.reached({})
    member.rules = rules
    member.shown({})
    moments: list[float] = []

    async def work() -> None:
        def draw(count: int) -> bytes:
            if count == keys.LENGTH:
                moments.append(asyncio.get_running_loop().time())
            return os.urandom(count)

        found, failed = await GridClient(cast(Member, member), os.getuid(), now, draw).readers()
        assert not found and len(failed) == len(servers)

    with asyncio.Runner(loop_factory=Hurried) as runner:
        runner.run(work())
    assert len(moments) == len(servers)
    assert least <= max(moments) - min(moments) <= most
    assert not least or len(set(moments)) == len(moments)
