"""Signatures: RFC 8032's own answers, and what does not pass for one."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from commonhold.crypto import sign
from commonhold.formats.keys import PublicKey, Seed

# RFC 8032 §7.1, tests 1 and 2.
ANSWERS = [
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
]


@pytest.mark.parametrize(("seed", "public", "message", "signature"), ANSWERS)
def test_signatures_are_those_of_the_rfc(seed: str, public: str, message: str, signature: str) -> None:
    key = Seed(bytes.fromhex(seed))
    assert sign.public_key(key).hex() == public
    assert sign.sign(key, bytes.fromhex(message)).hex() == signature
    assert sign.verify(PublicKey.fromhex(public), bytes.fromhex(message), bytes.fromhex(signature))


@given(seed=st.binary(min_size=32, max_size=32), message=st.binary(max_size=99), bit=st.integers(0, 511))
@settings(deadline=None)
def test_a_flipped_bit_is_no_signature(seed: bytes, message: bytes, bit: int) -> None:
    signature = bytearray(sign.sign(Seed(seed), message))
    public = sign.public_key(Seed(seed))
    assert sign.verify(public, message, bytes(signature))
    assert not sign.verify(public, message + b"!", bytes(signature))
    signature[bit // 8] ^= 1 << bit % 8
    assert not sign.verify(public, message, bytes(signature))


@given(public=st.binary(min_size=32, max_size=32), signature=st.binary(max_size=70))
@settings(deadline=None)
def test_any_bytes_may_be_asked_about(public: bytes, signature: bytes) -> None:
    assert not sign.verify(PublicKey(public), b"message", signature)


@pytest.mark.parametrize("bit", [0, 1])
@pytest.mark.parametrize(
    "y",
    [0, 1, 2**255 - 20, 2**255 - 19, 2**255 - 18]
    + [
        int.from_bytes(bytes.fromhex(text), "little")
        for text in (
            "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
            "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        )
    ],
)
def test_a_key_under_which_any_signature_holds_signs_nothing(y: int, bit: int) -> None:
    weak = PublicKey((y | bit << 255).to_bytes(32, "little"))
    identity = (1).to_bytes(32, "little") + bytes(32)
    for message in (b"a", b"b", b"c", b"d", b"e", b"f", b"g", b"h"):
        assert not sign.verify(weak, message, bytes(64))
        assert not sign.verify(weak, message, identity)


def test_a_seed_is_not_shown() -> None:
    seed = Seed(bytes(range(32)))
    assert "\\x0" not in repr(seed) + str(seed) + f"{seed}" and repr(seed) == "Seed()"
