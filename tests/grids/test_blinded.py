"""A blinded account, from its invitation through its periods; and what others know of it. REQUIREMENTS D18-D20, B26."""

import contextlib
import os
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from commonhold.authority.derived import Secret, client_seed
from commonhold.authority.entering import Admitted, Door, Refusal, knock, may_enter
from commonhold.authority.lists import Lists
from commonhold.authority.nonces import Given as Nonced
from commonhold.authority.tokens import REST_SECONDS
from commonhold.crypto import sign
from commonhold.crypto.statements import signed, verified
from commonhold.errors import HoldError, Kind
from commonhold.exchange.badge import Badge
from commonhold.formats import blinded as formats
from commonhold.formats import revocations
from commonhold.formats.entry import Nonce
from commonhold.formats.invitation import Invitation
from commonhold.formats.pin import SpkiPin, pin_of
from commonhold.formats.statement import Kind as Said
from commonhold.grids import files, holder, joining, member
from commonhold.grids.accounts import AccountEnrolment
from commonhold.grids.blinded import BlindedEnrolment, Purse
from commonhold.grids.joining import Choice
from commonhold.grids.membership import Membership, Mode
from commonhold.grids.standing import FILE, Standing
from commonhold.transport.rules import Rules
from tests.grids.blessers import DAY, GIB, NOW, Clock, Serving, blessing, pin
from tests.transport.ends import run

SEATS = 3
BLINDLY = f"\n[blinded]\ndenominations = [{GIB}]\nseats = {SEATS}\n"
START = NOW - NOW % (30 * DAY)


@dataclass
class Someone:
    """A blinded member, its wishes, and what it would show."""

    membership: Membership
    clock: Clock
    wanted: list[SpkiPin]

    @property
    def secret(self) -> Secret:
        return holder.secret(self.membership.directory)

    async def ask(self) -> BlindedEnrolment:
        with contextlib.closing(BlindedEnrolment(self.membership, lambda: self.wanted, self.clock.world())) as asking:
            await asking.once()
        return asking

    @contextlib.contextmanager
    def purse(self) -> Iterator[Purse]:
        with contextlib.closing(Standing(self.membership.directory / FILE)) as standing:
            yield member.purse(self.membership, self.secret, standing, os.getuid())

    def badge(self, server: SpkiPin) -> Badge | None:
        with self.purse() as purse:
            return purse.badge(server, self.clock.now)

    def until(self, server: SpkiPin) -> int | None:
        with self.purse() as purse:
            return purse.until(server, self.clock.now)


def becomes(invitation: Invitation, directory: Path, clock: Clock, *wanted: SpkiPin) -> Someone:
    made = joining.join(invitation, directory, Choice(Rules(), Mode.BLINDED), clock.now, os.urandom).membership
    return Someone(made, clock, list(wanted))


@contextlib.asynccontextmanager
async def family(path: Path, clock: Clock) -> AsyncIterator[Serving]:
    async with blessing(path / "family", clock, more=BLINDLY) as there:
        yield there


@contextlib.asynccontextmanager
async def alices(path: Path, *wanted: SpkiPin, quota: int = GIB) -> AsyncIterator[tuple[Serving, Someone]]:
    """A family, and Alice in it, who is to have an account at each of these servers."""
    clock = Clock()
    async with family(path, clock) as there:
        yield there, becomes(there.office.invite_account("alice", quota, DAY), path / "alice", clock, *wanted)


def comes(badge: Badge, there: Serving, server: SpkiPin, now: int) -> Admitted | Refusal:
    """At a server's door, that has the blesser's newest list."""
    line = pin(9)
    showing = badge.show(Nonce(b"n" * 32), server, line, now)
    lists = Lists([(there.blesser.key, there.charter.grid)])
    lists.take(there.office.revocations())
    door = Door(server, there.charter.grid, Membership(Path("/x"), there.charter, Mode.NONE).door)
    asked = knock(line, showing.credentials, showing.entry, showing.warrant)
    return may_enter(door, asked, Nonced(Nonce(b"n" * 32), line, now), lists, now)


def test_d19_an_account_comes_in_at_servers_that_cannot_tell_who_it_is(tmp_path: Path) -> None:
    async def work() -> None:
        async with alices(tmp_path, pin(1), pin(2), quota=5 * GIB) as (there, alice):
            asking = await alice.ask()
            assert all(last.error is None for last in asking.last.values())
            ledger, _ = there.office.state()
            assert ledger.accounts["alice"].quota == 5 * GIB and not ledger.invitations and not ledger.issued
            assert holder.ticket(tmp_path / "alice") is None
            alice.clock.now += REST_SECONDS
            badges = [alice.badge(pin(1)), alice.badge(pin(2))]
            entered = [comes(one, there, pin(at), alice.clock.now) for at, one in enumerate(badges, 1) if one]
            accounts = [one.account for one in entered if isinstance(one, Admitted) and one.quota == GIB]
            assert len(set(accounts)) == 2 and alice.badge(pin(3)) is None
            assert badges[0] and isinstance(comes(badges[0], there, pin(2), alice.clock.now), Refusal)
            # all that the blesser ever saw of her, against all that a server sees
            heard = b"".join(there.said)
            for one, at in zip(badges, (pin(1), pin(2)), strict=True):
                assert one is not None
                token = formats.parse_token(one.credentials[0])
                for part in (at, token.client, token.prefix, token.signature):
                    assert not any(part[start : start + 8] in heard for start in range(len(part) - 8))

    run(work())


def test_a_token_rests_before_it_is_shown(tmp_path: Path) -> None:
    async def work() -> None:
        async with alices(tmp_path, pin(1)) as (_, alice):
            await alice.ask()
            with alice.purse() as purse:
                ready = purse.rests(pin(1), alice.clock.now)
            assert ready is not None and NOW < ready <= NOW + REST_SECONDS
            alice.clock.now = ready - 1
            assert alice.badge(pin(1)) is None
            alice.clock.now = ready
            assert alice.badge(pin(1)) is not None

    run(work())


def test_each_period_has_its_token_and_a_server_sees_one_account_through_all_of_them(tmp_path: Path) -> None:
    async def work() -> None:
        async with alices(tmp_path, pin(1)) as (there, alice):
            seen: dict[bytes, set[int]] = {}
            while alice.clock.now < NOW + 100 * DAY:
                there.office.sign_list()
                await alice.ask()
                alice.clock.now += REST_SECONDS
                badge = alice.badge(pin(1))
                assert badge is not None
                entered = comes(badge, there, pin(1), alice.clock.now)
                assert isinstance(entered, Admitted), entered
                seen.setdefault(entered.account, set()).add(entered.serials[0].number)
                alice.clock.now += DAY - REST_SECONDS
            assert len(seen) == 1 and {len(one) for one in seen.values()} == {4}
            with contextlib.closing(Standing(tmp_path / "alice" / FILE)) as standing:
                assert len([one for one in standing.all() if len(one.about) == 64]) <= 2  # what is over is forgotten

    run(work())


def test_the_next_period_s_tokens_are_asked_for_at_a_moment_of_their_own_and_once(tmp_path: Path) -> None:
    async def work() -> None:
        clock = Clock()
        async with family(tmp_path, clock) as there:
            people = [
                becomes(there.office.invite_account(name, GIB, 60 * DAY), tmp_path / name, clock, pin(1))
                for name in ("alice", "bob", "carol")
            ]
            moments: dict[str, int] = {}
            while clock.now < START + 30 * DAY:
                there.office.sign_list()
                for one in people:
                    await one.ask()
                    with contextlib.closing(Standing(one.membership.directory / FILE)) as standing:
                        if len([given for given in standing.all() if len(given.about) == 64]) > 1:
                            moments.setdefault(one.membership.account, clock.now)
                clock.now += 6 * 3600
            assert len(moments) == 3 and all(NOW < at < START + 29 * DAY for at in moments.values())
            assert len(set(moments.values())) > 1
            assert sum(count for _, count in there.office.minted()) == 6

    run(work())


def test_who_loses_all_but_the_secret_gets_the_same_tokens_again_and_more_are_not_granted(tmp_path: Path) -> None:
    async def work() -> None:
        async with alices(tmp_path, *map(pin, range(1, 6))) as (there, alice):
            await alice.ask()
            alice.clock.now += REST_SECONDS
            had = {at: found.credentials for at in range(1, 6) if (found := alice.badge(pin(at)))}
            assert len(had) == SEATS
            (tmp_path / "alice" / FILE).unlink()
            for end in ("-wal", "-shm"):
                (tmp_path / "alice" / (FILE + end)).unlink(missing_ok=True)
            asking = await alice.ask()
            assert all(last.error is None for last in asking.last.values())
            alice.clock.now += REST_SECONDS
            again = {at: found.credentials for at in range(1, 6) if (found := alice.badge(pin(at)))}
            assert again == had
            assert sum(count for _, count in there.office.minted()) == SEATS

    run(work())


def test_a_withdrawn_key_s_tokens_are_replaced_by_themselves(tmp_path: Path) -> None:
    async def work() -> None:
        async with alices(tmp_path, pin(1)) as (there, alice):
            await alice.ask()
            alice.clock.now += REST_SECONDS
            before = alice.badge(pin(1))
            there.office.remint(None)
            alice.clock.now += 3 * 3600  # lists are asked for again
            assert before and isinstance(comes(before, there, pin(1), alice.clock.now), Refusal)
            await alice.ask()
            alice.clock.now += REST_SECONDS
            after = alice.badge(pin(1))
            assert after and isinstance(comes(after, there, pin(1), alice.clock.now), Admitted)

    run(work())


def test_a_key_that_introducers_do_not_have_is_not_used(tmp_path: Path) -> None:
    """A blesser that would know Alice's tokens again gives her a key of her own, on a list that nobody else gets."""

    async def work() -> None:
        async with alices(tmp_path, pin(1)) as (there, alice):
            await alice.ask()
            alice.clock.now += REST_SECONDS
            assert alice.badge(pin(1)) is not None
            said = revocations.parse(verified(Said.REVOCATIONS, there.office.revocations()))
            others = replace(said, mints=tuple(replace(one, serial=one.serial ^ 1) for one in said.mints))
            everybodys = Lists(alice.membership.trust.watched)
            everybodys.take(
                signed(Said.REVOCATIONS, replace(others, sequence=0).body, there.office.keys.blesser).encoded
            )
            files.write_lists(tmp_path / "alice", everybodys)
            assert alice.badge(pin(1)) is None and alice.until(pin(1)) is None
            everybodys.take(there.office.revocations())
            files.write_lists(tmp_path / "alice", everybodys)
            assert alice.badge(pin(1)) is not None and alice.until(pin(1)) is not None

    run(work())


def test_an_account_that_is_revoked_gets_no_more(tmp_path: Path) -> None:
    async def work() -> None:
        async with alices(tmp_path, pin(1)) as (there, alice):
            await alice.ask()
            there.office.revoke_account("alice")
            alice.wanted.append(pin(2))
            asking = await alice.ask()
            (last,) = asking.last.values()
            assert last.error is not None and last.error.kind is Kind.BLESSING
            alice.clock.now += REST_SECONDS
            assert alice.badge(pin(1)) is not None and alice.badge(pin(2)) is None

    run(work())


def test_an_answer_that_is_not_what_was_asked_for_is_refused_whole(tmp_path: Path) -> None:
    async def work() -> None:
        async with alices(tmp_path, pin(1), pin(2)) as (there, alice):
            sound = there.office.blind

            def lying(data: bytes) -> tuple[formats.Terms, tuple[bytes, ...]] | None:
                found = sound(data)
                return found and (found[0], found[1][::-1])

            there.office.blind = lying  # type: ignore[method-assign]
            asking = await alice.ask()
            (last,) = asking.last.values()
            assert last.error is not None and last.error.kind is Kind.INVALID
            alice.clock.now += REST_SECONDS
            assert alice.badge(pin(1)) is None

    run(work())


def test_a_blinded_account_s_keys_are_not_those_that_a_blesser_has_seen(tmp_path: Path) -> None:
    async def work() -> None:
        async with alices(tmp_path, pin(1)) as (there, alice):
            await alice.ask()
            alice.clock.now += REST_SECONDS
            badge = alice.badge(pin(1))
            assert badge is not None
            openly = {sign.public_key(client_seed(alice.secret, one)) for one in (pin(1), pin_of(there.blesser.key))}
            assert sign.public_key(badge.key) not in openly
            with pytest.raises(HoldError):
                AccountEnrolment(alice.membership, tuple, alice.clock.world())

    run(work())
