"""A tender at work: who is away is served in a thread, and left alone from the moment that their agent is there."""

import asyncio
import contextlib
import time
from pathlib import Path

import pytest

from commonhold.erasure.values import Shape
from commonhold.exchange.book import Book
from commonhold.grids.rounds import BOOK, Rounds, Setting
from commonhold.tender.ward import Ward
from commonhold.tender.watch import Watch
from tests.exchange.grids import now
from tests.grids.members import home
from tests.tender.parties import ALICE, BOB, Clock, charge, due, keep, setting, silent, wards
from tests.transport.ends import run


def looked(ward: Ward) -> bool:
    with contextlib.closing(Book(ward.directory / BOOK)) as book:
        return any(one.looked is not None for one in book.cares().values())


async def until(said: object) -> None:
    """Wait for something to be so; the test's limit is that of `run`."""
    assert callable(said)
    while not said():
        await asyncio.sleep(0.02)


def hurried() -> Setting:
    """Somebody who looks who is away all the time."""
    quick = setting(Clock())

    async def breath(_seconds: float) -> None:
        await asyncio.sleep(0.01)

    return Setting(quick.now, quick.draw, quick.randomness, breath)


def test_only_who_is_away_is_served(tmp_path: Path) -> None:
    async def work() -> None:
        async with home(tmp_path, 2) as (there, member):
            await keep(there, member, 1, shape=Shape(1, 2))
            tender = wards(tmp_path, Clock())
            own = {}
            for uid in (ALICE, BOB):
                tender.take(uid, charge(member, tender, uid).encoded)
                (own[uid],) = tender._of(uid)
                due(own[uid])
            silent(tmp_path, ALICE)
            watching = asyncio.create_task(Watch(tender, hurried(), time.monotonic, 0.01).run())
            await until(lambda: looked(own[ALICE]))
            watching.cancel()
            await asyncio.wait([watching])
            assert not looked(own[BOB])

    run(work())


def test_a_visit_ends_when_the_agent_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        async with home(tmp_path, 2) as (there, member):
            await keep(there, member, 1, shape=Shape(1, 2))
            tender = wards(tmp_path, Clock())
            tender.take(ALICE, charge(member, tender).encoded)
            silent(tmp_path, ALICE)
            begun: list[int] = []

            async def for_ever(_self: Rounds) -> float:
                begun.append(now())
                await asyncio.Event().wait()
                return 0.0

            monkeypatch.setattr(Rounds, "once", for_ever)
            watch = Watch(tender, hurried(), time.monotonic, 0.01)
            watching = asyncio.create_task(watch.run())
            await until(lambda: begun)
            tender.here(ALICE, charge(member, tender).grid)
            await watch.interrupt(ALICE)
            await until(lambda: not watch._under_way)
            await asyncio.sleep(0.1)
            assert len(begun) == 1
            watching.cancel()
            await asyncio.wait([watching])

    run(work())
