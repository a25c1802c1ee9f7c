"""A capability's text: one for each value, and hardly a typing error passes for another."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonhold.formats import capability as capabilities
from commonhold.formats import cid as cids
from commonhold.formats import multihash
from commonhold.formats.capability import MAX_ROWS, ReadCapability, VerifyCapability
from commonhold.formats.malformed import Malformed, Unsupported

KEY = st.binary(min_size=32, max_size=32)
TEXT = str(ReadCapability(bytes(range(32)), 5, bytes(range(32, 64))))


@given(digest=KEY, rows=st.integers(0, MAX_ROWS), key=KEY)
def test_text_and_value_are_one_to_one(digest: bytes, rows: int, key: bytes) -> None:
    for kind in (ReadCapability, VerifyCapability):
        made = kind(digest, rows, key)
        assert capabilities.parse_text(str(made)) == made
        assert len(str(made)) == 122 and "/" not in str(made) and str(made) == str(made).lower()


@given(at=st.integers(0, 121), letter=st.sampled_from("abcdefghijklmnopqrstuvwxyz234567019/=AZ \n\0é"))
def test_one_wrong_letter_is_refused(at: int, letter: str) -> None:
    wrong = TEXT[:at] + letter + TEXT[at + 1 :]
    if wrong != TEXT:
        with pytest.raises(Malformed):
            capabilities.parse_text(wrong)


@pytest.mark.parametrize("wrong", ["", "holdr1", TEXT[:-1], TEXT + "a", TEXT.upper(), "holdv1" + TEXT[6:], TEXT * 2])
def test_what_is_no_capability_is_refused(wrong: str) -> None:
    with pytest.raises(Malformed):
        capabilities.parse_text(wrong)


def test_another_version_is_unsupported_not_malformed() -> None:
    with pytest.raises(Unsupported):
        capabilities.parse_text("holdr2" + TEXT[6:])


def test_a_number_of_rows_that_no_block_has_is_refused() -> None:
    with pytest.raises(Malformed):
        capabilities.parse_text(str(ReadCapability(bytes(32), MAX_ROWS + 1, bytes(32))))


def test_no_key_shows_where_values_are_shown() -> None:
    key = os.urandom(32)
    made = ReadCapability(bytes(32), 1, key)
    assert key.hex() not in repr(made) and repr(key) not in repr(made)


def test_a_name_that_carries_a_key_prints_as_the_plain_cid() -> None:
    secret = os.urandom(cids.KEYED_SECRET)
    for plain in (cids.make_v1(cids.RAW, multihash.sha2_256(b"x")), cids.make_v0(multihash.sha2_256(b"x"))):
        keyed = cids.with_key(plain, secret)
        assert str(keyed) == str(plain) and repr(keyed) == repr(plain) and keyed.plain == plain
        assert keyed.codec == plain.codec and keyed.inline is None
        assert cids.parse(bytes(keyed)) == keyed and cids.key_of(keyed.multihash) == (secret, plain)


def test_no_text_is_read_as_a_name_that_carries_a_key() -> None:
    keyed = cids.with_key(cids.make_v1(cids.RAW, multihash.sha2_256(b"x")), bytes(cids.KEYED_SECRET))
    import libipld

    with pytest.raises(Unsupported):
        cids.parse_text(libipld.encode_multibase("b", bytes(keyed)))


@pytest.mark.parametrize("cut", range(3, 115, 7))
def test_a_name_cut_short_is_malformed(cut: int) -> None:
    keyed = cids.with_key(cids.make_v1(cids.RAW, multihash.sha2_256(b"x")), bytes(cids.KEYED_SECRET))
    with pytest.raises(Malformed):
        cids.parse(bytes(keyed)[:cut])
