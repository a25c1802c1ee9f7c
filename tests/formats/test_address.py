"""Addresses as people hand them on: one text each, and what is none."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonhold.formats import address as addresses
from commonhold.formats import hint as hints
from commonhold.formats.address import Address
from commonhold.formats.announcement import MAX_ADDRESS, MAX_ADDRESSES
from commonhold.formats.malformed import Malformed
from commonhold.formats.pin import SpkiPin
from tests import vectors

FILE = json.loads((vectors.ROOT / "addresses.json").read_text())
PIN = SpkiPin(bytes(32))


@pytest.mark.parametrize("case", vectors.cases("addresses"), ids=lambda case: case["text"][58:98])
def test_an_address_is_read_and_has_one_text(case: dict[str, Any]) -> None:
    found = addresses.parse(case["text"])
    assert (found.server.hex(), [str(one) for one in found.hints]) == (case["pin"], case["hints"])
    assert str(found) == case["canonical"] and addresses.parse(str(found)) == found


@pytest.mark.parametrize("text", FILE["bad"], ids=lambda text: ascii(text)[58:98])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(Malformed):
        addresses.parse(text)


def test_an_address_has_so_many_hints_and_no_more() -> None:
    many = [f"tcp:10.0.0.1:{port}" for port in range(1, MAX_ADDRESSES + 2)]
    assert len(addresses.parse(f"{PIN}@{','.join(many[:-1])}").hints) == MAX_ADDRESSES
    with pytest.raises(Malformed):
        addresses.parse(f"{PIN}@{','.join(many)}")


def test_a_hint_in_it_is_as_long_as_one_in_an_announcement_and_no_longer() -> None:
    path = "unix:/" + "a" * (MAX_ADDRESS - 6)
    assert str(addresses.parse(f"{PIN}@{path}").hints[0]) == path
    for text in (f"{PIN}@{path}a", f"{PIN}@" + "tcp:a.example:1" * 1000):
        with pytest.raises(Malformed):
            addresses.parse(text)


def test_a_hint_that_its_text_could_not_have_makes_no_address() -> None:
    with pytest.raises(Malformed):
        Address(PIN, (hints.parse("unix:/a,b"),))
    with pytest.raises(Malformed):
        Address(PIN, ())


@given(st.text("@,:p tcp./a1", max_size=40), st.booleans())
def test_any_text_is_refused_or_comes_back(text: str, pinned: bool) -> None:
    try:
        found = addresses.parse(f"{PIN}@{text}" if pinned else text)
    except Malformed:
        return
    assert addresses.parse(str(found)) == found
