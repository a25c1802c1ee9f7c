"""A tender over its socket, as an agent calls it and as anybody could: each has their own wards, and nobody else's."""

import asyncio
import contextlib
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from commonhold.agent.handing import Handing
from commonhold.errors import HoldError, Kind
from commonhold.exchange.book import Book
from commonhold.exchange.tending import Care, State
from commonhold.formats.pin import GridId
from commonhold.grids.rounds import BOOK
from commonhold.ipc.tenderclient import Tender, digest
from tests.exchange.grids import DAY, GRID, now
from tests.grids.members import Member, home
from tests.tender.parties import ALICE, BOB, Clock, charge, keep, serving, wards
from tests.transport.ends import run


def called(path: Path, work: Callable[[Tender], Any]) -> Any:
    with contextlib.closing(Tender(path, os.geteuid())) as tender:
        return work(tender)


UNIX = "version: 1\n{}:\n  local:\n    hints: ['unix:/run/x']\n    direct: true\n"


def seen(member: Member) -> tuple[Care | None, int]:
    with contextlib.closing(Book(member.directory / BOOK)) as book:
        (kept,) = book.sets()
        return book.cares().get(kept.name), kept.until


def test_an_agent_hands_over_what_is_kept_and_learns_what_was_seen_meanwhile(tmp_path: Path) -> None:
    async def work() -> None:
        async with home(tmp_path, 5) as (there, member), serving(tender := wards(tmp_path, Clock())) as path:
            await keep(there, member, 1)
            handing = Handing(tmp_path, os.geteuid(), path, now)
            await asyncio.to_thread(handing.hand)
            assert tender.grids(os.geteuid()) == [GRID]
            (ward,) = tender._of(os.geteuid())
            with contextlib.closing(Book(ward.directory / BOOK)) as book:
                (kept,) = book.sets()
                book.put_care(
                    kept, Care(now() + 5, now() + DAY, now() - 10, State.READABLE, "one away"), now() + 400 * DAY
                )
            before = seen(member)[1]
            await asyncio.to_thread(handing.meet)
            care, until = seen(member)
            assert care is not None and care.state is State.READABLE and "tender" in care.said and "away" in care.said
            assert until == before  # what it says of leases is not relied on
            assert care.looked is not None and abs(care.looked - (now() - 10)) < 5

    run(work())


def test_it_is_handed_over_again_when_it_has_changed_and_not_before(tmp_path: Path) -> None:
    async def work() -> None:
        async with home(tmp_path, 5) as (there, member), serving(tender := wards(tmp_path, Clock())) as path:
            await keep(there, member, 1)
            uid = os.geteuid()
            handing = Handing(tmp_path, uid, path, now)
            await asyncio.to_thread(handing.hand)
            (ward,) = tender._of(uid)
            written = (ward.directory / "charge").stat().st_ino
            await asyncio.to_thread(handing.hand)
            assert (ward.directory / "charge").stat().st_ino == written
            await keep(there, member, 0, "other")
            await asyncio.to_thread(handing.hand)
            assert (ward.directory / "charge").stat().st_ino != written

    run(work())


@pytest.mark.parametrize("how", ["ended", "alone", "left"])
def test_what_is_not_to_be_looked_after_any_more_is_taken_back(tmp_path: Path, how: str) -> None:
    async def work() -> None:
        async with home(tmp_path, 5) as (there, member), serving(tender := wards(tmp_path, Clock())) as path:
            await keep(there, member, 1)
            uid = os.geteuid()
            handing = Handing(tmp_path, uid, path, now)
            await asyncio.to_thread(handing.hand)
            toml = member.directory / "grid.toml"
            if how == "ended":
                with contextlib.closing(Book(member.directory / BOOK)) as book:
                    book.end_set("tree")
            elif how == "alone":
                toml.write_text(toml.read_text().replace("alone = false", "alone = true"))
            else:
                toml.unlink()
            await asyncio.to_thread(handing.hand)
            assert tender.grids(uid) == [] and not list((tmp_path / "tender" / "wards" / str(uid)).iterdir())

    run(work())


def test_nobody_s_call_reaches_what_another_has_handed_over(tmp_path: Path) -> None:
    """Whose call it is the kernel says; here the socket's calls are all ours, and Bob's wards are beside."""

    async def work() -> None:
        async with home(tmp_path, 5) as (there, member), serving(tender := wards(tmp_path, Clock())) as path:
            await keep(there, member, 1)
            bobs = charge(member, tender, BOB)
            tender.take(BOB, bobs.encoded)

            def try_all(ours: Tender) -> None:
                assert ours.grids() == [] and ours.here(GRID) == (None, [])
                ours.drop(GRID)
                assert set(ours.keys(GRID, [one.server for one in bobs.seats])).isdisjoint(
                    tender.keys(BOB, GRID, [one.server for one in bobs.seats])
                )
                with pytest.raises(HoldError) as caught:  # what names Bob's keys is of no use to anybody else
                    ours.put(bobs)
                assert caught.value.kind is Kind.INVALID and "another holder" in caught.value.why

            await asyncio.to_thread(called, path, try_all)
            assert tender.grids(BOB) == [GRID] and tender.here(BOB, GRID)[0] == digest(bobs)
            assert tender.grids(os.geteuid()) == []

    run(work())


def test_what_is_no_charge_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    async def work() -> None:
        async with home(tmp_path, 2) as (there, member):
            await keep(there, member, 1, shape=_two())
            tender = wards(tmp_path, Clock())
            sound = charge(member, tender)
            text = sound.membership.decode()
            seat = sound.seats[0]
            wrong = {
                "it is over": replace(sound, until=now() - 1),
                "ends too late": replace(sound, until=now() + 500 * DAY),
                "another holder": replace(sound, seats=(replace(seat, warrant=sound.seats[1].warrant), sound.seats[1])),
                "statement": replace(sound, seats=(replace(seat, warrant=b"x"), sound.seats[1])),
                "another grid": replace(sound, grid=GridId(b"g" * 32)),
                "no TOML": replace(sound, membership=b"\xff"),
                "has an account": replace(
                    sound,
                    membership=text.replace('"none"', '"account"').replace('account = ""', 'account = "eve"').encode(),
                ),
                "a socket of this host": replace(
                    sound, membership=text.replace('tor = ""', 'tor = "unix:/run/x.sock"').encode()
                ),
                "socket of this host": replace(
                    sound,
                    override=UNIX.format(seat.server).encode(),
                ),
                "announcement": replace(sound, shown=(b"x",)),
                "revocations": replace(sound, lists=(b"x",)),
            }
            for why, one in wrong.items():
                with pytest.raises(HoldError) as caught:
                    tender.take(ALICE, one.encoded)
                assert caught.value.kind in (Kind.INVALID, Kind.USAGE), why
                assert not list((tmp_path / "tender" / "wards" / str(ALICE)).glob("*/charge")), why
            tender.take(ALICE, sound.encoded)

    run(work())


def test_a_user_has_so_many_grids_and_others_theirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        async with home(tmp_path, 2) as (there, member):
            await keep(there, member, 1, shape=_two())
            tender = wards(tmp_path, Clock())
            monkeypatch.setattr("commonhold.tender.wards.MAX_GRIDS", 1)
            (tmp_path / "tender" / "wards" / str(ALICE) / "gother").mkdir(parents=True)
            with pytest.raises(HoldError) as caught:
                tender.take(ALICE, charge(member, tender).encoded)
            assert caught.value.kind is Kind.QUOTA
            tender.take(BOB, charge(member, tender, BOB).encoded)

    run(work())


def test_a_charge_that_is_over_is_forgotten(tmp_path: Path) -> None:
    async def work() -> None:
        clock = Clock()
        async with home(tmp_path, 2) as (there, member):
            await keep(there, member, 1, shape=_two())
            tender = wards(tmp_path, clock)
            tender.take(ALICE, charge(member, tender).encoded)
            clock.ahead = 3 * DAY
            assert tender.away(ALICE) == [] and tender.grids(ALICE) == []

    run(work())


def _two() -> Any:
    from commonhold.erasure.values import Shape

    return Shape(1, 2)
