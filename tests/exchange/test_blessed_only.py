"""Sets kept by the real client of a grid, whose servers show blessings that hold, and such that do not.

REQUIREMENTS B3, B8, B11, B17, note 6. docs/spec/authority.md.
"""

import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from commonhold.errors import HoldError, Kind
from commonhold.exchange.book import Book
from commonhold.exchange.finding import SetReader, find_inventory
from commonhold.exchange.keeping import Keeping
from commonhold.exchange.packing import NotKept
from commonhold.formats.blessing import INTRODUCER
from commonhold.formats.hint import TcpHint
from commonhold.formats.pin import GridId
from commonhold.grids.client import GridClient
from tests.exchange.attackers import MALLORY, altered, on_grid
from tests.exchange.grids import DAY, Grid, Server, now, revocations
from tests.exchange.members import KnownGrid, blessing
from tests.exchange.test_keeping import SECRET, SEED, blocks, nothing_told, wanted

HAVE = blocks(50, 100_000)
OTHER_GRID = GridId(b"g" * 32)
REVOKED = 5


@contextlib.asynccontextmanager
async def taking_part(there: Grid, path: Path) -> AsyncIterator[tuple[KnownGrid, GridClient, Keeping]]:
    """A member of this grid, its client, and what keeps sets there."""
    member, book = KnownGrid(path / "grid", there.servers), Book(path / "kept.sqlite")
    client = member.client()
    try:
        yield member, client, Keeping(client, book, there.tools, SECRET, now)
    finally:
        await client.close()
        book.close()


async def keep(keeping: Keeping, seed: bytes = SEED) -> None:
    await keeping.keep(wanted(HAVE, name=seed.hex(), seed=seed), HAVE.__getitem__, nothing_told)


async def read(there: Grid, client: GridClient) -> None:
    """All of it, from those who may be read from and are there."""
    servers, _ = await client.readers()
    reader = SetReader(await find_inventory(SEED, servers, there.tools), servers, there.tools)
    got = await reader.read(list(HAVE))
    assert {key: bytes(got[key]) for key in HAVE} == HAVE


# What a server shows, and what is said of it; the second server is another one.
STRANGERS: dict[str, Callable[[Server, Server], tuple[bytes, ...]]] = {
    "it shows no blessing": lambda one, other: (),
    "not signed by its key": lambda one, other: (altered(blessing(one)),),
    "by an unknown blesser": lambda one, other: (blessing(one, by=MALLORY),),
    "another server's": lambda one, other: (blessing(other),),
    "of another grid": lambda one, other: (blessing(one, grid=OTHER_GRID),),
    "for another purpose": lambda one, other: (blessing(one, purpose=INTRODUCER),),
}
LOST: dict[str, Callable[[Server], tuple[bytes, ...]]] = {
    "expired": lambda one: (blessing(one, not_after=now() - DAY // 2),),
    "revoked": lambda one: (blessing(one, serial=REVOKED),),
    "not yet valid": lambda one: (blessing(one, not_before=now() + DAY // 2),),
}


@pytest.mark.slow
@pytest.mark.parametrize("said", STRANGERS)
def test_nothing_is_put_at_a_server_that_no_blesser_who_counts_has_blessed_nor_is_it_dialled(
    tmp_path: Path, said: str
) -> None:
    """B3, B11."""

    async def work(there: Grid) -> None:
        stranger, other = there.servers[:2]
        async with taking_part(there, tmp_path) as (member, client, keeping):
            with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as trap:
                trap.setblocking(False)
                hints = {server.pin: server.hint for server in there.servers}
                member.reached(hints | {stranger.pin: TcpHint(*trap.getsockname())})
                member.shown({stranger.pin: STRANGERS[said](stranger, other)})
                assert said in client.verdicts()[stranger.pin].said
                await keep(keeping)
                await read(there, client)
                with pytest.raises(HoldError) as caught:
                    await client.open(stranger.pin)
                assert caught.value.kind is Kind.BLESSING and said in caught.value.why
                with pytest.raises(BlockingIOError):
                    trap.accept()
            assert [len(server.files) for server in there.servers] == [0, 2, 2, 2, 2, 2]

    on_grid(tmp_path, 6, work)


@pytest.mark.parametrize("said", LOST)
def test_where_a_blessing_is_lost_nothing_more_is_put_and_all_that_is_there_is_read(tmp_path: Path, said: str) -> None:
    """B3, B8, note 6: two of five lose theirs; with two others dead they have what it takes."""

    async def work(there: Grid) -> None:
        lost = there.servers[:2]
        async with taking_part(there, tmp_path) as (member, client, keeping):
            member.shown({})
            await keep(keeping)
            before = [server.files for server in there.servers]
            member.shown({server.pin: LOST[said](server) for server in lost})
            member.revoked.append(revocations(REVOKED, sequence=2))
            client.forget()
            with pytest.raises(NotKept) as caught:
                await keep(keeping, b"another set's seed, of 32 bytes.")
            for server in lost:
                (line,) = [line for line in caught.value.lines if str(server.pin) in line]
                assert said in line
            await there.kill(3)
            await there.kill(4)
            await read(there, client)
            assert [server.files for server in lost] == before[:2]

    on_grid(tmp_path, 5, work)


def test_whoever_withholds_revocation_lists_stops_uploads_and_no_reading(tmp_path: Path) -> None:
    """B8."""

    async def work(there: Grid) -> None:
        async with taking_part(there, tmp_path) as (member, client, keeping):
            member.shown({})
            await keep(keeping)
            member.revoked.clear()
            client.forget()
            with pytest.raises(NotKept) as caught:
                await keep(keeping, b"another set's seed, of 32 bytes.")
            assert "beside a stale revocation list" in caught.value.why
            await read(there, client)

    on_grid(tmp_path, 5, work)
