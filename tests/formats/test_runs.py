"""Runs of byte strings, from whoever sends them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonhold.formats import runs
from commonhold.formats.malformed import Malformed


@given(st.lists(st.binary(max_size=20), max_size=5))
def test_what_is_packed_comes_back(items: list[bytes]) -> None:
    assert runs.unpack(runs.pack(items), 5, 20) == items


@pytest.mark.parametrize(
    "packed", [b"\1", b"\1\0\0", b"\1\0\0\0", b"\x15\0\0\0" + bytes(21), runs.pack([b""] * 6), b"\xff" * 8]
)
def test_what_is_cut_short_or_too_much_is_refused(packed: bytes) -> None:
    with pytest.raises(Malformed):
        runs.unpack(packed, 5, 20)
