"""An agent looks after what its user keeps on grids: rounds over real books and servers, and the thread that makes
them."""

import asyncio
import contextlib
import os
import random
from pathlib import Path
from typing import cast

import pytest

from commonhold.agent.main import _serve
from commonhold.agent.rounds import rounds as rounds_of
from commonhold.agent.service import Service
from commonhold.agent.tending import Tending
from commonhold.erasure.values import DEFAULT, Shape
from commonhold.exchange.book import Book, KeptSet
from commonhold.exchange.keeping import Keeping
from commonhold.exchange.tending import LEASE, Care, State
from commonhold.grids.rounds import BOOK, REST, TURNS, Rounds, Setting
from commonhold.host import sidebyside
from tests.exchange.grids import DAY, Grid, now
from tests.exchange.test_keeping import SECRET, blocks, nothing_told, wanted
from tests.grids.members import Member, announced, home
from tests.transport.ends import run
from tests.waiting import until

HAVE = blocks(1, 50_000, 10)


async def no_wait(_seconds: float) -> None:
    pass


def rounds(path: Path) -> Rounds:
    return rounds_of(path, os.geteuid(), Setting(now, random.Random(1).random, os.urandom, no_wait))


def book_of(member: Member) -> Book:
    return Book(member.directory / BOOK)


async def keep(there: Grid, member: Member, days_ago: int, name: str = "tree", shape: Shape = DEFAULT) -> None:
    """Have something kept since some days."""
    client = there.client()
    with contextlib.closing(book_of(member)) as book:
        keeping = Keeping(client, book, there.tools, SECRET, lambda: now() - days_ago * DAY)
        await keeping.keep(wanted(HAVE, name, shape=shape), HAVE.__getitem__, nothing_told)
    await client.close()


def seen(member: Member, name: str = "tree") -> tuple[KeptSet, Care]:
    with contextlib.closing(book_of(member)) as book:
        return next(one for one in book.sets() if one.name == name), book.cares()[name]


def due(member: Member, name: str = "tree", deep: bool = False) -> None:
    """It is its turn."""
    with contextlib.closing(book_of(member)) as book:
        (kept,) = [one for one in book.sets() if one.name == name]
        book.put_care(kept, Care(now() - 10, now() - 10 if deep else now() + DAY))


def test_a_set_is_first_looked_at_within_a_day_and_then_its_leases_last_90_days_more(tmp_path: Path) -> None:
    async def work() -> None:
        async with home(tmp_path, 5) as (there, member):
            await keep(there, member, 60)
            assert 1 <= await rounds(tmp_path).once() <= REST
            kept, care = seen(member)
            assert now() <= care.next <= now() + DAY and care.looked is None
            due(member)
            assert await rounds(tmp_path).once() < 60
            after, care = seen(member)
            assert kept.until < now() + 31 * DAY and after.until >= now() + LEASE - 60
            assert care.state is State.WHOLE and care.looked is not None and care.next > now() + 17 * 3600
            assert await rounds(tmp_path).once() == REST

    run(work())


def test_who_waited_longest_is_visited_and_only_that_one(tmp_path: Path) -> None:
    async def work() -> None:
        async with home(tmp_path, 5) as (there, member):
            await keep(there, member, 1, "one")
            await keep(there, member, 1, "two")
            due(member, "two")
            with contextlib.closing(book_of(member)) as book:
                book.put_care(book.sets()[0], Care(now() - 5, now() + DAY))
            await rounds(tmp_path).once()
            assert seen(member, "one")[1].looked is None and seen(member, "two")[1].looked is not None
            await rounds(tmp_path).once()
            assert seen(member, "one")[1].looked is not None

    run(work())


def test_where_nobody_answers_it_is_tried_again_soon_and_said(tmp_path: Path) -> None:
    async def work() -> None:
        async with home(tmp_path, 5) as (there, member):
            await keep(there, member, 1)
            due(member)
            for number in range(5):
                await there.kill(number)
            await rounds(tmp_path).once()
            _, care = seen(member)
            assert care.failures == 1 and care.looked is None and "no server can be reached" in care.said
            assert now() + 400 <= care.next <= now() + 1400

    run(work())


def test_a_grid_whose_files_are_wrong_keeps_no_other_from_being_looked_after(tmp_path: Path) -> None:
    async def work() -> None:
        async with home(tmp_path, 5) as (there, member):
            await keep(there, member, 1)
            due(member)
            text = (member.directory / "grid.toml").read_text()
            (member.directory / "grid.toml").write_text("mode = 7")
            await rounds(tmp_path).once()
            assert seen(member)[1].failures == 1 and "grid.toml" in seen(member)[1].said
            (member.directory / "grid.toml").write_text(text)
            (member.directory / BOOK).write_bytes(b"no book")
            assert await rounds(tmp_path).once() == REST

    run(work())


def test_what_a_server_has_that_says_it_is_leaving_is_moved(tmp_path: Path) -> None:
    async def work() -> None:
        async with home(tmp_path, 6) as (there, member):
            await keep(there, member, 1)
            leaver = next(one for one in there.servers if one.files)
            member.show(*(announced(one, leaving=one is leaver) for one in there.servers))
            due(member)
            await rounds(tmp_path).once()
            assert seen(member)[1].state is State.WHOLE and not leaver.files
            assert [bool(one.files) for one in there.servers].count(True) == 5

    run(work())


class Busy:
    """Tending that is at work until it was asked so often."""

    def __init__(self, times: int) -> None:
        self.left = times

    @property
    def busy(self) -> bool:
        self.left -= 1
        return self.left > 0


class Alone:
    """A service that nobody has called for long."""

    idle = 3600.0


def test_an_agent_that_nobody_needs_ends_when_nothing_is_looked_after() -> None:
    told, other = os.pipe()
    tending = Busy(4)
    try:
        _serve(cast(Service, Alone()), cast(Tending, tending), [], told, 0.02)
    finally:
        os.close(told)
        os.close(other)
    assert tending.left == 0


def test_while_something_ends_nothing_is_mended(tmp_path: Path) -> None:
    async def work() -> None:
        async with home(tmp_path, 6) as (there, member):
            await keep(there, member, 1)
            due(member)
            for path in there.servers[0].files + there.servers[1].files:
                path.write_bytes(b"")
            with sidebyside.alone(member.directory / TURNS, 0):
                await rounds(tmp_path).once()
            assert seen(member)[1].state is State.READABLE
            due(member)
            await rounds(tmp_path).once()
            assert seen(member)[1].state is State.WHOLE

    run(work())


def test_what_was_ended_meanwhile_is_not_noted(tmp_path: Path) -> None:
    async def work() -> None:
        async with home(tmp_path, 5) as (there, member):
            await keep(there, member, 1)
            kept, _ = (await rounds(tmp_path).once(), seen(member))[1]
            with contextlib.closing(book_of(member)) as book:
                book.end_set("tree")
                book.put_care(kept, Care(1, 1), now() + LEASE)
                assert not book.cares() and not book.sets() and not book.has(kept)

    run(work())


_SECOND = "alter table set_packs drop column wanted; pragma user_version = 2;"


@pytest.mark.parametrize(
    "older", [_SECOND, f"{_SECOND} drop table cares; drop table servers; pragma user_version = 1;"]
)
def test_a_book_of_an_older_version_is_taken_over(tmp_path: Path, older: str) -> None:
    path = tmp_path / "kept.sqlite"
    with contextlib.closing(Book(path)) as book:
        book._db._db.executescript(older)
    with contextlib.closing(Book(path)) as book:
        kept = KeptSet("tree", b"s" * 32, 3, 5, 1, 2)
        book.put_set(kept, [])
        book.put_care(kept, Care(3, 4, 5, State.READABLE, "why", 6), 7)
        assert book.cares() == {"tree": Care(3, 4, 5, State.READABLE, "why", 6)} and book.sets()[0].until == 7


@pytest.mark.slow
def test_the_agent_s_thread_makes_them_and_ends_at_once_when_told(tmp_path: Path) -> None:
    def wait(member: Member) -> None:
        until(lambda: seen(member)[1].looked is not None, 0.02)

    async def work() -> None:
        async with home(tmp_path, 2) as (there, member):
            await keep(there, member, 1, shape=Shape(1, 2))
            due(member)
            with Tending(tmp_path, os.geteuid(), (0, 0)) as tending:
                while not tending.busy:
                    await asyncio.sleep(0.01)
            assert not tending.busy
            with Tending(tmp_path, os.geteuid(), (0, 0)):
                await asyncio.to_thread(wait, member)

    run(work())


def test_a_set_that_a_wrong_clock_put_off_is_visited_though_others_wait_for_their_turn(tmp_path: Path) -> None:
    async def work() -> None:
        async with home(tmp_path, 5) as (there, member):
            later = now() + 3650 * DAY
            for name in ("one", "other"):
                await keep(there, member, 1, name)
            with contextlib.closing(book_of(member)) as book:
                one, other = book.sets()
                book.put_care(one, Care(now() + DAY, now() + DAY))
                book.put_care(other, Care(later, now() + DAY), later)
            assert await rounds(tmp_path).once() < 60
            after, care = seen(member, "other")
            assert care.state is State.WHOLE and care.next < now() + 2 * DAY and after.until <= now() + LEASE

    run(work())
