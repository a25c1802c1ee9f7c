"""What strangers, relays, members and blessers try, and where each of it ends."""

import asyncio
import base64
import dataclasses
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from commonhold.authority.derived import Secret, client_seed
from commonhold.blesser.meetings import Outcome
from commonhold.crypto import sign
from commonhold.crypto.statements import signed
from commonhold.errors import HoldError, Kind
from commonhold.formats import credential, enrolwords, storagewords
from commonhold.formats.blessing import STORAGE, Blessing
from commonhold.formats.charter import Charter, Quorum
from commonhold.formats.credential import AccountId, Credential
from commonhold.formats.pin import GridId, SpkiPin, pin_of
from commonhold.formats.request import AccountRequest, Seat, ServerRequest, Ticket
from commonhold.formats.shortcode import ShortCode
from commonhold.formats.statement import Kind as Said
from commonhold.formats.statement import decode
from commonhold.grids import answers, holder, meeting
from commonhold.transport import dial
from commonhold.transport.rules import Rules
from tests.grids.blessers import (
    DAY,
    GIB,
    NOW,
    Clock,
    Serving,
    blessing,
    joined,
    make_home,
    office,
    pin,
    seed,
    server_joined,
)  # fmt: skip
from tests.transport.ends import run, serving
from tests.transport.wire import relay
from tests.waiting import SECONDS

SECRET = Secret(b"s" * 32)


def asking(there: Serving, *servers: SpkiPin, by: Secret = SECRET, **other: Any) -> bytes:
    """A request by an account called alice."""
    seats = tuple(Seat(one, sign.public_key(client_seed(by, one))) for one in sorted(servers or (pin(1),)))
    sound: dict[str, Any] = {
        "grid": there.charter.grid, "blesser": there.blesser.key, "time": NOW, "account": "alice", "seats": seats,
    }  # fmt: skip
    wish = AccountRequest(**sound | other)
    return signed(Said.REQUEST, wish.body, client_seed(by, pin_of(there.blesser.key))).encoded


def refused(there: Serving, request: bytes) -> str:
    with pytest.raises(HoldError) as error:
        there.office.ask(request)
    assert error.value.kind is Kind.BLESSING
    return error.value.why


# ── tickets and requests ──


def test_a_ticket_lets_one_in_and_nobody_after(tmp_path: Path) -> None:
    async def work() -> None:
        clock = Clock()
        async with blessing(tmp_path / "family", clock) as there:
            invitation = there.office.invite_account("alice", GIB, DAY)
            first = joined(invitation, tmp_path / "alice", clock, [pin(1)])
            await first.once()
            thief = joined(invitation, tmp_path / "thief", clock, [pin(1)])
            await thief.once()
            error = thief.last[there.blesser.key].error
            assert error is not None and error.kind is Kind.BLESSING and thief.badge(pin(1)) is None
            assert first.badge(pin(1)) is not None
            first.close()
            thief.close()

    run(work())


def test_a_ticket_for_an_account_makes_no_server_and_the_other_way_round(tmp_path: Path) -> None:
    async def work() -> None:
        clock = Clock()
        async with blessing(tmp_path / "family", clock) as there:
            account, server = (
                there.office.invite_account("alice", GIB, DAY),
                there.office.invite_server((STORAGE,), (), DAY),
            )
            wish = ServerRequest(there.charter.grid, there.blesser.key, NOW, pin(1), (STORAGE,), (), account.ticket)
            assert "not for this" in refused(there, signed(Said.REQUEST, wish.body, seed(1)).encoded)
            assert "not for this" in refused(there, asking(there, ticket=server.ticket))
            assert "not for this" in refused(there, asking(there, ticket=account.ticket, account="mallory"))
            assert "not for this" in refused(there, asking(there, ticket=Ticket(bytes(32))))

    run(work())


def test_a_request_that_is_sent_again_gets_the_same_and_costs_nothing(tmp_path: Path) -> None:
    async def work() -> None:
        clock = Clock()
        async with blessing(tmp_path / "family", clock) as there:
            request = asking(there, ticket=there.office.invite_account("alice", GIB, DAY).ticket)
            first = there.office.ask(request)
            before, _ = there.office.state()
            for _ in range(100):
                assert there.office.ask(request) == first
            assert there.office.state()[0] == before and len(before.issued) == 1
            clock.now += 301
            assert "signed at" in refused(there, request)

    run(work())


def test_a_request_for_another_grid_or_blesser_is_of_no_use_here(tmp_path: Path) -> None:
    async def work() -> None:
        clock = Clock()
        async with blessing(tmp_path / "family", clock) as there, blessing(tmp_path / "other", clock) as other:
            ticket = there.office.invite_account("alice", GIB, DAY).ticket
            for request in (
                asking(other, ticket=ticket),
                asking(there, ticket=ticket, grid=other.charter.grid),
                asking(there, ticket=ticket, blesser=other.blesser.key),
            ):
                assert "another blesser" in refused(there, request)
            assert there.office.ask(asking(there, ticket=ticket))

    run(work())


def test_a_request_that_was_changed_on_the_way_is_none(tmp_path: Path) -> None:
    async def work() -> None:
        async with blessing(tmp_path / "family", Clock()) as there:
            request = asking(there, ticket=there.office.invite_account("alice", GIB, DAY).ticket)
            for at in range(0, len(request), 7):
                changed = request[:at] + bytes((request[at] ^ 1,)) + request[at + 1 :]
                status, said = await posted(there, "/v1/enrol", changed)
                assert status == 400 and storagewords.decode_failure(said).kind is Kind.INVALID
            status, said = await posted(there, "/v1/enrol", bytes((256 << 10) + 1))
            assert status == 413
            assert there.office.state()[0].accounts == {}

    run(work())


async def posted(there: Serving, path: str, body: bytes) -> tuple[int, bytes]:
    connection = await dial.dial(there.blesser.pin, [there.hint], Rules(), os.urandom)
    try:
        async with connection.request("POST", path, body=body) as answer:
            return answer.status, await answer.read(1 << 20)
    finally:
        await connection.close()


def test_an_accounts_name_is_not_another_keys(tmp_path: Path) -> None:
    async def work() -> None:
        async with blessing(tmp_path / "family", Clock()) as there:
            there.office.ask(asking(there, ticket=there.office.invite_account("alice", GIB, DAY).ticket))
            assert there.office.ask(asking(there, by=Secret(b"t" * 32))) is None  # it waits for a person
            assert "another key" in there.orders.do({"do": "list"})["waiting"][0]["why"]
            with pytest.raises(HoldError, match="there is such an account"):
                there.office.invite_account("alice", GIB, DAY)

    run(work())


def test_a_key_that_takes_anothers_place_by_a_persons_word_takes_it_whole(tmp_path: Path) -> None:
    async def work() -> None:
        async with blessing(tmp_path / "family", Clock()) as there:
            old = there.office.ask(asking(there, ticket=there.office.invite_account("alice", GIB, DAY).ticket))
            there.office.ask(asking(there, by=Secret(b"t" * 32)))
            there.office.approve(1, 2 * GIB, ())
            new = there.office.ask(asking(there, by=Secret(b"t" * 32)))
            assert old and new
            was, now = (credential.parse(decode(Said.CREDENTIAL, one[0])) for one in (old, new))
            assert was.account == now.account and now.quota == 2 * GIB and was.client != now.client
            assert there.office.state()[0].revoked == {was.serial}
            assert there.office.ask(asking(there)) is None  # the old key is a stranger's

    run(work())


def test_who_is_revoked_is_not_renewed_and_is_on_the_list_at_once(tmp_path: Path) -> None:
    async def work() -> None:
        clock = Clock()
        async with blessing(tmp_path / "family", clock) as there:
            alice = joined(there.office.invite_account("alice", GIB, DAY), tmp_path / "alice", clock, [pin(1)])
            attic = server_joined(there.office.invite_server((STORAGE,), (), DAY), tmp_path / "attic", clock, seed(1))
            await alice.once()
            await attic.once()
            serials = there.office.revoke_account("alice") | there.office.revoke_server(pin(1))
            clock.now += 23 * DAY  # both are due
            await alice.once()
            await attic.once()
            for one in (alice, attic):
                error = one.last[there.blesser.key].error
                assert error is not None and error.kind is Kind.BLESSING and "revoked" in error.why
                assert all(one.lists.revoked(there.blesser.key, there.charter.grid, serial) for serial in serials)
            there.office.restore(account="alice")
            there.office.restore(server=pin(1))
            clock.now += 60
            await alice.once()
            await attic.once()
            assert alice.last[there.blesser.key].error is None and attic.last[there.blesser.key].error is None
            assert there.office.state()[0].revoked >= serials
            alice.close()
            attic.close()

    run(work())


# ── short codes ──


def opened(there: Serving) -> ShortCode:
    plate, words = there.meetings.open(there.office.invite_account("alice", GIB, DAY))
    return ShortCode(plate, words, there.hint)


def other_words(code: ShortCode) -> ShortCode:
    return dataclasses.replace(code, words=("acorn", "acorn", "almond"))


async def met(code: ShortCode) -> Kind | None:
    try:
        await meeting.meet(code, Rules(), os.urandom)
    except HoldError as error:
        return error.kind
    return None


def test_the_right_words_open_what_the_long_code_has(tmp_path: Path) -> None:
    async def work() -> None:
        async with blessing(tmp_path / "family", Clock()) as there:
            invitation = there.office.invite_account("alice", GIB, DAY)
            plate, words = there.meetings.open(invitation)
            found = await meeting.meet(ShortCode(plate, words, there.hint), Rules(), os.urandom)
            assert found == invitation and there.meetings.outcome(plate) is Outcome.TAKEN
            assert await met(ShortCode(plate, words, there.hint)) is Kind.NOT_FOUND

    run(work())


def test_one_wrong_guess_burns_a_code_and_its_ticket_and_both_ends_are_told(tmp_path: Path) -> None:
    async def work() -> None:
        async with blessing(tmp_path / "family", Clock()) as there:
            code = opened(there)
            assert await met(other_words(code)) is Kind.DENIED
            assert there.meetings.outcome(code.plate) is Outcome.BURNT
            assert there.orders.do({"do": "outcome", "number": code.plate})["outcome"] == "burnt"
            assert await met(code) is Kind.NOT_FOUND
            assert there.office.state()[0].invitations == {}

    run(work())


def test_a_code_is_good_for_a_quarter_of_an_hour(tmp_path: Path) -> None:
    async def work() -> None:
        clock = Clock()
        async with blessing(tmp_path / "family", clock) as there:
            early, late = opened(there), None
            clock.now += 15 * 60 - 1
            assert await met(early) is None
            there.office.withdraw(there.office.invite_account("bob", GIB, DAY))
            plate, words = there.meetings.open(there.office.invite_account("carol", GIB, DAY))
            late = ShortCode(plate, words, there.hint)
            clock.now += 15 * 60
            assert await met(late) is Kind.NOT_FOUND and there.meetings.outcome(plate) is Outcome.EXPIRED
            assert {one.account for one in there.office.state()[0].invitations.values()} == {"alice"}  # type: ignore[union-attr]

    run(work())


def test_who_begins_and_does_not_show_the_words_has_used_up_the_guess(tmp_path: Path) -> None:
    async def work() -> None:
        clock = Clock()
        async with blessing(tmp_path / "family", clock) as there:
            code = opened(there)
            stranger = await dial.dial_unknown(there.hint, Rules(), os.urandom)
            body = enrolwords.opening(code.plate, b"A" + sign.public_key(seed(5)))
            await stranger.ask("/v1/meet", body, 1 << 16)
            await stranger.close()
            assert await met(code) is Kind.NOT_FOUND
            clock.now += 60
            there.meetings.sweep()
            assert there.meetings.outcome(code.plate) is Outcome.BURNT

    run(work())


def test_a_proof_over_another_connection_than_the_message_opens_nothing(tmp_path: Path) -> None:
    async def work() -> None:
        async with blessing(tmp_path / "family", Clock()) as there:
            code = opened(there)
            one = await dial.dial_unknown(there.hint, Rules(), os.urandom)
            other = await dial.dial_unknown(there.hint, Rules(), os.urandom)
            from commonhold.crypto.pake import Ends, Exchange, Side

            exchange = Exchange(Side.JOINER, code.password, Ends(one.own, one.pin), os.urandom)
            _, said = await one.ask("/v1/meet", enrolwords.opening(code.plate, exchange.message), 1 << 16)
            shared = exchange.finish(enrolwords.decode_reply(said))
            proof = enrolwords.proof(code.plate, shared.proof)
            assert (await other.ask("/v1/meet/proof", proof, 1 << 16))[0] == 404
            assert (await one.ask("/v1/meet/proof", proof, 1 << 16))[0] == 200
            await one.close()
            await other.close()

    run(work())


@pytest.mark.parametrize("forge", [False, True])
def test_somebody_in_between_who_relays_a_meeting_gets_nothing(tmp_path: Path, forge: bool) -> None:
    """`forge`: who is in between also answers with a sealed text of its own, as if the words had been shown."""

    async def work() -> None:
        heard: list[bytes] = []

        async def pass_on(request: web.Request) -> web.Response:
            stranger = await dial.dial_unknown(there.hint, Rules(), os.urandom)
            strangers.append(stranger)
            first = strangers[0]
            status, said = await first.ask(request.path, await request.read(), 1 << 16)
            heard.append(said)
            if forge and request.path.endswith("proof"):
                return web.Response(body=enrolwords.sealed(os.urandom(600)))
            return web.Response(status=status, body=said)

        async with blessing(tmp_path / "family", Clock()) as there:
            code = opened(there)
            invitation = there.meetings._codes[code.plate].invitation.encoded
            strangers: list[Any] = []
            app = web.Application()
            app.router.add_post("/{all:.*}", pass_on)
            async with serving(app, seed=seed(77)) as (between, _):
                assert await met(dataclasses.replace(code, where=between)) is Kind.DENIED
            assert there.meetings.outcome(code.plate) is Outcome.BURNT
            assert len(heard) == 2 and all(invitation[:40] not in one and b"ticket" not in one for one in heard)
            for one in strangers:
                await one.close()

    run(work())


def test_an_invitation_of_another_server_than_the_one_that_gave_it_is_refused(tmp_path: Path) -> None:
    """As by a blesser that was copied with its codes, but not its key."""

    async def work() -> None:
        async with blessing(tmp_path / "family", Clock()) as there, blessing(tmp_path / "other", Clock()) as other:
            plate, words = other.meetings.open(there.office.invite_account("alice", GIB, DAY))
            assert await met(ShortCode(plate, words, other.hint)) is Kind.DENIED

    run(work())


@pytest.mark.slow
def test_ten_thousand_guesses_are_twenty(tmp_path: Path) -> None:
    async def work() -> None:
        clock = Clock()
        async with blessing(tmp_path / "family", clock) as there:
            code = opened(there)
            stranger = await dial.dial_unknown(there.hint, Rules(), os.urandom)
            statuses = []
            for number in range(10_000):
                plate = number % 999 + 1 if number % 999 + 1 != code.plate else 999
                body = enrolwords.opening(plate, b"A" + bytes(32))
                statuses.append((await stranger.ask("/v1/meet", body, 1 << 16))[0])
            assert statuses[:20] == [404] * 20 and set(statuses[20:]) == {Kind.BUSY.value.http}
            clock.now += 6
            assert await met(code) is None  # one more each six seconds: whoever has the words gets in
            await stranger.close()

    run(work())


# ── a blesser that lies ──


def _sound(**other: Any) -> Credential:
    fields: dict[str, Any] = {
        "grid": GridId(sign.public_key(seed(1))), "server": pin(1), "account": AccountId(b"a" * 16),
        "client": sign.public_key(seed(2)), "quota": GIB, "not_before": NOW, "not_after": NOW + DAY, "serial": 1,
    }  # fmt: skip
    return Credential(**fields | other)


def _said(said: Credential, by: int = 1) -> bytes:
    return signed(Said.CREDENTIAL, said.body, seed(by)).encoded


GOOD = _said(_sound())
SEATS = {pin(1): sign.public_key(seed(2)), pin(3): sign.public_key(seed(4))}
BLESSING = signed(Said.BLESSING, Blessing(_sound().grid, STORAGE, pin(1), (), NOW, NOW + DAY, 1).body, seed(1)).encoded
SECOND = _said(_sound(server=pin(3), client=SEATS[pin(3)], account=AccountId(b"b" * 16)))


@pytest.mark.parametrize(
    ("statements", "why"),
    [
        ([], "0 credentials"),
        ([GOOD], "1 credentials"),
        ([GOOD, GOOD], "another server or key"),
        ([GOOD, SECOND, SECOND], "another server or key"),
        ([GOOD, _said(_sound(server=pin(9)))], "another server or key"),
        ([SECOND, _said(_sound(client=sign.public_key(seed(9))))], "another server or key"),
        ([SECOND, _said(_sound(grid=GridId(bytes(32))))], "another grid"),
        ([SECOND, _said(_sound(), by=9)], "another key has signed"),
        ([SECOND, GOOD[:-1] + bytes((GOOD[-1] ^ 1,))], "signature"),
        ([SECOND, b"nonsense"], "malformed"),
        ([SECOND, _said(_sound(not_before=NOW - 2 * DAY, not_after=NOW - DAY))], "does not hold now"),
        ([SECOND, _said(_sound(not_before=NOW + DAY, not_after=NOW + 2 * DAY))], "does not hold now"),
        ([GOOD, _said(_sound(server=pin(3), client=SEATS[pin(3)]))], "one account number at two servers"),
        ([SECOND, _said(_sound(account=AccountId(b"c" * 16)))], "one account number at two servers"),
        ([SECOND, BLESSING], "malformed"),
    ],
)  # fmt: skip
def test_credentials_that_were_not_asked_for_are_no_answer(statements: list[bytes], why: str) -> None:
    key = sign.public_key(seed(1))
    elsewhere = {AccountId(b"c" * 16): pin(5)}
    assert len(answers.credentials([GOOD, SECOND], key, GridId(key), SEATS, elsewhere, NOW)) == 2
    with pytest.raises(HoldError, match=why) as error:
        answers.credentials(statements, key, GridId(key), SEATS, elsewhere, NOW)
    assert error.value.kind is Kind.INVALID


@pytest.mark.parametrize(
    "other",
    [
        {"server": pin(9)},
        {"purpose": "introducer"},
        {"grid": GridId(bytes(32))},
        {"not_after": NOW - 1, "not_before": 1},
    ],
)
def test_blessings_that_were_not_asked_for_are_no_answer(other: dict[str, Any]) -> None:
    key = sign.public_key(seed(1))
    fields: dict[str, Any] = {
        "grid": GridId(key), "purpose": STORAGE, "server": pin(2), "classes": (), "not_before": NOW,
        "not_after": NOW + DAY, "serial": 1,
    }  # fmt: skip

    def made(**changed: Any) -> bytes:
        return signed(Said.BLESSING, Blessing(**fields | changed).body, seed(1)).encoded

    assert answers.blessings([made()], key, GridId(key), pin(2), (STORAGE,), NOW)
    for statements in ([made(**other)], [made(), made(**other)], [], [made(), made()]):
        with pytest.raises(HoldError):
            answers.blessings(statements, key, GridId(key), pin(2), (STORAGE,), NOW)


@pytest.mark.parametrize(
    "answer",
    [
        lambda mine: enrolwords.granted([mine[0], mine[0]]),
        lambda mine: enrolwords.granted([]),
        lambda mine: b"nonsense",
        lambda mine: bytes(2 << 20),
    ],
)
def test_nothing_of_a_lie_is_kept_and_it_is_not_asked_again_at_once(
    tmp_path: Path, answer: Callable[[tuple[bytes, ...]], bytes]
) -> None:
    async def work() -> None:
        clock = Clock()
        async with blessing(tmp_path / "family", clock) as there:
            alice = joined(there.office.invite_account("alice", GIB, DAY), tmp_path / "alice", clock, [pin(1)])
            asked = 0

            async def lie(request: web.Request) -> web.Response:
                nonlocal asked
                asked += 1
                mine = there.office.ask(await request.read())
                assert mine
                return web.Response(body=answer(mine))

            app = web.Application(client_max_size=1 << 20)
            app.router.add_post("/v1/enrol", lie)
            async with serving(app, seed=there.office.keys.server) as (hint, _):
                liar = dataclasses.replace(there.blesser, addresses=(str(hint),))
                alice._charter = dataclasses.replace(there.charter, blessers=(liar,))
                await alice.once()
                await alice.once()
            error = alice.last[there.blesser.key].error
            assert error is not None and error.kind in (Kind.INVALID, Kind.TOO_LARGE) and asked == 1
            assert alice.badge(pin(1)) is None and holder.ticket(tmp_path / "alice") is not None
            alice.close()

    run(work())


def test_what_ends_at_once_is_not_asked_for_in_a_circle(tmp_path: Path) -> None:
    async def work() -> None:
        clock = Clock()
        async with blessing(tmp_path / "family", clock) as there:
            alice = joined(there.office.invite_account("alice", GIB, DAY), tmp_path / "alice", clock, [pin(1)])
            there.office.config = dataclasses.replace(there.office.config, life=1)
            await alice.once()
            assert sum(said.startswith(b"/v1/enrol") for said in there.said) <= 2
            alice.close()

    run(work())


# ── secrets ──


def test_a_ticket_is_shown_to_the_blesser_whose_it_is_and_to_no_other(tmp_path: Path) -> None:
    async def work() -> None:
        clock = Clock()
        async with blessing(tmp_path / "one", clock) as one, blessing(tmp_path / "two", clock) as two:
            both = Quorum((two.blesser.key, one.blesser.key), needed=2)  # the other is asked first
            charter = Charter(one.charter.grid, "one", (two.blesser, one.blesser), ((STORAGE, both),), both)
            one.office.config = dataclasses.replace(one.office.config, charter=charter)
            account, server = (
                one.office.invite_account("alice", GIB, DAY),
                one.office.invite_server((STORAGE,), (), DAY),
            )
            alice = joined(account, tmp_path / "alice", clock, [pin(1)])
            attic = server_joined(server, tmp_path / "attic", clock, seed(1))
            await alice.once()
            await attic.once()
            assert sum(said.startswith(b"/v1/enrol") for said in two.said) == 2
            for ticket in (account.ticket, server.ticket):
                assert bytes(ticket) in b"".join(one.said) and bytes(ticket) not in b"".join(two.said)
            alice.close()
            attic.close()

    run(work())


def test_a_ticket_is_not_shown_to_another_while_its_blesser_is_away(tmp_path: Path) -> None:
    async def work() -> None:
        clock = Clock()
        async with blessing(tmp_path / "one", clock) as one, blessing(tmp_path / "two", clock) as two:
            away = dataclasses.replace(one.blesser, addresses=())
            both = Quorum((away.key, two.blesser.key))
            charter = Charter(one.charter.grid, "one", (away, two.blesser), ((STORAGE, both),), both)
            one.office.config = dataclasses.replace(one.office.config, charter=charter)
            account = one.office.invite_account("alice", GIB, DAY)
            alice = joined(account, tmp_path / "alice", clock, [pin(1)])
            await alice.once()
            assert any(said.startswith(b"/v1/enrol") for said in two.said)
            assert bytes(account.ticket) not in b"".join(two.said)
            alice.close()

    run(work())


def test_no_secret_of_anybody_is_in_any_byte_that_is_sent(tmp_path: Path) -> None:
    async def work() -> None:
        clock = Clock()
        async with blessing(tmp_path / "family", clock) as there, relay(there.hint) as (through, wires):
            text = (tmp_path / "family" / "blesser.toml").read_text()
            assert str(there.hint) in text
            there.office.config = dataclasses.replace(
                there.office.config,
                charter=dataclasses.replace(
                    there.charter, blessers=(dataclasses.replace(there.blesser, addresses=(str(through),)),)
                ),
            )
            plate, words = there.meetings.open(there.office.invite_account("alice", GIB, DAY))
            found = await meeting.meet(ShortCode(plate, words, through), Rules(), os.urandom)
            alice = joined(found, tmp_path / "alice", clock, [pin(1), pin(2)])
            attic = server_joined(there.office.invite_server((STORAGE,), (), DAY), tmp_path / "attic", clock, seed(1))
            await alice.once()
            await attic.once()
            assert alice.badge(pin(2)) is not None and attic.blessings(STORAGE)
            secret = holder.secret(tmp_path / "alice")
            keys = there.office.keys
            derived = [client_seed(secret, one).raw for one in (pin(1), pin(2), pin_of(keys.public))]
            sent = b"".join([*there.said, *(bytes(one.up + one.down) for one in wires)])
            assert len(sent) > 4000 and secret.raw not in sent
            for raw in (keys.blesser.raw, keys.server.raw, keys.accounts.raw, secret.raw, seed(1).raw, *derived):
                for form in _forms(raw):
                    assert form not in sent
            assert not any(b"lantern" in one or "-".join(words).encode() in one for one in there.said)
            alice.close()
            attic.close()

    run(work())


def _forms(raw: bytes) -> list[bytes]:
    """How 32 bytes could be written."""
    found = [raw, raw[::-1], raw.hex().encode(), raw.hex().upper().encode()]
    for offset in range(3):
        found.append(base64.b64encode(bytes(offset) + raw)[4:36])
        found.append(base64.urlsafe_b64encode(bytes(offset) + raw)[4:36])
    for offset in range(5):
        found += [base64.b32encode(bytes(offset) + raw)[8:40], base64.b32encode(bytes(offset) + raw)[8:40].lower()]
    return found


def test_an_invitation_names_no_secret_but_its_ticket(tmp_path: Path) -> None:
    make_home(tmp_path / "family", "tcp:127.0.0.1:4653")
    with office(tmp_path / "family", Clock()) as found:
        invitation = found.invite_account("alice", GIB, DAY)
        for raw in (found.keys.blesser.raw, found.keys.server.raw, found.keys.accounts.raw):
            assert all(form not in invitation.encoded and form not in invitation.text.encode() for form in _forms(raw))
        for shown in (repr(invitation), str(found.keys), repr(invitation.ticket)):
            assert invitation.ticket.hex() not in shown and found.keys.blesser.raw.hex() not in shown
            assert repr(found.keys.blesser.raw) not in shown and repr(bytes(invitation.ticket)) not in shown


# ── kill -9 ──

_KILLED = """
import os, signal, sys
from pathlib import Path
from commonhold.authority import enrolling
from tests.grids.blessers import Clock, office
def die(*given):
    os.kill(os.getpid(), signal.SIGKILL)
if sys.argv[2] == "signing":
    enrolling.statements = die
with office(Path(sys.argv[1]), Clock()) as found:
    if sys.argv[2] == "list":
        import commonhold.blesser.office as module
        module.signed = die
        found.sign_list()
    answer = found.ask(bytes.fromhex(sys.stdin.read()))
    die()
"""


@pytest.mark.parametrize("when", ["signing", "answering"])
def test_a_blesser_that_dies_after_it_wrote_down_answers_the_same_when_asked_again(tmp_path: Path, when: str) -> None:
    home = tmp_path / "family"
    make_home(home, "tcp:127.0.0.1:4653")
    with office(home, Clock()) as found:
        there = Serving(found, None, None)  # type: ignore[arg-type]
        request = asking(there, pin(1), pin(2), ticket=found.invite_account("alice", GIB, DAY).ticket)
    assert _killed(home, when, request) == -signal.SIGKILL
    with office(home, Clock()) as found:
        before, _ = found.state()
        assert len(before.issued) == 2 and not before.invitations
        answer = found.ask(request)
        assert answer and {credential.parse(decode(Said.CREDENTIAL, one)).serial for one in answer} == set(
            before.issued
        )
        assert found.ask(request) == answer and found.state()[0] == before


def test_a_blesser_that_dies_while_it_signs_a_list_never_signs_that_number_twice(tmp_path: Path) -> None:
    home = tmp_path / "family"
    make_home(home, "tcp:127.0.0.1:4653")
    assert _killed(home, "list", b"") == -signal.SIGKILL
    with office(home, Clock()) as found:
        assert found.state()[0].sequence == 1
        found.sign_list()
        assert found.state()[0].sequence == 2


def _killed(home: Path, when: str, request: bytes) -> int:
    done = subprocess.run(
        [sys.executable, "-c", _KILLED, str(home), when], input=request.hex().encode(), check=False, timeout=SECONDS,
        cwd=Path(__file__).parents[2],
    )  # fmt: skip
    return done.returncode


def test_concurrent_joins_with_one_ticket_have_one_winner(tmp_path: Path) -> None:
    async def work() -> None:
        clock = Clock()
        async with blessing(tmp_path / "family", clock) as there:
            invitation = there.office.invite_account("alice", GIB, DAY)
            people = [joined(invitation, tmp_path / f"person{number}", clock, [pin(1)]) for number in range(6)]
            await asyncio.gather(*(one.once() for one in people))
            assert sum(one.badge(pin(1)) is not None for one in people) == 1
            for one in people:
                one.close()

    run(work())
