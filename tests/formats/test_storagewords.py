"""What a storage server and its clients say to each other: as another tool writes it, and nothing beyond its limits."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonhold.errors import Kind
from commonhold.formats import dagcbor, shareindex, storagewords
from commonhold.formats.entry import Nonce
from commonhold.formats.fields import MAX_NUMBER
from commonhold.formats.malformed import Malformed
from commonhold.formats.shareindex import ShareIndex
from commonhold.formats.storagewords import (
    MAX_BODY,
    MAX_INDEXES,
    MAX_WHY,
    Admission,
    FacetId,
    Failure,
    Kept,
    Showing,
    Use,
)
from tests import vectors

SHARE = 128 << 20
VECTORS = json.loads((vectors.ROOT / "storagewords.json").read_text())

# by name: how it is encoded from its fields, how it is decoded, what that gives
_WORDS: dict[str, tuple[Callable[[Any], bytes], Callable[[bytes], Any], Callable[[Any], Any]]] = {
    "nonce": (lambda f: storagewords.nonce(Nonce(f["nonce"])), storagewords.decode_nonce, lambda f: f["nonce"]),
    "showing": (lambda f: _showing(f).encoded, storagewords.decode_showing, lambda f: _showing(f)),
    "admission": (lambda f: _admission(f).encoded, storagewords.decode_admission, lambda f: _admission(f)),
    "begin": (lambda f: storagewords.begin(**f), storagewords.decode_begin, lambda f: (f["size"], f["until"])),
    "received": (
        lambda f: storagewords.received(f["received"]),
        lambda data: storagewords.decode_received(data, SHARE),
        lambda f: f["received"],
    ),
    "finish": (lambda f: storagewords.finish(f["sha256"]), storagewords.decode_finish, lambda f: f["sha256"]),
    "indexes": (
        lambda f: storagewords.indexes(_indexes(f)),
        storagewords.decode_indexes,
        lambda f: tuple(_indexes(f)),
    ),
    "renewal": (
        lambda f: storagewords.indexes(_indexes(f), f["until"]),
        storagewords.decode_renewal,
        lambda f: (tuple(_indexes(f)), f["until"]),
    ),
    "sizes": (
        lambda f: storagewords.sizes(f["sizes"]),
        lambda data: storagewords.decode_sizes(data, len(dagcbor.decode(data)["sizes"])),
        lambda f: tuple(f["sizes"]),
    ),
    "listing": (lambda f: storagewords.listing(**f), storagewords.decode_listing, lambda f: (f["after"], f["count"])),
    "listed": (lambda f: storagewords.listed(_listed(f)), storagewords.decode_listed, lambda f: _listed(f)),
    "use": (lambda f: Use(**f).encoded, storagewords.decode_use, lambda f: Use(**f)),
    "verdict": (
        lambda f: storagewords.verdict(bool(f["sound"])),
        storagewords.decode_verdict,
        lambda f: bool(f["sound"]),
    ),
    "failure": (lambda f: _failure(f).encoded, storagewords.decode_failure, lambda f: _failure(f)),
}


def _showing(fields: Any) -> Showing:
    return Showing(tuple(fields["credentials"]), fields["entry"], fields.get("warrant"))


def _admission(fields: Any) -> Admission:
    return Admission(FacetId(fields["facet"]), fields["until"], fields["quota"])


def _indexes(fields: Any) -> list[ShareIndex]:
    return [ShareIndex(raw) for raw in fields["indexes"]]


def _listed(fields: Any) -> tuple[Kept, ...]:
    return tuple(map(Kept, _indexes(fields), fields["sizes"], fields["until"]))


def _failure(fields: Any) -> Failure:
    return Failure(next(kind for kind in Kind if kind.value.code == fields["code"]), fields["why"])


def _value(said: Any) -> Any:
    """What JSON stands for: bytes are written {"hex": …}."""
    if isinstance(said, list):
        return [_value(item) for item in said]
    if isinstance(said, dict):
        return bytes.fromhex(said["hex"]) if set(said) == {"hex"} else {key: _value(item) for key, item in said.items()}
    return said


@pytest.mark.parametrize("case", VECTORS["cases"], ids=lambda case: case["word"])
def test_a_word_is_what_another_tool_makes_of_its_fields(case: Any) -> None:
    encode, decode, value = _WORDS[case["word"]]
    fields, raw = _value(case["fields"]), bytes.fromhex(case["hex"])
    assert encode(fields) == raw
    assert decode(raw) == value(fields)
    assert decode(dagcbor.encode({**fields, "newer": [1]})) == value(fields)
    for name in fields.keys() - {"warrant"}:
        with pytest.raises((Malformed, KeyError)):
            decode(dagcbor.encode({key: item for key, item in fields.items() if key != name}))


@pytest.mark.parametrize("case", VECTORS["bad"], ids=lambda case: f"{case['word']}-{case['hex'][:24]}")
def test_what_is_beyond_its_limits_is_refused(case: Any) -> None:
    with pytest.raises(Malformed):
        _WORDS[case["word"]][1](bytes.fromhex(case["hex"]))


def test_every_word_has_a_vector() -> None:
    assert {case["word"] for case in VECTORS["cases"]} == {case["word"] for case in VECTORS["bad"]} == set(_WORDS)


def test_as_many_sizes_come_as_were_asked_for() -> None:
    raw = storagewords.sizes([1, 2])
    assert storagewords.decode_sizes(raw, 2) == (1, 2)
    for count in (0, 1, 3):
        with pytest.raises(Malformed):
            storagewords.decode_sizes(raw, count)


def test_the_largest_of_each_fits_its_limit() -> None:
    index = ShareIndex(b"\xff" * 32)
    assert len(storagewords.indexes([index] * MAX_INDEXES, MAX_NUMBER)) <= MAX_BODY
    assert len(storagewords.listed([Kept(index, SHARE, MAX_NUMBER)] * MAX_INDEXES)) <= MAX_BODY
    assert len(Showing((bytes(4096),) * 4, bytes(4096), bytes(4096)).encoded) <= MAX_BODY


@given(st.text(max_size=2 * MAX_WHY))
def test_whatever_went_wrong_can_be_read_by_who_asked(why: str) -> None:
    said = storagewords.decode_failure(Failure(Kind.BUSY, why).encoded)
    assert said.kind is Kind.BUSY and 0 < len(said.why) <= MAX_WHY and said.why.isprintable()


def test_a_kind_of_failure_that_is_not_known_is_one_still() -> None:
    raw = dagcbor.encode({"code": "E-NEWER", "why": "something new"})
    assert storagewords.decode_failure(raw) == Failure(Kind.FAILED, "something new")


@given(st.binary(min_size=32, max_size=32))
def test_an_index_is_64_digits_and_no_log_has_them(raw: bytes) -> None:
    index = ShareIndex(raw)
    assert shareindex.parse(str(index)) == index == shareindex.checked(raw)
    assert str(index) not in repr(index) and str(index) not in repr(Kept(index, 1, 1))
    assert raw.hex() not in repr(Admission(FacetId(raw), 1, 1))


@pytest.mark.parametrize(
    "text", ["", "0" * 63, "0" * 65, "0" * 62 + "  ", " " * 64, "A" * 64, "0" * 63 + "\n", "٠" * 64]
)
def test_what_is_no_index_is_refused(text: str) -> None:
    with pytest.raises(Malformed):
        shareindex.parse(text)


@pytest.mark.parametrize("raw", [b"", bytes(31), bytes(33), "x" * 32, None, 5])
def test_raw_bytes_that_are_no_index_are_refused(raw: object) -> None:
    with pytest.raises(Malformed):
        shareindex.checked(raw)
