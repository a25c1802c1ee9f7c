"""Statements: other tools' answers, for every kind; what is one letter, bit or field away from them is refused.

REQUIREMENTS B34.
"""

import base64
import json
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from commonhold.crypto import sign
from commonhold.crypto.statements import signed, verified
from commonhold.formats import (
    announcement,
    blessing,
    credential,
    dagcbor,
    entry,
    relaywords,
    request,
    revocations,
    statement,
)
from commonhold.formats.announcement import Announcement
from commonhold.formats.blessing import Blessing, Purpose
from commonhold.formats.credential import AccountId, Credential, Warrant
from commonhold.formats.entry import Entry, Nonce
from commonhold.formats.keys import PublicKey, Seed
from commonhold.formats.malformed import Malformed, Unsupported
from commonhold.formats.pin import GridId, SpkiPin, parse_grid, parse_pin, pin_of
from commonhold.formats.relaywords import Call
from commonhold.formats.request import AccountRequest, Seat, ServerRequest, Ticket
from commonhold.formats.revocations import Revocations
from commonhold.formats.statement import Kind, Statement
from tests import vectors
from tests.examples import examples

FILE = json.loads((vectors.ROOT / "statements.json").read_text())
CASES = vectors.cases("statements")
PARSERS: dict[Kind, Callable[[Statement], Any]] = {
    Kind.ANNOUNCEMENT: announcement.parse,
    Kind.BLESSING: blessing.parse,
    Kind.CREDENTIAL: credential.parse,
    Kind.REVOCATIONS: revocations.parse,
    Kind.WARRANT: credential.parse_warrant,
    Kind.ENTRY: entry.parse,
    Kind.REQUEST: request.parse,
    Kind.CALL: relaywords.parse_call,
}


def data_of(case: dict[str, Any]) -> bytes:
    return base64.b64decode(case["data"])


def sound(kind: Kind) -> list[bytes]:
    """Sound statements of a kind."""
    return [data_of(case) for case in CASES if case["kind"] == kind and "says" in case]


def chosen(why: str | None) -> list[Any]:
    return [pytest.param(case, id=case["name"]) for case in CASES if case.get("why") == why]


def plain(value: Any) -> Any:
    """A value of ours as the vectors show it."""
    if isinstance(value, Seat):
        return plain(value.server + value.client)
    if isinstance(value, bytes):
        return {"hex": value.hex()}
    return [plain(item) for item in value] if isinstance(value, tuple) else value


# ── known answers ──


@pytest.mark.parametrize("case", chosen(None))
def test_statements_of_other_tools_are_read_as_they_were_meant(case: dict[str, Any]) -> None:
    found = verified(Kind(case["kind"]), data_of(case))
    assert found.key.hex() == case["key"] and found.encoded == data_of(case)
    said = PARSERS[found.kind](found)
    shown = {field.name: plain(getattr(said, field.name)) for field in fields(said)} | {"v": 1}
    assert {name: value for name, value in shown.items() if value or name in case["says"]} == case["says"]


@pytest.mark.parametrize("case", [case for case in chosen(None) if "nobody knows" not in str(case.id)])
def test_the_same_fields_give_the_same_bytes_as_with_other_tools(case: dict[str, Any]) -> None:
    found = verified(Kind(case["kind"]), data_of(case))
    assert PARSERS[found.kind](found).body == found.body


@pytest.mark.parametrize("case", [case for case in chosen(None) if "nobody knows" in str(case.id)])
def test_fields_that_nobody_knows_are_passed_over_and_handed_on_b34(case: dict[str, Any]) -> None:
    found = verified(Kind(case["kind"]), data_of(case))
    assert {"zebra", "a"} <= dagcbor.decode(dagcbor.decode(found.encoded)["body"]).keys()
    assert PARSERS[found.kind](found).body != found.body


@pytest.mark.parametrize("case", chosen("statement"))
def test_what_is_no_statement_of_its_key_is_refused(case: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        verified(Kind(case["kind"]), data_of(case))


@pytest.mark.parametrize("case", chosen("body"))
def test_a_well_signed_body_of_another_form_is_refused(case: dict[str, Any]) -> None:
    found = verified(Kind(case["kind"]), data_of(case))
    with pytest.raises(Malformed):
        PARSERS[found.kind](found)


@pytest.mark.parametrize("case", [case for case in chosen("body") if "v is" in str(case.id) and "(1)" in str(case.id)])
def test_another_version_is_told_apart_from_damage(case: dict[str, Any]) -> None:
    with pytest.raises(Unsupported):
        PARSERS[Kind(case["kind"])](verified(Kind(case["kind"]), data_of(case)))


def test_every_kind_has_vectors_of_each_sort() -> None:
    for kind in Kind:
        assert {case.get("why") for case in CASES if case["kind"] == kind} == {None, "statement", "body"}


@pytest.mark.parametrize("kind", Kind)
def test_a_statement_of_one_kind_never_passes_for_another(kind: Kind) -> None:
    for data in (data for other in Kind if other is not kind for data in sound(other)):
        with pytest.raises(Malformed):
            verified(kind, data)


# ── limits too large for a file ──

SEED = Seed(bytes(range(32)))
KEY = sign.public_key(SEED)
GRID, SERVER = GridId(KEY), pin_of(KEY)


@pytest.mark.parametrize("kind", Kind)
def test_a_statement_beyond_the_size_of_its_kind_is_refused_unread(kind: Kind) -> None:
    around = len(Statement(kind, KEY, bytes(60 << 10), bytes(64)).encoded) - (60 << 10)
    for size in (kind.most - 4096, kind.most - around - 4, kind.most - around + 4):
        whole = Statement(kind, KEY, bytes(max(0, size)), bytes(64))
        if len(whole.encoded) <= kind.most:
            assert statement.decode(kind, whole.encoded) == whole
        else:
            with pytest.raises(Malformed, match="the limit is"):
                statement.decode(kind, whole.encoded)


def test_nobody_signs_what_nobody_would_read() -> None:
    with pytest.raises(Malformed, match="the limit is"):
        signed(Kind.BLESSING, bytes(4097), SEED)


def test_a_revocation_list_has_up_to_100_000_serials_and_fits_its_size() -> None:
    serials = tuple(range((1 << 63) - 100_000, 1 << 63))
    longest = Revocations(GRID, 1, 1, 2, serials)
    assert (
        revocations.parse(verified(Kind.REVOCATIONS, signed(Kind.REVOCATIONS, longest.body, SEED).encoded)) == longest
    )
    more = replace(longest, serials=(0, *serials))
    with pytest.raises(Malformed, match="serials"):
        revocations.parse(signed(Kind.REVOCATIONS, more.body, SEED))


def test_a_body_has_up_to_64_fields() -> None:
    said = Entry(Nonce(bytes(32)), SERVER, SERVER, GRID, 1)
    for count in (64, 65):
        body = dagcbor.encode(dagcbor.decode(said.body) | {f"x{number:03}": 1 for number in range(count - 6)})
        try:
            assert entry.parse(signed(Kind.ENTRY, body, SEED)) == said and count == 64
        except Malformed:
            assert count == 65


def test_a_request_has_up_to_1024_seats() -> None:
    seats = tuple(Seat(SpkiPin(number.to_bytes(32, "big")), KEY) for number in range(1024))
    most = AccountRequest(GRID, KEY, 1, "alice", seats)
    assert request.parse(verified(Kind.REQUEST, signed(Kind.REQUEST, most.body, SEED).encoded)) == most
    more = replace(most, seats=(*seats, Seat(SpkiPin(b"\xff" * 32), KEY)))
    with pytest.raises(Malformed, match="seats"):
        request.parse(signed(Kind.REQUEST, more.body, SEED))


def test_a_ticket_is_not_shown() -> None:
    ticket = Ticket(b"\xab" * 32)
    asked = ServerRequest(GRID, KEY, 1, SERVER, (Purpose("storage"),), (), ticket)
    for text in (repr(asked), str(ticket), f"{ticket}", repr([ticket])):
        assert "\\xab" not in text and "abab" not in text


# ── there and back ──

NUMBERS = st.integers(0, (1 << 63) - 1)
BYTES32 = st.binary(min_size=32, max_size=32)
WORD = st.from_regex("[a-z0-9]([a-z0-9.-]{0,30}[a-z0-9])?", fullmatch=True)
PRINTED = st.text(st.characters(categories=("L", "N", "P", "S")), min_size=1, max_size=64)
SPAN = st.tuples(NUMBERS, NUMBERS).filter(lambda pair: pair[0] < pair[1])
GRIDS, PINS, PUBLIC = BYTES32.map(GridId), BYTES32.map(SpkiPin), BYTES32.map(PublicKey)
PURPOSES = WORD.map(Purpose)
SEVERAL_PURPOSES = st.lists(PURPOSES, min_size=1, max_size=8, unique=True).map(tuple)
TICKETS = st.none() | BYTES32.map(Ticket)
TEXTS = st.lists(PRINTED, max_size=16, unique=True).map(tuple)
CLASSES = st.lists(WORD, max_size=8, unique=True).map(tuple)
SEATS = st.dictionaries(PINS, PUBLIC, min_size=1, max_size=20).map(
    lambda found: tuple(Seat(server, found[server]) for server in sorted(found))
)
SAID: dict[Kind, st.SearchStrategy[Any]] = {
    Kind.ANNOUNCEMENT: st.builds(
        Announcement, GRIDS, PURPOSES, st.just(SERVER), TEXTS, NUMBERS, NUMBERS,
        st.lists(st.binary(max_size=99), max_size=8).map(tuple), st.just("") | PRINTED, st.booleans(),
    ),
    Kind.BLESSING: st.builds(
        lambda grid, purpose, server, classes, span, serial: Blessing(
            grid, purpose, server, classes, span[0], span[1], serial
        ),
        GRIDS, PURPOSES, PINS, CLASSES, SPAN, NUMBERS,
    ),
    Kind.CREDENTIAL: st.builds(
        lambda grid, server, account, client, quota, span, serial: Credential(
            grid, server, account, client, quota, span[0], span[1], serial
        ),
        GRIDS, PINS, st.binary(min_size=16, max_size=16).map(AccountId), PUBLIC, st.integers(0, 1 << 60), SPAN, NUMBERS,
    ),
    Kind.WARRANT: st.builds(
        lambda grid, server, holder, span: Warrant(grid, server, holder, span[0], span[1]), GRIDS, PINS, PUBLIC, SPAN
    ),
    Kind.ENTRY: st.builds(Entry, BYTES32.map(Nonce), PINS, PINS, GRIDS, NUMBERS),
    Kind.REVOCATIONS: st.builds(
        lambda grid, sequence, span, serials: Revocations(grid, sequence, span[0], span[1], tuple(sorted(serials))),
        GRIDS, NUMBERS, SPAN, st.sets(NUMBERS, max_size=30),
    ),
    Kind.REQUEST: st.builds(
        ServerRequest, GRIDS, PUBLIC, NUMBERS, st.just(SERVER), SEVERAL_PURPOSES, TEXTS, TICKETS,
    ) | st.builds(AccountRequest, GRIDS, PUBLIC, NUMBERS, PRINTED, SEATS, TICKETS),
    Kind.CALL: st.builds(Call, PINS, PINS, NUMBERS),
}  # fmt: skip


@pytest.mark.parametrize("kind", Kind)
@given(data=st.data())
@settings(deadline=None, max_examples=examples(50))
def test_what_is_signed_comes_back(kind: Kind, data: st.DataObject) -> None:
    said = data.draw(SAID[kind])
    found = verified(kind, signed(kind, said.body, SEED).encoded)
    assert PARSERS[kind](found) == said and found.encoded == signed(kind, said.body, SEED).encoded


@given(kind=st.sampled_from(Kind), at=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
@settings(deadline=None, max_examples=examples(300))
def test_no_bit_of_a_statement_can_be_changed(kind: Kind, at: float, bit: int) -> None:
    raw = bytearray(sound(kind)[0])
    raw[int(at * len(raw))] ^= 1 << bit
    with pytest.raises(Malformed):
        verified(kind, bytes(raw))


# ── pins and grid ids as text ──


@pytest.mark.parametrize("key", FILE["keys"], ids=lambda key: key["pin"][:9])
def test_texts_are_those_of_other_tools(key: dict[str, str]) -> None:
    public = sign.public_key(Seed(bytes.fromhex(key["seed"])))
    assert public.hex() == key["public"]
    assert str(pin_of(public)) == key["pin"] and parse_pin(key["pin"]) == pin_of(public)
    assert str(GridId(public)) == key["grid"] and parse_grid(key["grid"]).blesser == public


@pytest.mark.parametrize("text", FILE["bad"])
def test_a_text_that_is_no_pin_is_refused(text: str) -> None:
    with pytest.raises(Malformed):
        parse_pin(text)
    if not text.startswith("g"):
        with pytest.raises(Malformed):
            parse_grid(text)


@given(raw=BYTES32, at=st.integers(1, 56), letter=st.sampled_from("abcdefghijklmnopqrstuvwxyz234567"))
def test_a_text_with_one_letter_changed_is_refused(raw: bytes, at: int, letter: str) -> None:
    for text, parse in ((str(SpkiPin(raw)), parse_pin), (str(GridId(raw)), parse_grid)):
        assert parse(text) == raw
        slip = text[:at] + letter + text[at + 1 :]
        if slip != text:
            with pytest.raises(Malformed):
                parse(slip)


@given(raw=BYTES32, at=st.integers(1, 55))
def test_a_text_with_two_letters_exchanged_or_one_left_out_is_refused(raw: bytes, at: int) -> None:
    text = str(SpkiPin(raw))
    slips = [text[:at] + text[at + 1] + text[at] + text[at + 2 :], text[:at] + text[at + 1 :]]
    for slip in slips:
        if slip != text:
            with pytest.raises(Malformed):
                parse_pin(slip)
