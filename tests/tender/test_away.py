"""Who is away is stood in for: a tender renews leases and mends, by warrants, on real servers over real connections."""

import contextlib
import os
from dataclasses import replace
from pathlib import Path

import pytest

from commonhold.agent.rounds import rounds
from commonhold.authority.derived import Secret
from commonhold.erasure.values import Shape
from commonhold.exchange.book import Book
from commonhold.exchange.tending import LEASE, Care, State
from commonhold.exchange.visiting import Kept
from commonhold.formats.hint import TcpHint
from commonhold.grids.rounds import BOOK
from commonhold.host import disk
from commonhold.tender.ward import Ward
from commonhold.transport.rules import Rules, Way
from tests.exchange.grids import DAY, Grid, now
from tests.exchange.test_keeping import read
from tests.grids.members import announced, closed, home
from tests.tender.parties import ALICE, HAVE, Clock, charge, due, keep, round_of, setting, silent, wards
from tests.transport.ends import run


def state(ward: Ward) -> tuple[State | None, int, str]:
    """Of the only set: how it is, until when its leases last, and what is said."""
    with contextlib.closing(Book(ward.directory / BOOK)) as book:
        (kept,) = book.sets()
        care = book.cares()[kept.name]
        return care.state, kept.until, care.said


def leases(there: Grid) -> list[int]:
    """Until when each share is kept, days from now."""
    return [(row.until - now()) // DAY for server in there.servers for row in server.ledger.ended(1 << 60, 1000)]


def test_while_its_user_is_away_a_set_is_mended_onto_another_server_and_its_leases_last(tmp_path: Path) -> None:
    async def work() -> None:
        clock = Clock()
        async with home(tmp_path, 6) as (there, member):
            await keep(there, member, 60)
            tender = wards(tmp_path, clock)
            handed = charge(member, tender)
            tender.take(ALICE, handed.encoded)
            assert not tender.away(ALICE)  # its agent has just spoken
            gone = next(number for number, one in enumerate(there.servers) if one.files)
            await there.kill(gone)
            silent(tmp_path, ALICE)
            (ward,) = tender.away(ALICE)
            with contextlib.closing(Book(ward.directory / BOOK)) as book:
                book.met([], [there.servers[gone].pin], now() - 4 * DAY)
            due(ward)
            await round_of(ward, clock)
            found, until, said = state(ward)
            assert (found, said) == (State.WHOLE, "") and until >= now() + LEASE - 60
            left = [one for number, one in enumerate(there.servers) if number != gone]
            assert all(one.files for one in left)
            await there.kill((gone + 1) % 6)
            client = there.client()
            await read(there, client, HAVE)
            await client.close()

    run(work())


def test_a_tender_has_no_key_of_its_ward_s_and_its_own_differs_at_each_server(tmp_path: Path) -> None:
    async def work() -> None:
        async with home(tmp_path, 3) as (there, member):
            await keep(there, member, 1, shape=Shape(1, 3))
            tender = wards(tmp_path, Clock())
            handed = charge(member, tender)
            account = (member.directory / "account.key").read_bytes().strip()
            assert account not in handed.encoded and bytes.fromhex(account.decode()) not in handed.encoded
            assert b"alice" not in handed.encoded and b"tree" not in handed.encoded
            keys = tender.keys(ALICE, handed.grid, [one.pin for one in there.servers])
            assert len(set(keys)) == 3 and all(sum(one.warrant.count(key) for one in handed.seats) == 1 for key in keys)
            assert set(keys).isdisjoint(tender.keys(ALICE + 1, handed.grid, [one.pin for one in there.servers]))

    run(work())


def test_all_packs_of_a_set_are_handed_over_the_inventory_first(tmp_path: Path) -> None:
    async def work() -> None:
        async with home(tmp_path, 5) as (there, member):
            await keep(there, member, 1)
            tender = wards(tmp_path, Clock())
            tender.take(ALICE, charge(member, tender).encoded)
            with contextlib.closing(Book(member.directory / BOOK)) as book:
                (kept,) = book.sets()
                own = Kept(tuple(book.packs(kept.name)), book.inventory(kept))
            (ward,) = tender._of(ALICE)
            with contextlib.closing(Book(ward.directory / BOOK)) as book:
                (noted,) = book.sets()
                theirs = ward.kept(book, noted)
            assert [(p.seed, p.length) for p in theirs.all] == [(p.seed, p.length) for p in own.all]
            assert noted.made == kept.made and noted.until == kept.until

    run(work())


def test_when_the_user_is_back_all_is_as_their_agent_would_have_it(tmp_path: Path) -> None:
    async def work() -> None:
        async with home(tmp_path, 6) as (there, member):
            await keep(there, member, 60)
            tender = wards(tmp_path, Clock())
            tender.take(ALICE, charge(member, tender).encoded)
            leaver = next(one for one in there.servers if one.files)
            member.show(*(announced(one, leaving=one is leaver) for one in there.servers))
            tender.take(ALICE, charge(member, tender).encoded)
            (ward,) = tender._of(ALICE)
            due(ward)
            await round_of(ward, Clock())
            assert state(ward)[0] is State.WHOLE
            assert leaver.files  # who comes by a warrant lets nothing go
            before = {one.pin: sorted(one.files) for one in there.servers if one is not leaver}
            with contextlib.closing(Book(member.directory / BOOK)) as book:
                book.put_care(book.sets()[0], Care(1, 1 << 40))
            await rounds(tmp_path, os.geteuid(), setting(Clock())).once()
            with contextlib.closing(Book(member.directory / BOOK)) as book:
                assert book.cares()["tree"].state is State.WHOLE
            assert {one.pin: sorted(one.files) for one in there.servers if one is not leaver} == before
            assert not leaver.files
            client = there.client()
            await read(there, client, HAVE)
            await client.close()

    run(work())


def test_where_its_warrant_is_for_somebody_else_it_neither_stores_nor_renews(tmp_path: Path) -> None:
    """A charge that was copied, and the state of a tender with another secret."""

    async def work() -> None:
        async with home(tmp_path, 5) as (there, member):
            await keep(there, member, 60)
            tender = wards(tmp_path, Clock())
            tender.take(ALICE, charge(member, tender).encoded)
            (ward,) = tender._of(ALICE)
            thief = replace(ward, secret=Secret(b"x" * 32))
            ends = leases(there)
            for path in there.servers[0].files:
                path.unlink()
            due(thief)
            await round_of(thief, Clock())
            assert max(leases(there)) <= max(ends) and state(thief)[0] is not State.WHOLE
            due(ward)
            await round_of(ward, Clock())
            assert state(ward)[0] is State.WHOLE and min(leases(there)) > max(ends)

    run(work())


def test_it_dials_as_its_ward_would_and_in_no_other_way(tmp_path: Path) -> None:
    async def work() -> None:
        proxy = TcpHint("127.0.0.1", closed())
        async with home(tmp_path, 5, rules=Rules(tcp=Way.TOR, tor=proxy)) as (there, member):
            await keep(there, member, 60)
            path = member.directory / "override.yaml"
            path.write_text(path.read_text().replace("    direct: true\n", ""))
            ends = leases(there)
            tender = wards(tmp_path, Clock())
            tender.take(ALICE, charge(member, tender).encoded)
            (ward,) = tender._of(ALICE)
            due(ward)
            await round_of(ward, Clock())
            assert state(ward)[0] is None and "no server can be reached" in state(ward)[2] and leases(there) == ends

    run(work())


def test_nobody_is_away_while_they_hand_something_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        clock = Clock()
        async with home(tmp_path, 5) as (there, member):
            await keep(there, member, 1)
            tender, replace_file = wards(tmp_path, clock), disk.replace_file
            handed = charge(member, tender)
            seen: list[list[Ward]] = []

            def written(path: str, data: bytes) -> None:
                replace_file(path, data)
                seen.append(tender.away(ALICE))

            monkeypatch.setattr(disk, "replace_file", written)
            tender.take(ALICE, handed.encoded)
            assert len(seen) > 3 and not any(seen)

    run(work())
