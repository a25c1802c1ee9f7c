"""A blesser's side: who is let in at once, who waits for a person, who is renewed; and what its ledger knows.

REQUIREMENTS B8, B23, B24, B25, B26.
"""

from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from typing import Any

import pytest

from commonhold.authority import enrolling, entering
from commonhold.authority.blessed import announced, may_upload
from commonhold.authority.derived import Secret, account_number, client_seed
from commonhold.authority.enrolling import Denied, Desk, Held, Terms, asked, consider, grant_account, grant_server
from commonhold.authority.entering import Admitted, Door, may_enter
from commonhold.authority.ledger import (
    Account,
    AccountInvitation,
    Granted,
    Host,
    Ledger,
    ServerInvitation,
    digest,
)
from commonhold.authority.lists import Lists
from commonhold.authority.nonces import Given
from commonhold.authority.times import SKEW
from commonhold.authority.trust import Trust, of_its_blesser
from commonhold.crypto import sign
from commonhold.crypto.statements import signed
from commonhold.formats.announcement import Announcement
from commonhold.formats.blessing import INTRODUCER, STORAGE, Blessing
from commonhold.formats.credential import Credential
from commonhold.formats.entry import Entry, Nonce
from commonhold.formats.keys import Seed
from commonhold.formats.malformed import Malformed
from commonhold.formats.pin import SpkiPin
from commonhold.formats.request import AccountRequest, Request, Seat, ServerRequest, Ticket
from commonhold.formats.statement import Kind
from tests.authority.parties import DAY, NOW, grid, pin, public, rule, seed

TICKET = Ticket(b"t" * 32)
TERMS = Terms(public("blesser"), Secret(b"s" * 32))
STORES = frozenset((STORAGE,))


def desk(ledger: Ledger | None = None, now: int = NOW, draw: Iterator[int] | None = None, **terms: Any) -> Desk:
    return Desk(ledger or Ledger(grid()), replace(TERMS, **terms), now, draw or count(100))


def server(**other: Any) -> ServerRequest:
    """The attic's, to store."""
    return replace(ServerRequest(grid(), public("blesser"), NOW, pin("attic"), (STORAGE,)), **other)


def account(**other: Any) -> AccountRequest:
    """Alice's, for the attic."""
    seats = (Seat(pin("attic"), public("alice at the attic")),)
    return replace(AccountRequest(grid(), public("blesser"), NOW, "alice", seats), **other)


def known(**account: Any) -> Ledger:
    """A blesser that knows the attic and Alice."""
    ledger = Ledger(grid())
    ledger.hosts[pin("attic")] = Host(pin("attic"), STORES, ("reliable",))
    ledger.accounts["alice"] = replace(Account("alice", public("alice"), 50), **account)
    return ledger


def inviting(not_after: int = NOW + DAY) -> Ledger:
    """A blesser that knows nobody and has two tickets out."""
    ledger = Ledger(grid())
    ledger.invite(ServerInvitation(digest(TICKET), STORES, ("new",), not_after))
    ledger.invite(AccountInvitation(digest(Ticket(b"u" * 32)), "alice", 70, not_after))
    return ledger


def granted(found: object) -> Granted:
    assert isinstance(found, Granted), found
    return found


def entered(ledger: Ledger, found: object) -> Granted:
    ledger.enter(granted(found))
    return granted(found)


# ── from the first start on ──


def test_b23_a_server_boots_asks_is_blessed_and_publishes_both() -> None:
    ledger = inviting()
    data = signed(Kind.REQUEST, server(ticket=TICKET).body, seed("attic")).encoded
    found = entered(ledger, consider(desk(ledger), *asked(data)))
    (blessing,) = enrolling.statements(found, seed("blesser"))
    known = Lists(((public("blesser"), grid()),))
    known.take(signed(Kind.REVOCATIONS, ledger.next_list(NOW, DAY).body, seed("blesser")).encoded)
    said = Announcement(grid(), STORAGE, pin("attic"), ("tcp:attic:1",), 1, NOW + DAY, (blessing.encoded,))
    trust = Trust((of_its_blesser(grid()),))
    assert may_upload(announced(said), trust, known, NOW).classes == {"new"}
    assert bytes(TICKET) not in said.body
    ledger.revoke_server(pin("attic"))
    known.take(signed(Kind.REVOCATIONS, ledger.next_list(NOW, DAY).body, seed("blesser")).encoded)
    assert not may_upload(announced(said), trust, known, NOW).allowed


def test_b24_b25_b26_an_account_asks_and_enters_at_each_server_under_another_key_and_number() -> None:
    secret, ledger = Secret(b"a" * 32), inviting()
    places = sorted(pin(name) for name in ("attic", "cellar"))
    seats = tuple(Seat(place, sign.public_key(client_seed(secret, place))) for place in places)
    wish = account(seats=seats, ticket=Ticket(b"u" * 32))
    data = signed(Kind.REQUEST, wish.body, seed("alice")).encoded
    found = enrolling.statements(entered(ledger, consider(desk(ledger), *asked(data))), seed("blesser"))
    numbers = set()
    for place, credential in zip(places, found, strict=True):
        admitted = enter(place, credential.encoded, client_seed(secret, place))
        assert isinstance(admitted, Admitted) and admitted.quota == 70
        assert admitted.account == account_number(TERMS.secret, "alice", place)
        assert b"alice" not in credential.encoded  # what its servers are told is a number
        numbers.add((admitted.account, admitted.client))
        other = next(one for one in places if one != place)
        assert not isinstance(enter(other, credential.encoded, client_seed(secret, place)), Admitted)
    assert len({number for number, _ in numbers}) == len({client for _, client in numbers}) == 2


def enter(place: SpkiPin, credential: bytes, key: Seed) -> Admitted | entering.Refusal:
    nonce = Nonce(b"n" * 32)
    said = signed(Kind.ENTRY, Entry(nonce, place, pin("line"), grid(), NOW).body, key).encoded
    shown = entering.knock(pin("line"), [credential], said)
    return may_enter(Door(place, grid(), rule("blesser")), shown, Given(nonce, pin("line"), NOW), Lists(()), NOW)


# ── who asks ──


def test_a_request_is_its_signer_s() -> None:
    data = signed(Kind.REQUEST, account().body, seed("alice")).encoded
    assert asked(data) == (public("alice"), account())
    for refused in (
        data[:-1] + bytes([data[-1] ^ 1]),
        signed(Kind.REQUEST, server().body, seed("alice")).encoded,  # in the attic's name
        b"",
    ):
        with pytest.raises(Malformed):
            asked(refused)


@pytest.mark.parametrize("wish", [server(), account()])
@pytest.mark.parametrize(
    "other",
    [{"grid": grid("test")}, {"blesser": public("second")}, {"time": NOW + SKEW + 1}, {"time": NOW - SKEW - 1}],
    ids=str,
)
def test_a_request_for_another_blesser_or_grid_or_of_another_time_is_denied(wish: Request, other: Any) -> None:
    key = public("alice")
    assert isinstance(consider(desk(known()), key, wish), Granted)
    assert isinstance(consider(desk(known()), key, replace(wish, **other)), Denied)


def test_who_is_not_known_waits_for_a_person() -> None:
    assert consider(desk(), public("attic"), server()) == Held("a server that is not known")
    assert consider(desk(), public("alice"), account()) == Held("an account that is not known")


def test_who_is_known_is_renewed_as_what_was_decided() -> None:
    ledger = known()
    (blessing,) = granted(consider(desk(ledger), public("attic"), server())).issued
    assert blessing.said == Blessing(grid(), STORAGE, pin("attic"), ("reliable",), NOW, NOW + 30 * DAY, 100)
    (credential,) = granted(consider(desk(ledger), public("alice"), account())).issued
    number, begins = account_number(TERMS.secret, "alice", pin("attic")), credential.said.not_before
    assert NOW - DAY < begins <= NOW
    assert credential.said == Credential(
        grid(), pin("attic"), number, public("alice at the attic"), 50, begins, begins + 30 * DAY, 100
    )


def test_d18_credentials_that_were_asked_for_together_have_no_time_in_common() -> None:
    seats = tuple(Seat(pin(f"server {n}"), public(f"alice at {n}")) for n in range(20))
    wish = account(seats=tuple(sorted(seats)))
    said = [one.said for one in granted(consider(desk(known()), public("alice"), wish)).issued]
    assert len({one.not_before for one in said}) == len({one.not_after for one in said}) == 20
    short = granted(consider(desk(known(), life=60), public("alice"), wish)).issued
    assert all(NOW - 2 < one.said.not_before <= NOW for one in short)


def test_who_is_known_waits_where_nothing_is_renewed_without_a_person() -> None:
    for key, wish in ((public("attic"), server()), (public("alice"), account())):
        assert isinstance(consider(desk(known(), renews=False), key, wish), Held)


def test_a_server_that_asks_for_more_waits() -> None:
    wish = server(purposes=(STORAGE, INTRODUCER))
    assert consider(desk(known()), public("attic"), wish) == Held("a server that is known asks for more")


def test_another_s_key_has_no_part_in_an_account() -> None:
    assert isinstance(consider(desk(known()), public("mallory"), account()), Held)
    ledger = known()
    ledger.invite(AccountInvitation(digest(TICKET), "alice", 1, NOW + DAY))
    assert isinstance(consider(desk(ledger), public("mallory"), account(ticket=TICKET)), Denied)


def test_b8_who_is_revoked_is_not_renewed_not_even_with_a_ticket() -> None:
    ledger = known()
    ledger.revoke_server(pin("attic"))
    ledger.revoke_account("alice")
    ledger.invite(ServerInvitation(digest(TICKET), STORES, (), NOW + DAY))
    for key, wish in ((public("attic"), server(ticket=TICKET)), (public("alice"), account(ticket=TICKET))):
        found = consider(desk(ledger), key, wish)
        assert isinstance(found, Denied) and "revoked" in found.why


# ── tickets ──


def test_a_ticket_is_good_once() -> None:
    ledger = inviting()
    first = consider(desk(ledger), public("attic"), server(ticket=TICKET))
    assert entered(ledger, first).host == Host(pin("attic"), STORES, ("new",))
    again = server(ticket=TICKET, server=pin("cellar"))
    assert isinstance(consider(desk(ledger), public("cellar"), again), Denied)


def test_whose_answer_was_lost_asks_again_with_the_used_ticket_and_gets_the_same() -> None:
    ledger = inviting()
    first = entered(ledger, consider(desk(ledger), public("attic"), server(ticket=TICKET)))
    again = granted(consider(desk(ledger), public("attic"), server(ticket=TICKET)))
    assert again.issued == first.issued and again.spent is None


def test_a_ticket_is_for_what_it_was_made_for() -> None:
    ledger = inviting()
    more = server(ticket=TICKET, purposes=(STORAGE, INTRODUCER))
    assert isinstance(consider(desk(ledger), public("attic"), more), Denied)
    assert isinstance(consider(desk(ledger), public("alice"), account(ticket=TICKET)), Denied)
    other = account(ticket=Ticket(b"u" * 32), account="bob")
    assert isinstance(consider(desk(ledger), public("bob"), other), Denied)
    assert isinstance(consider(desk(ledger), public("attic"), server(ticket=Ticket(b"x" * 32))), Denied)
    assert len(ledger.invitations) == 2


def test_a_ticket_expires() -> None:
    wish = server(ticket=TICKET)
    assert isinstance(consider(desk(inviting(NOW - SKEW + 1)), public("attic"), wish), Granted)
    assert isinstance(consider(desk(inviting(NOW - SKEW)), public("attic"), wish), Denied)


def test_a_ledger_has_of_a_ticket_only_its_digest() -> None:
    assert bytes(TICKET) not in repr(inviting()).encode("latin-1", "replace") and digest(TICKET) != bytes(TICKET)


def test_what_is_decided_changes_nothing_until_it_is_entered() -> None:
    ledger, same = inviting(), inviting()
    consider(desk(ledger), public("attic"), server(ticket=TICKET))
    assert ledger == same


# ── a person decides ──


def test_what_a_person_decided_is_granted_and_renewed_from_then_on() -> None:
    ledger = Ledger(grid())
    entered(ledger, grant_server(desk(ledger), server(), Host(pin("attic"), STORES)))
    entered(ledger, grant_account(desk(ledger), account(), Account("alice", public("alice"), 9)))
    for key, wish in ((public("attic"), server()), (public("alice"), account())):
        assert isinstance(consider(desk(ledger), key, wish), Granted)


def test_a_person_s_decision_is_of_whom_it_was_made() -> None:
    for host in (
        Host(pin("cellar"), STORES), Host(pin("attic"), frozenset()), Host(pin("attic"), STORES, revoked=True)
    ):  # fmt: skip
        assert isinstance(grant_server(desk(), server(), host), Denied)
    for one in (Account("bob", public("alice"), 9), Account("alice", public("alice"), 9, revoked=True)):
        assert isinstance(grant_account(desk(), account(), one), Denied)


def test_of_what_a_server_asks_for_it_gets_what_was_decided() -> None:
    wish = server(purposes=(INTRODUCER, STORAGE))
    found = granted(grant_server(desk(), wish, Host(pin("attic"), STORES)))
    assert [one.said.purpose for one in found.issued if isinstance(one.said, Blessing)] == [STORAGE]


# ── serials, and how much is out ──


def test_b8_serials_are_those_that_were_drawn_and_none_twice() -> None:
    ledger = known()
    entered(ledger, consider(desk(ledger, draw=iter([7])), public("attic"), server()))
    found = granted(consider(desk(ledger, draw=iter([7, 1 << 63, -1, 9])), public("alice"), account()))
    assert [one.said.serial for one in found.issued] == [9]
    with pytest.raises(Malformed):
        consider(desk(ledger, draw=iter([7])), public("alice"), account())


def test_asking_often_fills_no_ledger() -> None:
    ledger = known()
    for number in range(50):
        entered(ledger, consider(desk(ledger, draw=count(1000 * number)), public("alice"), account()))
    assert len(ledger.issued) == 1


def test_a_renewal_has_a_new_serial_once_half_of_the_life_is_over() -> None:
    ledger = known()
    for after, serials in ((0, 1), (14 * DAY, 1), (15 * DAY, 2)):
        now = NOW + after
        entered(ledger, consider(desk(ledger, now, count(after + 1)), public("alice"), account(time=now)))
        assert len(ledger.issued) == serials


def test_a_revoked_serial_and_another_quota_are_not_given_again() -> None:
    ledger = known()
    entered(ledger, consider(desk(ledger), public("alice"), account()))
    ledger.revoke(100)
    assert granted(consider(desk(ledger, draw=count(200)), public("alice"), account())).issued[0].said.serial == 200
    ledger.revoked.clear()
    ledger.accounts["alice"] = Account("alice", public("alice"), 51)
    assert granted(consider(desk(ledger, draw=count(200)), public("alice"), account())).issued[0].said.serial == 200


def test_one_account_has_no_more_than_its_part_of_the_ledger(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(enrolling, "MAX_OF_ONE", 3)
    ledger = known()
    for number in range(3):
        wish = account(seats=(Seat(pin("attic"), public(f"{number}")),))
        entered(ledger, consider(desk(ledger, draw=count(10 * number)), public("alice"), wish))
    assert isinstance(consider(desk(ledger), public("alice"), account()), Denied)
    assert isinstance(consider(desk(ledger, draw=count(900)), public("attic"), server()), Granted)
    monkeypatch.setattr(enrolling, "MAX_ISSUED", 3)
    assert isinstance(consider(desk(ledger, draw=count(900)), public("attic"), server()), Denied)


# ── the ledger ──


def full() -> Ledger:
    """The attic and Alice have what they ask for: serials 1 and 2, 3."""
    ledger = known()
    entered(ledger, consider(desk(ledger, draw=count(1)), public("attic"), server()))
    seats = tuple(Seat(place, public("a")) for place in sorted((pin("attic"), pin("cellar"))))
    entered(ledger, consider(desk(ledger, draw=count(2)), public("alice"), account(seats=seats)))
    return ledger


def test_b8_what_is_taken_back_is_on_every_list_until_it_would_have_expired() -> None:
    ledger = full()
    assert ledger.revoke_account("alice") == {2, 3}
    found = ledger.next_list(NOW, DAY)
    assert (found.sequence, found.issued, found.fresh_until, found.serials) == (1, NOW, NOW + DAY, (2, 3))
    ends = {serial: one.said.not_after + 2 * SKEW for serial, one in ledger.issued.items()}
    assert ledger.next_list(min(ends[2], ends[3]) - 1, DAY).serials == (2, 3)
    last = ledger.next_list(max(ends.values()), DAY)
    assert (last.sequence, last.serials, ledger.issued) == (3, (), {})


def test_b8_servers_accounts_and_single_statements_are_taken_back_apart() -> None:
    assert full().revoke_server(pin("attic")) == {1}
    assert full().revoke_account("alice") == {2, 3}
    assert full().revoke(2) == {2}
    for nothing in (full().revoke(9), full().revoke_server(pin("x")), full().revoke_account("x")):
        assert nothing == frozenset()


def test_invitations_that_nobody_used_are_forgotten() -> None:
    ledger = inviting()
    ledger.forget(NOW + DAY + 2 * SKEW - 1)
    assert len(ledger.invitations) == 2
    ledger.forget(NOW + DAY + 2 * SKEW)
    assert not ledger.invitations
