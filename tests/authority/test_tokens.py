"""Blinded accounts at a server's door, and what those who put their books together can find there.

Each attack is sound but for the one thing that makes it an attack. REQUIREMENTS D18, D19, B20-B22, B26.
"""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from commonhold.authority.derived import Secret, blinded_seed, client_seed
from commonhold.authority.entering import Admitted, Door, Refusal, knock, may_enter, may_store, revoked
from commonhold.authority.judging import Reason
from commonhold.authority.lists import Lists, Taken
from commonhold.authority.nonces import Given
from commonhold.authority.times import SKEW
from commonhold.authority.tokens import REST_SECONDS, Wallet, account_of
from commonhold.crypto import blind, sign
from commonhold.crypto.statements import signed
from commonhold.formats import blinded, dagcbor
from commonhold.formats.blinded import MAX_TOKEN, Mint, MintId, Modulus, Token
from commonhold.formats.entry import Entry, Nonce
from commonhold.formats.keys import PublicKey
from commonhold.formats.malformed import Malformed
from commonhold.formats.pin import GridId, SpkiPin
from commonhold.formats.statement import Kind
from tests import vectors
from tests.authority.minted import ALICE, GIB, START, mint, named, signer, token, wallet
from tests.authority.parties import DAY, HOUR, NOW, credential, grid, pin, public, revocations, rule, seed

TOKENS = json.loads((vectors.ROOT / "blinded.json").read_text())["tokens"]
DOOR = Door(pin("attic"), grid(), rule("blesser"))
GIVEN = Given(Nonce(b"n" * 32), pin("line"), NOW - 1)
BOB = Secret(b"bob's secret".ljust(32))


def known(*data: bytes) -> Lists:
    found = Lists([(public("blesser"), grid()), (public("aunt"), grid())])
    for one in data or (revocations(mints=(mint(),)),):
        found.take(one)
    return found


def entry(secret: Secret = ALICE, **other: Any) -> bytes:
    sound: dict[str, Any] = {
        "nonce": GIVEN.nonce, "server": pin("attic"), "connection": pin("line"), "grid": grid(), "time": NOW,
    }  # fmt: skip
    return signed(Kind.ENTRY, Entry(**sound | other).body, blinded_seed(secret, pin("attic"))).encoded


def enter(
    *shown: Token, by: bytes | None = None, lists: Lists | None = None, now: int = NOW, door: Door = DOOR
) -> Admitted | Refusal:
    said = by or entry(time=now)
    found = knock(pin("line"), [one.encoded for one in shown or (token(),)], said)
    return may_enter(door, found, GIVEN._replace(at=now - 1), lists or known(), now)


def refused(found: Admitted | Refusal, reason: Reason) -> bool:
    assert isinstance(found, Refusal), found
    assert found.said and found.reason is reason, found
    return True


def test_d19_who_has_a_token_is_let_in_with_what_its_key_is_worth() -> None:
    found = enter()
    assert isinstance(found, Admitted)
    client = sign.public_key(blinded_seed(ALICE, pin("attic")))
    assert (found.account, found.quota, found.client) == (account_of(grid(), client), GIB, client)
    assert found.until == START + 30 * DAY + SKEW and may_store(DOOR, found, known(), NOW) is None


def test_the_account_is_the_same_in_the_next_period() -> None:
    later = mint(not_before=START + 30 * DAY, not_after=START + 60 * DAY, serial=78)
    now = START + 31 * DAY
    lists = known(revocations(mints=(mint(), later), issued=now - HOUR, fresh_until=now + HOUR))
    this, next_one = enter(), enter(token(of=later), lists=lists, now=now)
    assert isinstance(this, Admitted) and isinstance(next_one, Admitted)
    assert this.account == next_one.account and this.serials != next_one.serials


# ── attacks ──


def test_a_token_of_another_server_is_refused() -> None:
    there = token(pin("cellar"))
    assert refused(enter(there), Reason.OTHER_CLIENT)
    mine = sign.public_key(blinded_seed(ALICE, pin("attic")))
    assert refused(enter(replace(there, client=mine)), Reason.OTHER_SERVER)
    assert refused(enter(replace(there, client=mine, server=pin("attic"))), Reason.FORGED)


def test_a_token_is_of_no_use_to_another_key() -> None:
    assert refused(enter(token(), by=entry(BOB)), Reason.OTHER_CLIENT)
    bobs = sign.public_key(blinded_seed(BOB, pin("attic")))
    assert refused(enter(replace(token(), client=bobs), by=entry(BOB)), Reason.FORGED)


def test_a_token_of_another_period_does_not_hold() -> None:
    before = mint(not_before=START - 30 * DAY, not_after=START, serial=76)
    after = mint(not_before=START + 30 * DAY, not_after=START + 60 * DAY, serial=78)
    lists = known(revocations(mints=(before, mint(), after)))
    assert NOW > START + SKEW
    assert refused(enter(token(of=before), lists=lists), Reason.EXPIRED)
    assert refused(enter(token(of=after), lists=lists), Reason.EARLY)
    assert refused(enter(replace(token(of=before), mint=named(mint())), lists=lists), Reason.FORGED)


def test_a_token_is_worth_what_its_key_is_and_no_more() -> None:
    """One modulus for two denominations is what a careless blesser would make: the mint is signed."""
    large = mint(quota=1 << 40, serial=78)
    lists = known(revocations(mints=(mint(), large)))
    assert refused(enter(replace(token(), mint=named(large)), lists=lists), Reason.FORGED)


def test_a_token_that_was_forged_or_changed_is_refused() -> None:
    n, sound = int.from_bytes(signer().modulus), token()
    number = int.from_bytes(sound.signature)
    for changed in (n - number, number * 2 % n, number ^ 1, 0, 1, (1 << 3072) - 1):
        assert refused(enter(replace(sound, signature=changed.to_bytes(384))), Reason.FORGED)
    assert refused(enter(replace(sound, prefix=bytes(32))), Reason.FORGED)
    product = number * int.from_bytes(token(secret=BOB).signature) % n
    assert refused(enter(replace(sound, signature=product.to_bytes(384))), Reason.FORGED)


def test_a_key_that_is_not_on_the_newest_list_signs_nothing() -> None:
    other = mint(1, serial=78)
    assert refused(enter(lists=known(revocations(mints=(other,)))), Reason.NO_MINT)
    assert refused(enter(lists=known(revocations())), Reason.NO_MINT)
    assert refused(enter(replace(token(), mint=MintId(bytes(32)))), Reason.NO_MINT)
    nobodys = Lists([(public("blesser"), grid())])
    assert refused(enter(lists=nobodys), Reason.NO_MINT)


def test_a_key_of_another_blesser_or_grid_counts_for_nothing() -> None:
    lists = known(revocations(mints=(mint(),)), revocations(by="aunt", mints=(mint(),)))
    assert refused(enter(token(by="aunt"), lists=lists), Reason.UNKNOWN_BLESSER)
    assert refused(enter(replace(token(), blesser=public("aunt")), lists=lists), Reason.UNKNOWN_BLESSER)
    assert refused(enter(replace(token(), grid=grid("aunt"))), Reason.OTHER_GRID)


def test_a_key_that_is_revoked_ends_all_that_it_signed_at_once() -> None:
    assert refused(enter(lists=known(revocations(77, mints=(mint(),)))), Reason.REVOKED)
    found = enter()
    assert isinstance(found, Admitted) and revoked(found, known(revocations(77, mints=(mint(),))))


def test_a_stale_list_lets_in_and_lets_nothing_be_put() -> None:
    old = known(revocations(mints=(mint(),), fresh_until=NOW - SKEW))
    found = enter(lists=old)
    assert isinstance(found, Admitted) and "stale" in str(may_store(DOOR, found, old, NOW))


def test_of_two_lists_that_contradict_each_other_those_keys_count_that_both_have() -> None:
    """A blesser gives one member a key of its own: whoever gets both lists uses neither key."""
    lists = known(revocations(mints=(mint(),)))
    assert lists.take(revocations(mints=(mint(1, serial=78),))) is Taken.CONTRADICTS
    assert lists.mints(public("blesser"), grid()) == {}
    assert refused(enter(lists=lists), Reason.NO_MINT)


def test_two_blessers_agree_by_the_client_s_key() -> None:
    both = Door(pin("attic"), grid(), rule("blesser", "aunt", needed=2))
    lists = known(revocations(mints=(mint(),)), revocations(by="aunt", mints=(mint(quota=GIB * 2),)))
    aunts = token(of=mint(quota=GIB * 2), by="aunt")
    found = enter(token(), aunts, lists=lists, door=both)
    assert isinstance(found, Admitted) and found.quota == GIB and len(found.serials) == 2
    assert refused(enter(token(), token(), lists=lists, door=both), Reason.TOO_FEW)


def test_credentials_are_taken_beside_tokens_as_before() -> None:
    said = signed(Kind.ENTRY, Entry(GIVEN.nonce, pin("attic"), pin("line"), grid(), NOW).body, seed("alice")).encoded
    found = knock(pin("line"), [token().encoded, credential()], said)
    entered = may_enter(DOOR, found, GIVEN, known(), NOW)
    assert isinstance(entered, Admitted) and entered.client == public("alice")


# ── what can be found out ──


def test_d19_blesser_and_servers_that_compare_all_that_they_have_find_nothing_in_common() -> None:
    """Not one run of eight bytes that a blesser saw or sent is in what a server sees, nor is one server's in another's,
    but for what everybody of the grid has."""
    public_parts = grid() + public("blesser") + named(mint())
    mine = wallet()
    where = [pin("attic"), pin("cellar"), pin("barn")]
    blanks = [mine.blank(one) for one in where]
    answers = [signer().sign(one) for one in blanks]
    tokens = [mine.token(one, answer) for one, answer in zip(where, answers, strict=True)]
    keys = [sign.public_key(client_seed(ALICE, one)) for one in [*where, pin("blesser")]]
    books = [b"".join([*blanks, *answers, *keys]), *(one.encoded for one in tokens)]
    runs = [{book[at : at + 8] for at in range(len(book) - 7)} for book in books]
    shared = {one[at : at + 8] for one in (public_parts,) for at in range(len(one) - 7)}
    form = {tokens[0].encoded[at : at + 8] for at in _form(tokens[0])}
    for at, some in enumerate(runs):
        for other in runs[at + 1 :]:
            assert not {one for one in some & other if one not in shared | form}


def _form(one: Token) -> list[int]:
    """Where a token's bytes are the names of its fields, their lengths, or known to all."""
    own = [bytes(one.server), bytes(one.client), one.prefix, one.signature]
    data = one.encoded
    hidden = set[int]()
    for part in own:
        start = data.index(part)
        hidden.update(range(start, start + len(part)))
    return [at for at in range(len(data) - 7) if not hidden & set(range(at, at + 8))]


def test_any_blank_of_alice_or_bob_could_be_any_token() -> None:
    n, e = int.from_bytes(signer().modulus), blind.EXPONENT
    for wallet_of in (wallet(), wallet(secret=BOB)):
        blank = wallet_of.blank(pin("attic"))
        answer = int.from_bytes(signer().sign(blank))
        for one in (token(), token(secret=BOB), token(pin("cellar"))):
            signature = int.from_bytes(one.signature)
            r = answer * pow(signature, -1, n) % n
            assert pow(signature * r % n, e, n) == int.from_bytes(blank)


# ── a client's wallet ──


def test_a_blank_is_the_same_for_who_lost_all_but_the_secret_and_another_for_everything_else() -> None:
    assert wallet().blank(pin("attic")) == wallet().blank(pin("attic"))
    other = mint(serial=78)
    blanks = {
        wallet().blank(pin("attic")), wallet().blank(pin("cellar")), wallet(secret=BOB).blank(pin("attic")),
        wallet(other).blank(pin("attic")), wallet(by="aunt").blank(pin("attic")),
    }  # fmt: skip
    assert len(blanks) == 5


def test_moments_are_each_account_s_own_and_within_their_bounds() -> None:
    wallets = [wallet(secret=Secret(bytes([one]) * 32)) for one in range(40)]
    asked = {one.asks_at() for one in wallets}
    assert len(asked) == 40 and min(asked) >= START - 12 * DAY and max(asked) <= START - 1.5 * DAY
    rests = {one.rests(pin("attic")) for one in wallets}
    assert len(rests) > 30 and min(rests) >= 0 and max(rests) < REST_SECONDS
    assert wallets[0].rests(pin("attic")) != wallets[0].rests(pin("cellar"))


@pytest.mark.parametrize("case", TOKENS)
def test_a_token_is_the_one_that_another_program_made(case: dict[str, str]) -> None:
    raw = {name: bytes.fromhex(text) for name, text in case.items()}
    server, blesser = SpkiPin(raw["server"]), PublicKey(raw["blesser"])
    of = blinded.parse_mint(raw["mint"])
    assert of.id(blesser, GridId(blesser)) == raw["name"]
    mine = Wallet(Secret(raw["secret"]), GridId(blesser), blesser, MintId(raw["name"]), of)
    assert mine.blank(server) == raw["blank"] and signer().sign(raw["blank"]) == raw["answer"]
    made = mine.token(server, raw["answer"])
    assert made.encoded == raw["token"] and blinded.parse_token(raw["token"]) == made
    assert account_of(GridId(blesser), made.client) == raw["account"]


# ── formats ──


def test_what_is_read_is_what_was_written() -> None:
    assert blinded.parse_token(token().encoded) == token() and blinded.is_token(token().encoded)
    assert blinded.parse_mint(mint().encoded) == mint()
    assert len(token().encoded) <= MAX_TOKEN and not blinded.is_token(credential())


@pytest.mark.parametrize(
    "other",
    [
        {"modulus": b"\x80" * 383 + b"\2"}, {"modulus": b"\x7f" * 384}, {"modulus": b"\x81" * 383},
        {"modulus": b"\x81" * 385}, {"quota": 0}, {"quota": 1 << 61}, {"quota": -1}, {"not_after": START + DAY - 1},
        {"not_after": START + 401 * DAY}, {"not_after": START - 1}, {"serial": 1 << 63}, {"serial": b"7"},
    ],
)  # fmt: skip
def test_what_cannot_be_a_mint_is_none(other: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        blinded.parse_mint(replace(mint(), **other).encoded)


def test_a_mint_has_one_form() -> None:
    fields = dagcbor.decode(mint().encoded)
    with pytest.raises(Malformed):
        blinded.parse_mint(dagcbor.encode(fields | {"more": 1}))


@pytest.mark.parametrize(
    "other",
    [
        {"signature": bytes(383)}, {"signature": bytes(385)}, {"prefix": bytes(31)}, {"client": bytes(33)}, {"v": 2},
        {"kind": "credential"}, {"mint": bytes(31)}, {"grid": "g"}, {"server": 7}, {"blesser": None},
        {"more": bytes(1024)},
    ],
)  # fmt: skip
def test_what_cannot_be_a_token_is_none(other: dict[str, Any]) -> None:
    fields = dagcbor.decode(token().encoded)
    with pytest.raises(Malformed):
        blinded.parse_token(dagcbor.encode(fields | other))


def test_a_list_has_few_mints_and_one_of_each_kind() -> None:
    many = tuple(mint(quota=1 + one) for one in range(65))
    assert len(known(revocations(mints=many[:64])).mints(public("blesser"), grid())) == 64
    for wrong in (many, (mint(), mint(1, serial=78))):
        with pytest.raises(Malformed):
            known(revocations(mints=wrong))


@given(data=st.binary(max_size=1200))
@settings(max_examples=50)
def test_any_bytes_at_the_door_are_malformed_or_refused(data: bytes) -> None:
    with pytest.raises(Malformed):
        knock(pin("line"), [data], entry())


def test_a_mint_s_name_is_of_all_that_it_says() -> None:
    names = {named(mint()), named(mint(), "aunt"), named(mint(), at=grid("aunt"))}
    others: list[dict[str, Any]] = [
        {"quota": 5},
        {"serial": 5},
        {"not_before": START - 1},
        {"not_after": START + 29 * DAY},
    ]
    names |= {named(mint(**one)) for one in others}
    names.add(named(Mint(Modulus(signer(1).modulus), GIB, START, START + 30 * DAY, 77)))
    assert len(names) == 8
