"""Links and receiving keys: one text for each value, hardly a slip passes for another, and no key is shown. B30."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonhold.formats import capability as capabilities
from commonhold.formats import link as links
from commonhold.formats.capability import MAX_ROWS, ReadCapability
from commonhold.formats.link import SEALED, Link, ReceivingKey, SealedLink
from commonhold.formats.malformed import Malformed, Unsupported
from commonhold.formats.pin import GridId
from tests import vectors

VECTORS: dict[str, Any] = json.loads((vectors.ROOT / "links.json").read_text())
SOUND = VECTORS["sound"]
WORD = st.binary(min_size=32, max_size=32)


def test_b30_a_link_says_which_grid_keeps_what_it_opens_as_another_program_wrote_it() -> None:
    grid = GridId(bytes.fromhex(SOUND["grid"]))
    capability = ReadCapability(bytes.fromhex(SOUND["digest"]), SOUND["rows"], bytes.fromhex(SOUND["key"]))
    assert links.parse(SOUND["link"]) == Link(grid, capability) and str(Link(grid, capability)) == SOUND["link"]
    assert str(capability) == SOUND["capability"]
    sealed = links.parse(SOUND["sealed"])
    assert isinstance(sealed, SealedLink) and sealed.grid == grid and str(sealed) == SOUND["sealed"]
    key = ReceivingKey(grid, bytes.fromhex(SOUND["public"]))
    assert links.parse_key(SOUND["receiving"]) == key and str(key) == SOUND["receiving"]


@pytest.mark.parametrize("case", VECTORS["bad"], ids=lambda case: str(case["name"]))
def test_what_is_no_link_is_refused(case: dict[str, Any]) -> None:
    with pytest.raises(Unsupported if case.get("unsupported") else Malformed):
        links.parse(case["text"])


@given(
    grid=WORD, digest=WORD, rows=st.integers(0, MAX_ROWS), key=WORD, sealed=st.binary(min_size=SEALED, max_size=SEALED)
)
def test_text_and_value_are_one_to_one(grid: bytes, digest: bytes, rows: int, key: bytes, sealed: bytes) -> None:
    for made, length in (
        (Link(GridId(grid), ReadCapability(digest, rows, key)), 173),
        (SealedLink(GridId(grid), sealed), 250),
    ):
        assert links.parse(str(made)) == made and len(str(made)) == length
        assert str(made).isalnum() and str(made).isascii() and str(made) == str(made).lower()
    receiving = ReceivingKey(GridId(grid), key)
    assert links.parse_key(str(receiving)) == receiving and len(str(receiving)) == 115 and str(receiving).isalnum()


@given(which=st.sampled_from(["link", "sealed", "receiving"]), at=st.integers(0, 249), data=st.data())
def test_one_wrong_letter_is_refused(which: str, at: int, data: st.DataObject) -> None:
    text: str = SOUND[which]
    letter = data.draw(st.sampled_from("abcdefghijklmnopqrstuvwxyz234567019/=AZ \n\0é"))
    at %= len(text)
    wrong = text[:at] + letter + text[at + 1 :]
    if wrong != text:
        with pytest.raises(Malformed):
            (links.parse_key if which == "receiving" else links.parse)(wrong)


@pytest.mark.parametrize("which", ["link", "sealed", "receiving", "capability"])
def test_no_kind_of_text_is_taken_for_another(which: str) -> None:
    text: str = SOUND[which]
    for prefix in ("holdl1", "holds1", "holdk1", "holdr1", "holdv1"):
        changed = prefix + text[6:]
        for kind, parse in (("l", links.parse), ("k", links.parse_key), ("c", capabilities.parse_text)):
            if changed != text:
                with pytest.raises(Malformed):
                    parse(changed)
            elif kind != {"link": "l", "sealed": "l", "receiving": "k", "capability": "c"}[which]:
                with pytest.raises(Malformed):
                    parse(text)


@pytest.mark.parametrize("which", ["link", "sealed", "receiving"])
def test_what_is_cut_short_or_without_end_is_refused(which: str) -> None:
    text: str = SOUND[which]
    for wrong in ("", text[:-1], text + "a", text * 2, text[:6], text[:6] + "a" * (1 << 20), "hold"):
        for parse in (links.parse, links.parse_key):
            with pytest.raises(Malformed):
                parse(wrong)


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (SOUND["link"][:-1], "172 characters, not 173"),
        (SOUND["link"] + "a" * (1 << 20), "characters, not 173"),
        ("holdl1" + SOUND["link"][6:].upper(), "small letters"),
        (SOUND["link"][:-1] + "1", "a letter or digit that base32 does not have"),
        (SOUND["link"][:80] + ("b" if SOUND["link"][80] == "a" else "a") + SOUND["link"][81:], "its checksum"),
        (next(case["text"] for case in VECTORS["bad"] if case["name"] == "unused bits"), "not the one text"),
    ],
)
def test_what_is_wrong_with_a_text_is_said(wrong: str, why: str) -> None:
    with pytest.raises(Malformed, match=why):
        links.parse(wrong)


def test_another_version_is_unsupported_not_malformed() -> None:
    for text, parse in (
        (SOUND["link"], links.parse),
        (SOUND["sealed"], links.parse),
        (SOUND["receiving"], links.parse_key),
    ):
        with pytest.raises(Unsupported):
            parse(text[:5] + "2" + text[6:])


def test_no_key_shows_where_values_are_shown() -> None:
    shown = repr(links.parse(SOUND["link"])) + repr(links.parse(SOUND["sealed"]))
    assert SOUND["key"] not in shown and repr(bytes.fromhex(SOUND["key"])) not in shown and "holdl" not in shown
    assert repr(links.parse(SOUND["sealed"]).sealed) not in shown  # type: ignore[union-attr]


def test_what_opens_something_is_known_as_a_secret_and_what_does_not_is_not() -> None:
    for which in ("link", "sealed", "capability"):
        assert links.is_secret(SOUND[which]) and links.is_secret(SOUND[which][:9])
    assert not links.is_secret(SOUND["receiving"])
    assert [links.is_sealed(SOUND[which]) for which in ("link", "sealed", "capability")] == [False, True, False]


def test_values_have_their_lengths() -> None:
    for length in (0, SEALED - 1, SEALED + 1):
        with pytest.raises(Malformed):
            SealedLink(GridId(bytes(32)), bytes(length))
    for length in (0, 31, 33):
        with pytest.raises(Malformed):
            ReceivingKey(GridId(bytes(32)), bytes(length))
