"""A grid is made and served; servers and accounts enrol, and are renewed in time, without a restart of anybody."""

import asyncio
import contextlib
import dataclasses
import itertools
from pathlib import Path

import pytest

from commonhold.authority.blessed import Candidate, may_upload
from commonhold.authority.derived import client_seed
from commonhold.authority.entering import Admitted, Door, knock, may_enter
from commonhold.authority.nonces import Given
from commonhold.crypto import sign
from commonhold.errors import HoldError, Kind
from commonhold.formats import blessing as blessings
from commonhold.formats import credential
from commonhold.formats.blessing import STORAGE
from commonhold.formats.charter import Blesser, Charter, Quorum
from commonhold.formats.entry import Nonce
from commonhold.formats.hint import TcpHint
from commonhold.formats.pin import pin_of
from commonhold.formats.statement import Kind as Said
from commonhold.formats.statement import decode
from commonhold.grids import holder, membership
from commonhold.grids.accounts import AccountEnrolment
from commonhold.grids.hosts import ServerEnrolment
from commonhold.transport import listen
from tests.grids.blessers import (
    DAY,
    GIB,
    HOUR,
    NOW,
    Clock,
    Together,
    blessing,
    joined,
    make_home,
    pin,
    seed,
    server_joined,
)
from tests.transport.ends import run


def test_a_server_and_an_account_enrol_and_the_one_lets_the_other_in(tmp_path: Path) -> None:
    async def work() -> None:
        clock = Clock()
        async with blessing(tmp_path / "family", clock) as there:
            attic = server_joined(
                there.office.invite_server((STORAGE,), ("attic",), DAY), tmp_path / "attic", clock, seed(1)
            )
            alice = joined(there.office.invite_account("alice", GIB, DAY), tmp_path / "alice", clock, [pin(1)])
            await attic.once()
            await alice.once()
            found = may_upload(
                Candidate(pin(1), there.charter.grid, STORAGE, attic.blessings(STORAGE)),
                membership.load(tmp_path / "alice").trust, alice.lists, clock.now,
            )  # fmt: skip
            assert found.allowed and found.classes == {"attic"}, found.lines
            badge = alice.badge(pin(1))
            assert badge is not None and alice.badge(pin(2)) is None
            line = pin(9)
            showing = badge.show(Nonce(b"n" * 32), pin(1), line, clock.now)
            asked = knock(line, showing.credentials, showing.entry, showing.warrant)
            door = Door(pin(1), there.charter.grid, membership.load(tmp_path / "attic").door)
            entered = may_enter(door, asked, Given(Nonce(b"n" * 32), line, clock.now), attic.lists, clock.now)
            assert isinstance(entered, Admitted) and entered.quota == GIB
            attic.close()
            alice.close()

    run(work())


def test_an_account_has_its_name_before_it_knows_any_server(tmp_path: Path) -> None:
    async def work() -> None:
        clock = Clock()
        async with blessing(tmp_path / "family", clock) as there:
            alice = joined(there.office.invite_account("alice", GIB, DAY), tmp_path / "alice", clock)
            await alice.once()
            ledger, _ = there.office.state()
            assert ledger.accounts["alice"].quota == GIB and not ledger.invitations
            assert holder.ticket(tmp_path / "alice") is None
            assert alice.badge(pin_of(there.blesser.key)) is None  # which is of no use to anybody
            alice.close()

    run(work())


@pytest.mark.slow
def test_both_are_renewed_in_time_for_months_without_a_restart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever sleeps, this test too, does so by the same clock, which goes on when all of them do."""
    monkeypatch.setattr("commonhold.grids.enrolling.LONGEST_SECONDS", 6 * HOUR)

    async def work() -> None:
        clock = Together(3)
        async with blessing(tmp_path / "family", clock, list_hours=30 * 24) as there:  # few of them are heard
            attic = server_joined(there.office.invite_server((STORAGE,), (), DAY), tmp_path / "attic", clock, seed(1))
            alice = joined(there.office.invite_account("alice", GIB, DAY), tmp_path / "alice", clock, [pin(1), pin(2)])
            ends: list[int] = []
            tasks = [asyncio.create_task(one.run()) for one in (attic, alice)]
            while clock.now < NOW + 120 * DAY:
                await clock.sleep(6 * HOUR)
                if (clock.now - NOW) % DAY < 6 * HOUR:
                    there.office.sign_list()
                if alice.badge(pin(1)) and alice.badge(pin(2)) and attic.blessings(STORAGE):
                    until = [_until(alice, 1), _until(alice, 2), _blessed_until(attic)]
                    assert all(clock.now < one for one in until), "it had ended"
                    ends.append(min(until))
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            assert len(ends) > 4 * 115 and len(set(ends)) >= 5  # renewed about every twenty days
            attic.close()
            alice.close()

    run(work())


def _until(alice: AccountEnrolment, number: int) -> int:
    badge = alice.badge(pin(number))
    assert badge is not None
    return credential.parse(decode(Said.CREDENTIAL, badge.credentials[0])).not_after


def _blessed_until(attic: ServerEnrolment) -> int:
    return blessings.parse(decode(Said.BLESSING, attic.blessings(STORAGE)[0])).not_after


def test_a_blesser_that_is_away_is_asked_again_and_nothing_else_suffers(tmp_path: Path) -> None:
    """B27."""

    async def work() -> None:
        clock = Clock()
        async with blessing(tmp_path / "family", clock) as there:
            alice = joined(there.office.invite_account("alice", GIB, DAY), tmp_path / "alice", clock, [pin(1)])
            port = there.hint.port
        await alice.once()
        error = alice.last[there.blesser.key].error
        assert error is not None and error.kind is Kind.UNREACHABLE
        async with blessing(tmp_path / "family", clock, port=port):
            await alice.once()
            assert alice.badge(pin(1)) is None  # not so soon
            clock.now += 60
            await alice.once()
            assert alice.badge(pin(1)) is not None
        alice.close()

    run(work())


def test_what_was_given_is_there_after_a_restart_and_is_not_asked_for_again(tmp_path: Path) -> None:
    async def work() -> None:
        clock = Clock()
        async with blessing(tmp_path / "family", clock) as there:
            alice = joined(there.office.invite_account("alice", GIB, DAY), tmp_path / "alice", clock, [pin(1)])
            await alice.once()
            alice.close()
            heard: list[bytes] = []
            again = AccountEnrolment(
                membership.load(tmp_path / "alice"), lambda: (pin(1),), clock.world(), heard.append
            )
            assert again.badge(pin(1)) is not None and len(heard) == 1
            before = len(there.said)
            await again.once()
            assert not any(said.startswith(b"/v1/enrol") for said in there.said[before:])
            again.close()

    run(work())


def test_a_new_server_is_asked_for_when_somebody_says_so(tmp_path: Path) -> None:
    async def work() -> None:
        clock = Clock()
        async with blessing(tmp_path / "family", clock) as there:
            joined(there.office.invite_account("alice", GIB, DAY), tmp_path / "alice", clock).close()
            wanted = [pin(1)]
            world = clock.world()
            forever = asyncio.Event()

            async def sleep(seconds: float) -> None:
                await (asyncio.sleep(0) if seconds < 60 else forever.wait())

            patient = type(world)(world.now, sleep, world.chance, world.randomness)
            alice = AccountEnrolment(membership.load(tmp_path / "alice"), lambda: wanted, patient)
            running = asyncio.create_task(alice.run())
            while alice.badge(pin(1)) is None:
                await asyncio.sleep(0.01)
            wanted.append(pin(2))
            alice.wake()
            while alice.badge(pin(2)) is None:
                await asyncio.sleep(0.01)
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running
            alice.close()

    run(work())


def test_many_servers_are_asked_for_in_few_requests(tmp_path: Path) -> None:
    async def work() -> None:
        clock = Clock()
        async with blessing(tmp_path / "family", clock) as there:
            servers = [pin(number) for number in range(600)]
            alice = joined(there.office.invite_account("alice", GIB, DAY), tmp_path / "alice", clock, servers)
            while not all(alice.badge(one) is not None for one in servers):
                await alice.once()
                clock.now += 60  # until it may ask again, if a call was cut off where the machine has other work
            pairs = itertools.pairwise(there.said)
            answers = {said for asked, said in pairs if asked.startswith(b"/v1/enrol") and not said.startswith(b"/v1/")}
            assert len(answers) == 3
            alice.close()

    run(work())


def test_nobody_can_tell_by_keys_and_numbers_that_two_servers_have_one_account(tmp_path: Path) -> None:
    async def work() -> None:
        clock = Clock()
        async with blessing(tmp_path / "family", clock) as there:
            alice = joined(there.office.invite_account("alice", GIB, DAY), tmp_path / "alice", clock, [pin(1), pin(2)])
            await alice.once()
            badges = [alice.badge(pin(number)) for number in (1, 2)]
            said = [credential.parse(decode(Said.CREDENTIAL, one.credentials[0])) for one in badges if one]
            assert len({one.account for one in said}) == len({one.client for one in said}) == 2
            secret = holder.secret(tmp_path / "alice")
            assert {sign.public_key(client_seed(secret, one.server)) for one in said} == {one.client for one in said}
            assert pin_of(there.blesser.key) not in {one.server for one in said}
            alice.close()

    run(work())


def test_a_person_lets_in_who_has_no_invitation(tmp_path: Path) -> None:
    async def work() -> None:
        clock = Clock()
        async with blessing(tmp_path / "family", clock) as there:
            invitation = there.office.invite_server((STORAGE,), (), DAY)
            attic = server_joined(invitation, tmp_path / "attic", clock, seed(1))
            attic.close()
            holder.drop_ticket(tmp_path / "attic")
            attic = ServerEnrolment(membership.load(tmp_path / "attic"), seed(1), tuple, clock.world())
            await attic.once()
            assert attic.last[there.blesser.key].waits and not attic.blessings(STORAGE)
            (waiting,) = there.orders.do({"do": "list"})["waiting"]
            assert waiting["server"] == str(pin(1)) and waiting["purposes"] == ["storage"]
            there.orders.do({"do": "approve", "number": waiting["number"], "classes": ["attic"]})
            clock.now += 60
            await attic.once()
            assert blessings.parse(decode(Said.BLESSING, attic.blessings(STORAGE)[0])).classes == ("attic",)
            assert there.orders.do({"do": "list"})["waiting"] == []
            attic.close()

    run(work())


def test_a_blessing_that_a_person_carried_counts_like_any_other(tmp_path: Path) -> None:
    async def work() -> None:
        clock = Clock()
        async with blessing(tmp_path / "family", clock) as there:
            joined_ = server_joined(there.office.invite_server((STORAGE,), (), DAY), tmp_path / "attic", clock, seed(1))
            joined_.close()
            (carried,) = there.office.bless(pin(1), (STORAGE,), ("attic",), 90 * DAY)
            (others,) = there.office.bless(pin(2), (STORAGE,), (), 90 * DAY)
            (older,) = there.office.bless(pin(1), (STORAGE,), ("other",), 80 * DAY)
        async with blessing(tmp_path / "other", clock) as elsewhere:
            (strange,) = elsewhere.office.bless(pin(1), (STORAGE,), (), 95 * DAY)
        brought = tmp_path / "attic" / "blessings"
        brought.mkdir()
        (brought / "a.blessing").write_bytes(carried)
        attic = ServerEnrolment(membership.load(tmp_path / "attic"), seed(1), tuple, clock.world())
        assert attic.blessings(STORAGE) == (carried,)
        with pytest.raises(HoldError, match="another server"):
            attic.bring(others)
        attic.close()
        (brought / "b.blessing").write_bytes(strange)  # by a blesser that does not count: passed over
        (brought / "c.blessing").write_bytes(older)
        attic = ServerEnrolment(membership.load(tmp_path / "attic"), seed(1), tuple, clock.world())
        assert attic.blessings(STORAGE) == (carried,)
        attic.close()
        (brought / "b.blessing").write_bytes(b"nonsense")
        with pytest.raises(HoldError, match=r"b\.blessing"):
            ServerEnrolment(membership.load(tmp_path / "attic"), seed(1), tuple, clock.world())

    run(work())


def test_a_revocation_reaches_who_listens_within_a_twelfth_of_a_lists_time(tmp_path: Path) -> None:
    async def work() -> None:
        clock = Clock()
        async with blessing(tmp_path / "family", clock) as there:
            attic = server_joined(there.office.invite_server((STORAGE,), (), DAY), tmp_path / "attic", clock, seed(1))
            alice = joined(there.office.invite_account("alice", GIB, DAY), tmp_path / "alice", clock, [pin(1)])
            await attic.once()
            await alice.once()
            badge = alice.badge(pin(1))
            assert badge is not None
            serial = credential.parse(decode(Said.CREDENTIAL, badge.credentials[0])).serial
            there.office.revoke_account("alice")
            running = asyncio.create_task(attic.run())
            while not attic.lists.revoked(there.blesser.key, there.charter.grid, serial):
                assert clock.now < NOW + DAY // 12 + 60
                await asyncio.sleep(0)
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running
            attic.close()
            alice.close()

    run(work())


def test_a_list_that_came_by_another_way_is_heard_and_kept(tmp_path: Path) -> None:
    async def work() -> None:
        clock = Clock()
        async with blessing(tmp_path / "family", clock) as there:
            attic = server_joined(there.office.invite_server((STORAGE,), (), DAY), tmp_path / "attic", clock, seed(1))
            statement = there.office.sign_list()
        attic.hear(statement)
        attic.close()
        again = ServerEnrolment(membership.load(tmp_path / "attic"), seed(1), tuple, clock.world())
        assert again.lists.kept == (statement,)
        again.close()

    run(work())


@pytest.mark.parametrize("needed", [1, 2])
def test_as_many_blessers_are_asked_as_are_needed(tmp_path: Path, needed: int) -> None:
    async def work() -> None:
        clock = Clock()
        async with blessing(tmp_path / "one", clock) as one, blessing(tmp_path / "two", clock) as two:
            invitation = one.office.invite_account("alice", GIB, DAY)
            joined(invitation, tmp_path / "alice", clock).close()
            path = tmp_path / "alice" / "grid.toml"
            text = path.read_text()
            grid, key = str(one.charter.grid), str(two.charter.grid)
            text = text.replace(
                "[purposes", f'[[blessers]]\nkey = "{key}"\npin = "{two.blesser.pin}"\n'
                f'addresses = ["{two.hint}"]\n\n[purposes', 1,
            )  # fmt: skip
            head, tail = text.split("[accounts]")
            tail = tail.replace(f'["{grid}"]', f'["{grid}", "{key}"]').replace("needed = 1", f"needed = {needed}")
            path.write_text(head + "[accounts]" + tail)
            alice = AccountEnrolment(membership.load(tmp_path / "alice"), lambda: (pin(1),), clock.world())
            await alice.once()
            asked = [any(said.startswith(b"/v1/enrol") for said in blesser.said) for blesser in (one, two)]
            assert asked == [True, needed == 2]
            badge = alice.badge(pin(1))
            assert badge is not None and len(badge.credentials) == 1  # the second is for another grid, and says no
            if needed == 2:
                error = alice.last[two.blesser.key].error
                assert error is not None and error.kind is Kind.BLESSING
            alice.close()

    run(work())


def test_two_blessers_of_one_grid_that_share_their_accounts_give_one_number(tmp_path: Path) -> None:
    async def work() -> None:
        clock = Clock()
        async with blessing(tmp_path / "one", clock) as one:
            sock = listen.bind("127.0.0.1", 0)
            port = sock.getsockname()[1]
            sock.close()
            hint = TcpHint("127.0.0.1", port)
            keys = make_home(tmp_path / "two", str(hint), of=one.charter.grid, accounts=one.office.keys.accounts)
            other = Blesser(keys.public, keys.pin, (str(hint),))
            both = Quorum((one.blesser.key, other.key), needed=2)
            charter = Charter(one.charter.grid, "one", (one.blesser, other), ((STORAGE, both),), both)
            one.office.config = dataclasses.replace(one.office.config, charter=charter)
            async with blessing(tmp_path / "two", clock, port=port) as two:
                alice = joined(one.office.invite_account("alice", GIB, DAY), tmp_path / "alice", clock, [pin(1)])
                attic = server_joined(one.office.invite_server((STORAGE,), (), DAY), tmp_path / "attic", clock, seed(1))
                await alice.once()
                await attic.once()
                assert alice.last[other.key].waits and attic.last[other.key].waits
                for waiting in two.office.state()[1]:
                    two.office.approve(waiting.id, GIB, ())
                clock.now += 60
                await alice.once()
                await attic.once()
                badge = alice.badge(pin(1))
                assert badge is not None and len(badge.credentials) == 2
                said = [credential.parse(decode(Said.CREDENTIAL, data)) for data in badge.credentials]
                assert len({one.account for one in said}) == 1
                candidate = Candidate(pin(1), charter.grid, STORAGE, attic.blessings(STORAGE))
                found = may_upload(candidate, membership.load(tmp_path / "alice").trust, alice.lists, clock.now)
                assert found.allowed and set(found.by) == {one.blesser.key, other.key}, found.lines
                alice.close()
                attic.close()

    run(work())
