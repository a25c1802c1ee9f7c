"""What is sealed for one key opens with it alone, and as RFC 9180 says."""

import os
import random

import pytest

from commonhold.crypto import hpke
from commonhold.crypto.hpke import Receiver
from commonhold.formats.malformed import Malformed
from tests.crypto import hpke_by_hand

BOB = Receiver(bytes(range(32)))
INFO = b"what it is about"


@pytest.mark.parametrize(
    ("aead", "ephemeral", "receiver", "public", "sealed"),
    [
        (  # A.1.1.1
            hpke_by_hand.AES_128,
            "52c4a758a802cd8b936eceea314432798d5baf2d7e9235dc084ab1b9cfa2f736",
            "3948cfe0ad1ddb695d780e59077195da6c56506b027329794ab02bca80815c4d",
            "37fda3567bdbd628e88668c3c8d7e97d1d1253b6d4ea6d44c150f741f1bf4431",
            "f938558b5d72f1a23810b4be2ab4f84331acc02fc97babc53a52ae8218a355a96d8770ac83d07bea87e13c512a",
        ),
        (  # A.2.1.1
            hpke_by_hand.CHACHA,
            "f4ec9b33b792c372c1d2c2063507b684ef925b8c75a42dbcbf57d63ccd381600",
            "4310ee97d88cc1f088a5576c77ab0cf5c3ac797f3d95139c6c84b5429c59662a",
            "1afa08d3dec047a643885163f1180476fa7ddb54c6a8029ea33f95796bf2ac4a",
            "1c5250d8034ec2b784ba2cfd69dbdb8af406cfe3ff938e131f0def8c8b60b4db21993c62ce81883d2dd1b51a28",
        ),
    ],
)
def test_the_other_implementation_is_that_of_the_rfc(
    aead: bytes, ephemeral: str, receiver: str, public: str, sealed: str
) -> None:
    found = hpke_by_hand.seal(
        aead,
        bytes.fromhex(ephemeral),
        bytes.fromhex(receiver),
        b"Beauty is truth, truth beauty",
        b"Ode on a Grecian Urn",
        b"Count-0",
    )
    assert found.hex() == public + sealed


def test_what_another_implementation_seals_opens_here() -> None:
    for length in (0, 1, 68, 1000):
        text = os.urandom(length)
        sealed = hpke_by_hand.seal(hpke_by_hand.AES_256, os.urandom(32), BOB.public, text, INFO)
        assert len(sealed) == length + hpke.OVERHEAD and BOB.unseal(sealed, INFO) == text
    assert BOB.public == hpke_by_hand.public(BOB.raw)


def test_what_is_sealed_opens_and_never_looks_the_same_twice() -> None:
    one, two = (hpke.seal(BOB.public, b"text", INFO) for _ in range(2))
    assert BOB.unseal(one, INFO) == BOB.unseal(two, INFO) == b"text"
    assert one[:32] != two[:32] and one[32:] != two[32:] and len(one) == 4 + hpke.OVERHEAD


def test_nobody_else_opens_it_nor_what_was_changed_and_all_are_told_the_same() -> None:
    sealed = hpke.seal(BOB.public, b"text", INFO)
    draw = random.Random(3)
    said = set()
    wrong = [(Receiver(os.urandom(32)), sealed, INFO), (BOB, sealed, INFO + b"x"), (BOB, sealed, b"")]
    wrong += [(BOB, sealed[:length], INFO) for length in (0, 31, 32, 47, len(sealed) - 1)]
    wrong += [(BOB, sealed + b"\0", INFO), (BOB, bytes(32) + sealed[32:], INFO)]
    for _ in range(100):
        bit = draw.randrange(8 * len(sealed))
        if bit == 255:  # X25519 does not look at it, HPKE does
            continue
        changed = bytearray(sealed)
        changed[bit // 8] ^= 1 << bit % 8
        wrong.append((BOB, bytes(changed), INFO))
    for who, what, about in wrong:
        with pytest.raises(Malformed) as error:
            who.unseal(what, about)
        said.add(str(error.value))
    assert len(said) == 1


def test_the_bit_that_the_curve_ignores_counts_too() -> None:
    sealed = bytearray(hpke.seal(BOB.public, b"text", INFO))
    sealed[31] ^= 0x80
    with pytest.raises(Malformed):
        BOB.unseal(bytes(sealed), INFO)


@pytest.mark.parametrize(
    "public",
    [
        bytes(32),
        b"\x01" + bytes(31),
        bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
        bytes.fromhex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
        bytes.fromhex("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
        b"",
        bytes(31),
        bytes(33),
    ],
)
def test_nothing_is_sealed_with_a_key_that_everybody_has_the_secret_of(public: bytes) -> None:
    with pytest.raises(Malformed):
        hpke.seal(public, b"text", INFO)


def test_a_private_key_has_its_length_and_is_not_shown() -> None:
    assert repr(BOB) == "Receiver()" == str(BOB)
    for length in (0, 31, 33):
        with pytest.raises(Malformed):
            Receiver(bytes(length))
