"""A blesser signs blindly no more than it grants, however often and however many ask at once. REQUIREMENTS D19, B26."""

import contextlib
import itertools
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from commonhold.authority.derived import Secret, client_seed
from commonhold.authority.tokens import Wallet
from commonhold.blesser import config, home
from commonhold.blesser.mints import FILE
from commonhold.blesser.office import Office
from commonhold.blesser.orders import Orders
from commonhold.crypto import sign
from commonhold.crypto.statements import signed, verified
from commonhold.errors import HoldError, Kind
from commonhold.formats import enrolwords, revocations
from commonhold.formats.blinded import Blank, Mint, MintId, Terms
from commonhold.formats.malformed import Malformed
from commonhold.formats.pin import SpkiPin, pin_of
from commonhold.formats.request import AccountRequest, BlindRequest, Order, Seat, Ticket
from commonhold.formats.statement import Kind as Said
from tests.grids.blessers import DAY, GIB, NOW, Clock, make_home, office, pin

SEATS = 3


@pytest.fixture
def family(tmp_path: Path) -> Path:
    path = tmp_path / "family"
    make_home(path, "tcp:192.0.2.7:4653")
    with (path / home.CONFIG).open("a") as file:
        file.write(f"\n[blinded]\ndenominations = [{GIB}, {10 * GIB}]\nseats = {SEATS}\n")
    return path


@pytest.fixture
def at_work(family: Path) -> Iterator[Office]:
    with office(family, Clock()) as found:
        yield found


def secret(name: str) -> Secret:
    return Secret(name.encode().ljust(32))


def listed(found: Office) -> dict[MintId, Mint]:
    said = revocations.parse(verified(Said.REVOCATIONS, found.revocations()))
    return {one.id(found.keys.public, said.grid): one for one in said.mints}


def wallet(found: Office, name: str = "alice", quota: int = GIB, now: int = NOW) -> Wallet:
    """Alice's, of a denomination and the period that it is."""
    ((name_of, mint),) = [
        one for one in listed(found).items() if one[1].quota == quota and one[1].not_before <= now < one[1].not_after
    ]
    return Wallet(secret(name), found.config.charter.grid, found.keys.public, name_of, mint)


def orders(of: Wallet, *servers: SpkiPin) -> list[Order]:
    return [Order(of.name, of.blank(server)) for server in servers]


def asks(
    found: Office, wanted: list[Order], name: str = "alice", ticket: Ticket | None = None, now: int = NOW
) -> bytes:
    wish = BlindRequest(found.config.charter.grid, found.keys.public, now, name, tuple(wanted), ticket)
    return signed(Said.REQUEST, wish.body, client_seed(secret(name), pin_of(found.keys.public))).encoded


def join(found: Office, name: str = "alice", quota: int = 5 * GIB) -> None:
    ticket = found.invite_account(name, quota, DAY).ticket
    assert found.blind(asks(found, [], name, ticket)) is not None


def refused(found: Office, data: bytes, why: str) -> None:
    with pytest.raises(HoldError, match=why) as error:
        found.blind(data)
    assert error.value.kind is Kind.BLESSING


def blanks(family: Path) -> int:
    """How many are on the disk."""
    with contextlib.closing(sqlite3.connect(family / FILE)) as db:
        return int(db.execute("select count(*) from blanks").fetchone()[0])


def test_a_token_is_what_comes_of_an_answer(at_work: Office) -> None:
    join(at_work)
    mine = wallet(at_work)
    answer = at_work.blind(asks(at_work, orders(mine, pin(1), pin(2))))
    assert answer is not None and answer[0] == Terms(GIB, SEATS)
    for server, one in zip((pin(1), pin(2)), answer[1], strict=True):
        assert mine.token(server, one).server == server
    with pytest.raises(Malformed):
        mine.token(pin(2), answer[1][0])
    assert enrolwords.decode_blinded(enrolwords.blinded_answer(*answer)) == answer


def test_so_many_for_a_period_and_not_one_more(at_work: Office) -> None:
    join(at_work)
    mine = wallet(at_work)
    refused(at_work, asks(at_work, orders(mine, *map(pin, range(4)))), "3 tokens")
    assert at_work.blind(asks(at_work, orders(mine, pin(1), pin(2))))
    assert at_work.blind(asks(at_work, orders(mine, pin(3))))
    refused(at_work, asks(at_work, orders(mine, pin(4))), "3 tokens")
    refused(at_work, asks(at_work, orders(mine, pin(1), pin(4))), "3 tokens")


def test_asked_again_the_same_is_answered_and_counts_once_also_after_a_restart(family: Path) -> None:
    clock = Clock()
    with office(family, clock) as found:
        join(found)
        wanted = asks(found, orders(wallet(found), pin(1), pin(2), pin(3)))
        first = found.blind(wanted)
        assert found.blind(wanted) == first
    with office(family, clock) as found:
        again = asks(found, orders(wallet(found), pin(3), pin(1)))
        answer = found.blind(again)
        assert first is not None and answer is not None and answer[1] == (first[1][2], first[1][0])
        refused(found, asks(found, orders(wallet(found), pin(4))), "3 tokens")


def test_many_who_ask_at_once_with_one_account_get_what_one_gets(at_work: Office) -> None:
    join(at_work)
    mine = wallet(at_work)
    requests = [asks(at_work, orders(mine, pin(number))) for number in range(12)]
    got: list[int] = []

    def ask(number: int) -> None:
        with contextlib.suppress(HoldError):
            at_work.blind(requests[number])
            got.append(number)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(12)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len(got) == SEATS
    assert sum(count for _, count in at_work.minted()) == SEATS


def test_another_denomination_or_a_key_that_is_none_is_refused(at_work: Office) -> None:
    join(at_work)
    refused(at_work, asks(at_work, orders(wallet(at_work, quota=10 * GIB), pin(1))), "bytes")
    refused(at_work, asks(at_work, [Order(MintId(bytes(32)), Blank(b"\1" * 384))]), "no key")
    assert not sum(count for _, count in at_work.minted())


def test_who_has_no_account_or_was_revoked_gets_nothing(at_work: Office) -> None:
    mine = wallet(at_work)
    assert at_work.blind(asks(at_work, orders(mine, pin(1)))) is None  # it waits for a person
    refused(at_work, asks(at_work, [], ticket=Ticket(bytes(32))), "ticket")
    join(at_work, "bob")
    at_work.revoke_account("bob")
    refused(at_work, asks(at_work, orders(wallet(at_work, "bob"), pin(1)), "bob"), "revoked")


def test_a_request_of_another_s_key_gets_nothing_of_an_account_s(at_work: Office) -> None:
    join(at_work)
    wish = BlindRequest(
        at_work.config.charter.grid, at_work.keys.public, NOW, "alice", tuple(orders(wallet(at_work), pin(1)))
    )
    mallorys = signed(Said.REQUEST, wish.body, client_seed(secret("mallory"), pin(9))).encoded
    assert at_work.blind(mallorys) is None
    sound = asks(at_work, [])
    with pytest.raises(Malformed):
        at_work.blind(sound[:-1] + bytes([sound[-1] ^ 1]))


def test_too_small_a_quota_uses_up_no_ticket(at_work: Office) -> None:
    ticket = at_work.invite_account("carol", GIB - 1, DAY).ticket
    refused(at_work, asks(at_work, [], "carol", ticket), "quota")
    assert len(at_work.state()[0].invitations) == 1


def test_an_account_has_credentials_or_tokens(at_work: Office) -> None:
    key = sign.public_key(client_seed(secret("dora"), pin(1)))
    seats = (Seat(pin(1), key),)

    def openly(name: str, ticket: Ticket | None = None) -> bytes:
        wish = AccountRequest(at_work.config.charter.grid, at_work.keys.public, NOW, name, seats, ticket)
        return signed(Said.REQUEST, wish.body, client_seed(secret(name), pin_of(at_work.keys.public))).encoded

    join(at_work)
    assert at_work.blind(asks(at_work, orders(wallet(at_work), pin(1))))
    with pytest.raises(HoldError, match="either"):
        at_work.ask(openly("alice"))
    assert at_work.ask(openly("dora", at_work.invite_account("dora", 5 * GIB, DAY).ticket))
    refused(at_work, asks(at_work, orders(wallet(at_work, "dora"), pin(2)), "dora"), "either")
    at_work.revoke_account("dora")
    at_work.restore(account="dora")
    assert at_work.blind(asks(at_work, orders(wallet(at_work, "dora"), pin(2)), "dora"))


def test_keys_are_there_a_period_ahead_stay_the_same_and_go(family: Path) -> None:
    clock = Clock()
    with office(family, clock) as found:
        first = listed(found)
        assert len(first) == 4 and len({one.serial for one in first.values()}) == 4
        found.sign_list()
        assert listed(found) == first
    with office(family, clock) as found:
        assert listed(found) == first
        clock.now += 30 * DAY
        found.sign_list()
        later = listed(found)
        assert len(set(first) & set(later)) == 2 and len(later) == 4
        assert {one.not_before for one in later.values()} == {
            first_of + step * 30 * DAY for first_of in (clock.now - clock.now % (30 * DAY),) for step in (0, 1)
        }


def test_the_next_period_counts_by_itself(family: Path) -> None:
    clock = Clock()
    with office(family, clock) as found:
        join(found)
        coming = wallet(found, now=NOW + 30 * DAY)
        assert found.blind(asks(found, orders(wallet(found), *map(pin, range(3)))))
        assert found.blind(asks(found, orders(coming, *map(pin, range(3)))))
        refused(found, asks(found, orders(coming, pin(4))), "3 tokens")


def test_to_remint_withdraws_all_keys_of_a_denomination_and_all_may_ask_anew(at_work: Office, family: Path) -> None:
    join(at_work)
    before = wallet(at_work)
    assert at_work.blind(asks(at_work, orders(before, *map(pin, range(3)))))
    told = Orders(at_work).do({"do": "remint", "quota": GIB})
    after = wallet(at_work)
    assert told == {"withdrawn": 2} and before.name not in listed(at_work) and len(listed(at_work)) == 4
    assert blanks(family) == 0
    refused(at_work, asks(at_work, orders(before, pin(1))), "no key")
    assert at_work.blind(asks(at_work, orders(after, *map(pin, range(3)))))
    assert blanks(family) == 3
    with pytest.raises(HoldError, match="no key"):
        at_work.remint(7)


def test_who_got_tokens_of_a_period_is_forgotten_when_it_is_over(family: Path) -> None:
    clock = Clock()
    with office(family, clock) as found:
        join(found)
        assert found.blind(asks(found, orders(wallet(found), pin(1)))) and blanks(family) == 1
        clock.now += 31 * DAY
        found.sign_list()
        assert blanks(family) == 0


def test_nothing_of_a_token_is_in_any_file_of_the_blesser(family: Path) -> None:
    with office(family, Clock()) as found:
        join(found)
        mine = wallet(found)
        answer = found.blind(asks(found, orders(mine, pin(1))))
        assert answer is not None
        token = mine.token(pin(1), answer[1][0])
    kept = b"".join(path.read_bytes() for path in family.iterdir() if path.is_file())
    for part in (pin(1), token.client, token.prefix, token.signature):
        assert all(part[at : at + 12] not in kept for at in range(len(part) - 12))
    assert (family / FILE).stat().st_mode & 0o777 == 0o600


def test_a_blesser_without_denominations_signs_nothing_blindly(tmp_path: Path) -> None:
    make_home(tmp_path / "family", "tcp:192.0.2.7:4653")
    with office(tmp_path / "family", Clock()) as found:
        assert not listed(found) and not (tmp_path / "family" / FILE).exists()
        ticket = found.invite_account("alice", GIB, DAY).ticket
        refused(found, asks(found, [], ticket=ticket), "blindly")


def test_calls_are_not_mixed_up(at_work: Office) -> None:
    with pytest.raises(Malformed):
        at_work.ask(asks(at_work, []))


@pytest.mark.parametrize(
    "text",
    [
        "denominations = 5", "denominations = [0]", "denominations = [1.5]", "denominations = [true]",
        "denominations = [5, 5]", f"denominations = {list(range(1, 18))}", f"denominations = [{1 << 61}]",
        "seats = 0", "seats = 257", "period_days = 0", "period_days = 401", "more = 1",
    ],
)  # fmt: skip
def test_a_wrong_field_is_named(family: Path, text: str) -> None:
    found = (family / home.CONFIG).read_text()
    (family / home.CONFIG).write_text(found.partition("[blinded]")[0] + "[blinded]\n" + text + "\n")
    with pytest.raises(HoldError, match=text.partition(" ")[0]):
        config.read(family / home.CONFIG, "family", home.keys(family).public)


def test_what_is_no_blind_request_is_malformed(at_work: Office) -> None:
    sound = Order(MintId(bytes(32)), Blank(b"\1" * 384))
    for wrong in ([sound, sound], [Order(MintId(bytes(31)), sound.blank)], [sound._replace(blank=Blank(bytes(385)))]):
        with pytest.raises(Malformed):
            at_work.blind(asks(at_work, wrong))
    many = [
        Order(MintId(bytes(32)), Blank(number.to_bytes(384))) for number in itertools.islice(itertools.count(2), 257)
    ]
    with pytest.raises(Malformed):
        at_work.blind(asks(at_work, many))
