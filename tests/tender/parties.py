"""An agent's side and a tender's of one grid with real servers: what is kept is handed over, and its user goes away."""

import asyncio
import contextlib
import os
import random
import tempfile
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from commonhold.agent.charging import charge_of
from commonhold.erasure.values import DEFAULT, Shape
from commonhold.exchange.book import Book
from commonhold.exchange.keeping import Keeping
from commonhold.exchange.tending import Care
from commonhold.formats.charge import Charge
from commonhold.grids import membership
from commonhold.grids.rounds import BOOK, Rounds, Setting
from commonhold.host import disk
from commonhold.ipc import endpoint
from commonhold.tender.main import serve
from commonhold.tender.ward import Ward
from commonhold.tender.wards import AWAY, Wards
from tests.exchange.grids import DAY, Grid, now
from tests.exchange.test_keeping import SECRET, blocks, nothing_told, wanted
from tests.grids.members import Member

ALICE, BOB = 1001, 1002
HAVE = blocks(1, 50_000, 10)
LONG = 3 * DAY
assert LONG > AWAY + 12 * 3600


class Clock:
    """The tender's."""

    ahead = 0

    def __call__(self) -> int:
        return now() + self.ahead


async def no_wait(_seconds: float) -> None:
    pass


def setting(clock: Clock) -> Setting:
    return Setting(clock, random.Random(1).random, os.urandom, no_wait)


def wards(path: Path, clock: Clock) -> Wards:
    """A tender's state."""
    disk.make_directory(path / "tender", 0o700)
    return Wards(path / "tender", setting(clock))


async def keep(there: Grid, member: Member, days_ago: int, name: str = "tree", shape: Shape = DEFAULT) -> None:
    """Have something kept since some days."""
    client = there.client()
    with contextlib.closing(Book(member.directory / BOOK)) as book:
        keeping = Keeping(client, book, there.tools, SECRET, lambda: now() - days_ago * DAY)
        await keeping.keep(wanted(HAVE, name, shape=shape), HAVE.__getitem__, nothing_told)
    await client.close()


def charge(member: Member, to: Wards, uid: int = ALICE) -> Charge:
    """What an agent hands over."""
    of = membership.load(member.directory)
    made = charge_of(of, os.geteuid(), lambda grid, servers: to.keys(uid, grid, servers), now)
    assert made is not None
    return made


def silent(path: Path, uid: int) -> None:
    """A user's agent was heard last so long ago that its user is away."""
    for here in (path / "tender" / "wards" / str(uid)).glob("*/here"):
        here.write_text(str(now() - LONG))


def due(ward: Ward) -> None:
    """All its sets' turn has come."""
    with contextlib.closing(Book(ward.directory / BOOK)) as book:
        for kept in book.sets():
            book.put_care(kept, Care(1, 1 << 40))


async def round_of(ward: Ward, clock: Clock) -> None:
    await Rounds(lambda: [ward], setting(clock)).once()


@contextlib.asynccontextmanager
async def serving(there: Wards) -> AsyncIterator[Path]:
    """A tender at a socket."""
    stop = asyncio.Event()
    with tempfile.TemporaryDirectory(prefix="hold-") as short, ThreadPoolExecutor(2) as threads:
        path = Path(short) / "tender.sock"
        listening = [endpoint.listen(path, 0o600, 0o700)]
        task = asyncio.create_task(serve(there, setting(Clock()), listening, threads, {}, stop))
        try:
            yield path
        finally:
            stop.set()
            await task
