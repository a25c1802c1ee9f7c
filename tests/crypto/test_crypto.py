"""Known answers of the primitives, and what is demanded of the way they are called."""

import os

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from commonhold.crypto import aead
from commonhold.crypto.derive import Deriver, derive
from commonhold.formats.malformed import Malformed


def test_gcm_gives_nists_answer() -> None:
    """McGrew and Viega, "The Galois/Counter Mode of Operation", test case 14."""
    answer = "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919"
    assert aead.seal(bytes(32), bytes(16)).hex() == answer


def test_hmac_gives_the_rfcs_answer() -> None:
    """RFC 4231, test case 2."""
    answer = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    message = b"what do ya want for nothing?"
    assert derive(b"Jefe", message).hex() == answer == Deriver(b"Jefe").derive(message).hex()


@given(key=st.binary(max_size=64), message=st.binary(max_size=200))
def test_a_key_hashed_once_derives_the_same(key: bytes, message: bytes) -> None:
    assert Deriver(key).derive(message) == derive(key, message)


@pytest.mark.parametrize("size", [0, 1, 15, 16, 17, 255, 4096, 65537, 1 << 20])
def test_in_place_is_the_same_as_apart(size: int) -> None:
    key, text = os.urandom(32), os.urandom(size)
    room = memoryview(bytearray(text + bytes(aead.TAG)))
    aead.seal_into(key, room[:size], room)
    assert bytes(room) == aead.seal(key, text)
    assert aead.unseal(key, room) == text
    assert aead.unseal_in_place(key, room) == text and room[:size] == text


@pytest.mark.parametrize("bit", [0, 77, 16 * 8, 31 * 8 + 7])
def test_a_changed_bit_does_not_open(bit: int) -> None:
    room = bytearray(aead.seal(bytes(32), bytes(16)))
    room[bit // 8] ^= 1 << bit % 8
    with pytest.raises(Malformed):
        aead.unseal(bytes(32), bytes(room))
    with pytest.raises(Malformed):
        aead.unseal_in_place(bytes(32), memoryview(room))


@pytest.mark.parametrize("size", [0, 1, 15])
def test_what_is_shorter_than_a_tag_does_not_open(size: int) -> None:
    with pytest.raises(Malformed):
        aead.unseal(bytes(32), bytes(size))
    with pytest.raises(Malformed):
        aead.unseal_in_place(bytes(32), memoryview(bytearray(size)))


@pytest.mark.parametrize("size", [0, 1, 16, 4096, 65537])
def test_a_numbered_text_opens_under_its_number_in_place_and_apart(size: int) -> None:
    key, text = aead.NumberedKey(os.urandom(32)), os.urandom(size)
    room = memoryview(bytearray(text + bytes(aead.TAG)))
    key.seal_into(7, room[:size], room)
    assert bytes(room) == key.seal(7, text) != key.seal(8, text)
    assert key.unseal(7, room) == text
    apart = memoryview(bytearray(size))
    key.unseal_into(7, room, apart)
    assert apart == text
    key.unseal_into(7, room, room[:size])
    assert room[:size] == text


def test_a_numbers_nonce_is_the_number() -> None:
    key = os.urandom(32)
    assert aead.NumberedKey(key).seal(0, b"text") == aead.seal(key, b"text")
    nonce = (5 + (3 << 64)).to_bytes(12, "little")
    assert aead.NumberedKey(key).seal(5 + (3 << 64), b"text") == AESGCM(key).encrypt(nonce, b"text", None)
    with pytest.raises(OverflowError):
        aead.NumberedKey(key).seal(1 << 96, b"text")


@pytest.mark.parametrize("size", [0, 15, 16, 30])
def test_what_was_not_sealed_under_a_number_does_not_open(size: int) -> None:
    key = aead.NumberedKey(bytes(32))
    with pytest.raises(Malformed):
        key.unseal(1, bytes(size))
    sealed = memoryview(bytearray(key.seal(1, bytes(size))))
    for other, number in ((key, 2), (aead.NumberedKey(bytes(31) + b"x"), 1)):
        with pytest.raises(Malformed):
            other.unseal(number, sealed)
        with pytest.raises(Malformed):
            other.unseal_into(number, sealed, memoryview(bytearray(size)))


def test_a_key_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        aead.NumberedKey(bytes(16))
