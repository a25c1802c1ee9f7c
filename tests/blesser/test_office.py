"""What a blesser knows is on its disk; what strangers may make it do has limits."""

import dataclasses
import os
import threading
from pathlib import Path

import pytest

from commonhold.authority.derived import Secret, client_seed
from commonhold.blesser import config, home, main
from commonhold.blesser.book import MAX_WAITING, Book
from commonhold.blesser.meetings import MOST, Meetings, Outcome
from commonhold.blesser.office import Office
from commonhold.blesser.orders import Orders
from commonhold.blesser.rates import Rate
from commonhold.crypto import sign
from commonhold.crypto.statements import signed, verified
from commonhold.errors import HoldError, Kind
from commonhold.formats import blessing, invitation, revocations, shortcode
from commonhold.formats.blessing import INTRODUCER, STORAGE
from commonhold.formats.invitation import Invitation
from commonhold.formats.pin import pin_of
from commonhold.formats.request import AccountRequest, Seat, ServerRequest
from commonhold.formats.statement import Kind as Said
from commonhold.formats.statement import decode
from tests.grids.blessers import DAY, GIB, NOW, Clock, make_home, office, pin, seed


@pytest.fixture
def family(tmp_path: Path) -> Path:
    make_home(tmp_path / "family", "tcp:192.0.2.7:4653")
    return tmp_path / "family"


def server_asks(found: Office, number: int, **other: object) -> bytes:
    sound = {
        "grid": found.config.charter.grid, "blesser": found.keys.public, "time": NOW, "server": pin(number),
        "purposes": (STORAGE,),
    }  # fmt: skip
    return signed(Said.REQUEST, ServerRequest(**sound | other).body, seed(number)).encoded  # type: ignore[arg-type]


def account_asks(found: Office, name: str, number: int, seats: int = 1) -> bytes:
    secret = Secret(number.to_bytes(32, "big"))
    places = sorted(pin(one) for one in range(seats))
    wish = AccountRequest(
        found.config.charter.grid, found.keys.public, NOW, name,
        tuple(Seat(one, sign.public_key(client_seed(secret, one))) for one in places),
    )  # fmt: skip
    return signed(Said.REQUEST, wish.body, client_seed(secret, pin_of(found.keys.public))).encoded


def test_all_that_is_known_is_there_after_a_restart(family: Path) -> None:
    clock = Clock()
    with office(family, clock) as found:
        found.bless(pin(1), (STORAGE, INTRODUCER), ("attic", "fast"), 90 * DAY)
        found.invite_account("alice", GIB, DAY)
        found.invite_server((STORAGE,), ("attic",), DAY)
        assert found.ask(account_asks(found, "bob", 5)) is None
        found.approve(1, 5 * GIB, ())
        assert found.ask(account_asks(found, "bob", 5, seats=1024))
        assert found.ask(server_asks(found, 7)) is None
        found.revoke_server(pin(1))
        before = found.state()
        newest = found.revocations()
    assert (
        before[0].revoked and before[0].hosts and before[0].accounts and len(before[0].invitations) == 2 and before[1]
    )
    with office(family, clock) as found:
        assert found.state() == before and found.revocations() == newest


def test_what_is_over_is_forgotten_on_the_disk_too(family: Path) -> None:
    clock = Clock()
    with office(family, clock) as found:
        found.bless(pin(1), (STORAGE,), (), DAY)
        found.invite_account("alice", GIB, DAY)
        assert found.ask(server_asks(found, 7)) is None
        clock.now += 40 * DAY
        found.sign_list()
    with office(family, clock) as found:
        ledger, waiting = found.state()
        assert not ledger.issued and not ledger.invitations and not waiting and pin(1) in ledger.hosts


def test_a_list_names_what_was_revoked_and_each_has_the_next_number(family: Path) -> None:
    with office(family, Clock()) as found:
        (data,) = found.bless(pin(1), (STORAGE,), (), DAY)
        serial = blessing.parse(decode(Said.BLESSING, data)).serial
        first = revocations.parse(verified(Said.REVOCATIONS, found.revocations()))
        assert (first.sequence, first.serials, first.fresh_until) == (1, (), NOW + DAY)
        found.revoke_server(pin(1))
        second = revocations.parse(verified(Said.REVOCATIONS, found.revocations()))
        assert (second.sequence, second.serials) == (2, (serial,))
        with pytest.raises(HoldError, match="revoked"):
            found.ask(server_asks(found, 1))


def test_a_smaller_or_larger_need_is_met_beside_what_there_is(family: Path) -> None:
    with office(family, Clock()) as found:
        (first,) = found.bless(pin(1), (STORAGE,), ("attic",), 30 * DAY)
        found.bless(pin(1), (INTRODUCER,), ("attic",), 30 * DAY)
        answer = found.ask(server_asks(found, 1, purposes=(STORAGE, INTRODUCER)))
        assert answer and first in answer and len(answer) == 2 and len(found.state()[0].issued) == 2


def test_so_many_strangers_wait_and_no_more_and_each_once(family: Path) -> None:
    with office(family, Clock()) as found:
        for number in range(MAX_WAITING):
            assert found.ask(server_asks(found, number)) is None
        assert found.ask(server_asks(found, 3, purposes=(STORAGE, INTRODUCER))) is None
        with pytest.raises(HoldError) as error:
            found.ask(server_asks(found, MAX_WAITING))
        assert error.value.kind is Kind.BUSY and len(found.state()[1]) == MAX_WAITING
        assert found.state()[1][3].purposes == (INTRODUCER, STORAGE)
        ticket = found.invite_server((STORAGE,), (), DAY).ticket
        assert found.ask(server_asks(found, 1000, ticket=ticket))  # who was invited is none of them
        found.decline(1)
        assert found.ask(server_asks(found, MAX_WAITING)) is None
        with pytest.raises(HoldError):
            found.approve(1, 0, ())


def test_a_stranger_is_not_told_why_it_waits(family: Path) -> None:
    with office(family, Clock()) as found:
        assert found.ask(account_asks(found, "alice", 1)) is found.ask(account_asks(found, "bob", 2)) is None


def test_two_processes_do_not_work_on_one_book(family: Path) -> None:
    with office(family, Clock()), pytest.raises(HoldError) as error, office(family, Clock()):
        pass
    assert error.value.kind is Kind.BUSY


def test_many_threads_with_one_ticket_have_one_winner(family: Path) -> None:
    with office(family, Clock()) as found:
        ticket = found.invite_server((STORAGE,), (), DAY).ticket
        went: list[bool] = []

        def ask(number: int) -> None:
            try:
                went.append(bool(found.ask(server_asks(found, number, ticket=ticket))))
            except HoldError:
                went.append(False)

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(went) == [False] * 15 + [True] and len(found.state()[0].hosts) == 1


def test_a_home_is_its_owners_alone_and_is_made_once(family: Path, tmp_path: Path) -> None:
    assert {one.stat().st_mode & 0o777 for one in family.iterdir()} == {
        0o600
    } and family.stat().st_mode & 0o777 == 0o700
    with pytest.raises(HoldError) as error:
        make_home(family, "tcp:192.0.2.7:4653")
    assert error.value.kind is Kind.EXISTS
    (family / "blesser.pem").chmod(0o644)
    with pytest.raises(HoldError) as error, office(family, Clock()):
        pass
    assert error.value.kind is Kind.DENIED
    with pytest.raises(HoldError) as error, home.opened(tmp_path / "none", "test"):
        pass
    assert error.value.kind is Kind.NOT_FOUND


def test_a_home_that_was_broken_off_keeps_its_keys(family: Path) -> None:
    """D3."""
    keys = home.keys(family)
    (family / "blesser.toml").unlink()
    make_home(family, "tcp:192.0.2.7:4653")
    assert home.keys(family) == keys


def test_the_key_that_blesses_is_not_the_one_that_tls_shows(family: Path) -> None:
    keys = home.keys(family)
    assert keys.pin != pin_of(keys.public) and keys.blesser != keys.server


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("life_days = 30", "life_days = 0", "life_days"),
        ("life_days = 30", "life_days = 1.5", "life_days"),
        ("list_minutes = 60", "list_minutes = 721", "more than half"),
        ("list_hours = 24", "list_hours = 1", "more than half"),
        ('listen = ["tcp:192.0.2.7:4653"]', 'listen = ["tcp:attic.example:4653"]', "listen"),
        ('listen = ["tcp:192.0.2.7:4653"]', 'listen = "tcp:192.0.2.7:4653"', "listen"),
        ("listen = ", "listens = ", "no such field"),
        ("[[blessers]]\nkey", "[[blessers]]\nlock", "no such field"),
    ],
)
def test_what_is_wrong_with_a_config_is_said(family: Path, old: str, new: str, why: str) -> None:
    path = family / "blesser.toml"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(HoldError, match=why) as error:
        config.read(path, "family", home.keys(family).public)
    assert error.value.kind is Kind.USAGE


def test_a_config_that_does_not_name_its_own_key_is_refused(family: Path, tmp_path: Path) -> None:
    with pytest.raises(HoldError, match="nothing of the blesser"):
        config.read(family / "blesser.toml", "family", make_home(tmp_path / "x", "tcp:192.0.2.7:1").public)


def by_tor(family: Path, *lines: str, listen: str = "tcp:127.0.0.1:4653", announce: str = "") -> None:
    """Have the blesser's config say more, and listen and be announced elsewhere."""
    path = family / "blesser.toml"
    text = path.read_text().replace('listen = ["tcp:192.0.2.7:4653"]', f'listen = ["{listen}"]')
    text = text.replace('addresses = ["tcp:192.0.2.7:4653"]', f"addresses = [{announce}]")
    assert listen in text and "192.0.2.7" not in text.replace(announce, "")
    onion = '[onion]\ncontrol = "unix:/run/tor/control"\ncookie = "/run/tor/control.authcookie"\nport = 4653\n'
    path.write_text("\n".join((*lines, text, onion)))


def test_a_blesser_behind_an_onion_address_is_in_the_charter_with_it(family: Path) -> None:
    by_tor(family, 'tor = "tcp:127.0.0.1:9050"', "anonymous = true")
    found, keys = main.read(family)
    onion = found.tor.onion(family)
    assert onion is not None and found.own.addresses == (str(onion.service.hint),)
    assert found.charter.blesser(keys.public) == found.own and found.tor.rules.anonymous
    assert main.read(family)[0] == found


def test_an_anonymous_blesser_that_others_are_to_dial_directly_is_refused(family: Path) -> None:
    by_tor(family, 'tor = "tcp:127.0.0.1:9050"', "anonymous = true", announce='"tcp:192.0.2.7:4653"')
    with pytest.raises(HoldError, match="announce: it is to be anonymous") as error:
        main.read(family)
    assert error.value.kind is Kind.ANONYMITY


def test_a_blesser_with_more_addresses_than_a_charter_takes_is_told_so(family: Path) -> None:
    by_tor(family, announce=", ".join(f'"tcp:192.0.2.{number}:1"' for number in range(1, 9)))
    with pytest.raises(HoldError, match="with its onion address") as error:
        main.read(family)
    assert error.value.kind is Kind.USAGE


# ── codes ──


def meetings(found: Office, clock: Clock) -> Meetings:
    return Meetings(found.withdraw, lambda: float(clock.now), os.urandom)


def test_so_many_codes_are_out_and_no_more_until_some_are_over(family: Path) -> None:
    clock = Clock()
    with office(family, clock) as found:
        codes = meetings(found, clock)
        orders = Orders(found, codes)
        plates = [codes.open(found.invite_server((STORAGE,), (), DAY))[0] for _ in range(MOST)]
        assert len(set(plates)) == MOST
        with pytest.raises(HoldError) as error:
            orders.do({"do": "invite", "account": "alice", "quota": GIB, "short": True})
        assert error.value.kind is Kind.BUSY and "alice" not in found._invited()
        clock.now += 15 * 60
        assert orders.do({"do": "invite", "account": "alice", "quota": GIB, "short": True})["short"]
        assert codes.outcome(plates[0]) is Outcome.EXPIRED


def test_orders_give_codes_that_read_back(family: Path) -> None:
    clock = Clock()
    with office(family, clock) as found:
        orders = Orders(found, meetings(found, clock))
        long = orders.do({"do": "invite", "account": "alice", "quota": GIB, "seconds": DAY})
        read: Invitation = invitation.parse(long["code"])
        assert (read.account, read.not_after, read.by) == ("alice", NOW + DAY, found.keys.public)
        short = orders.do(
            {"do": "invite", "server": True, "purposes": ["storage"], "classes": ["attic"], "short": True}
        )
        code = shortcode.parse(short["code"])
        assert str(code.where) == "tcp:192.0.2.7:4653" and code.plate == short["number"] and short["until"] == NOW + 900
        with pytest.raises(HoldError) as error:
            Orders(found).do({"do": "invite", "account": "bob", "quota": GIB, "short": True})
        assert error.value.kind is Kind.UNREACHABLE


def test_a_blesser_that_no_code_can_name_gives_long_ones(family: Path) -> None:
    clock = Clock()
    with office(family, clock) as found:
        own = dataclasses.replace(found.config.own, addresses=("i2p:" + "a" * 52 + ".b32.i2p:1",))
        found.config = dataclasses.replace(found.config, own=own)
        with pytest.raises(HoldError, match="no address"):
            Orders(found, meetings(found, clock)).do({"do": "invite", "account": "bob", "quota": 1, "short": True})
        assert not found.state()[0].invitations


@pytest.mark.parametrize(
    "order",
    [
        {},
        {"do": "nothing"},
        {"do": ["invite"]},
        {"do": "invite", "account": "", "quota": 1, "seconds": 1},
        {"do": "invite", "account": "a" * 65, "quota": 1, "seconds": 1},
        {"do": "invite", "account": "a\n", "quota": 1, "seconds": 1},
        {"do": "invite", "account": "a", "quota": -1, "seconds": 1},
        {"do": "invite", "account": "a", "quota": (1 << 60) + 1, "seconds": 1},
        {"do": "invite", "account": "a", "quota": 1.5, "seconds": 1},
        {"do": "invite", "account": "a", "quota": 1, "seconds": 1 << 40},
        {"do": "invite", "server": True, "purposes": [], "seconds": 1},
        {"do": "invite", "server": True, "purposes": ["Storage"], "seconds": 1},
        {"do": "invite", "server": True, "purposes": ["storage"], "classes": ["a"] * 9, "seconds": 1},
        {"do": "bless", "server": "p", "purposes": ["storage"], "seconds": 1},
        {"do": "revoke", "server": 7},
        {"do": "approve", "number": "1"},
    ],
)
def test_an_order_that_is_none_changes_nothing(family: Path, order: dict[str, object]) -> None:
    with office(family, Clock()) as found:
        before = found.state()
        with pytest.raises(HoldError) as error:
            Orders(found).do(order)
        assert error.value.kind is Kind.USAGE and found.state() == before


@pytest.mark.parametrize(
    "order",
    [{"do": "revoke", "account": "nobody"}, {"do": "restore", "server": str(pin(3))}, {"do": "decline", "number": 4}],
)
def test_who_is_not_known_is_not_found(family: Path, order: dict[str, object]) -> None:
    with office(family, Clock()) as found, pytest.raises(HoldError) as error:
        Orders(found).do(order)
    assert error.value.kind is Kind.NOT_FOUND


def test_a_rate_gives_so_many_at_once_and_then_one_each() -> None:
    clock = Clock()
    rate = Rate(3, 6.0, lambda: float(clock.now))
    assert [rate.take() for _ in range(4)] == [True, True, True, False]
    clock.now += 5
    assert not rate.take()
    clock.now += 1
    assert rate.take() and not rate.take()
    clock.now += 1_000_000
    assert [rate.take() for _ in range(4)] == [True, True, True, False]


def test_a_book_of_another_format_is_not_touched(family: Path) -> None:
    import sqlite3

    with office(family, Clock()):
        pass
    db = sqlite3.connect(family / "blesser.sqlite")
    db.execute("pragma user_version = 9")
    db.commit()
    db.close()
    with pytest.raises(HoldError) as error:
        Book(family / "blesser.sqlite")
    assert error.value.kind is Kind.VERSION
