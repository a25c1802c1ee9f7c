"""Where blocks lie in shared memory, as a stranger says it."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonhold.formats import multihash, spots
from commonhold.formats.car import MAX_BLOCK
from commonhold.formats.keylist import MAX_KEYS
from commonhold.formats.malformed import Malformed
from commonhold.formats.spots import MAX_BYTES, MEMORY, Spot

KEYS = [multihash.sha2_256(b"a"), multihash.identity(b"x" * 128), multihash.parse(b"\x7f\x02ab")[0]]
KEY = KEYS[0]


@given(
    st.lists(st.builds(Spot, st.sampled_from(KEYS), st.integers(0, MEMORY - 1000), st.integers(0, 1000)), max_size=5)
)
def test_what_is_packed_comes_back(found: list[Spot]) -> None:
    assert spots.unpack(spots.pack(found)) == found


def test_the_form_is_that_of_the_page() -> None:
    packed = spots.pack([Spot(KEY, 0x0102, 3)])
    assert packed == b"\x02\x01" + bytes(6) + b"\x03\0\0\0" + b"\x22" + KEY


@pytest.mark.parametrize(
    "sound",
    [
        [Spot(KEY, MEMORY, 0)],
        [Spot(KEY, MEMORY - MAX_BLOCK, MAX_BLOCK)],
        [Spot(KEY, 0, MAX_BLOCK)] * (MAX_BYTES // MAX_BLOCK),
        [Spot(KEY, 0, 0)] * MAX_KEYS,
    ],
)
def test_what_just_fits_is_taken(sound: list[Spot]) -> None:
    assert spots.unpack(spots.pack(sound)) == sound


@pytest.mark.parametrize(
    "packed",
    [
        b"\0",
        spots.pack([Spot(KEY, 0, 1)])[:-1],
        spots.pack([Spot(KEY, 0, 1)])[:13],
        spots.pack([Spot(KEY, 0, 1)]) + b"\0",
        struct.pack("<QIB", 0, 1, 33) + KEY,
        struct.pack("<QIB", 0, 1, 35) + KEY + b"\0",
        spots.pack([Spot(KEY, 0, MAX_BLOCK + 1)]),
        spots.pack([Spot(KEY, 0, 0xFFFFFFFF)]),
        spots.pack([Spot(KEY, MEMORY, 1)]),
        spots.pack([Spot(KEY, MEMORY + 1, 0)]),
        spots.pack([Spot(KEY, (1 << 64) - 1, 1)]),  # -1, and what wraps around
        spots.pack([Spot(KEY, 1 << 63, 1)]),
        spots.pack([Spot(KEY, 0, MAX_BLOCK)] * (MAX_BYTES // MAX_BLOCK) + [Spot(KEY, 0, 1)]),
        spots.pack([Spot(KEY, 0, 0)] * (MAX_KEYS + 1)),
    ],
)
def test_what_is_cut_short_or_lies_outside_or_is_too_much_is_refused(packed: bytes) -> None:
    with pytest.raises(Malformed):
        spots.unpack(packed)
