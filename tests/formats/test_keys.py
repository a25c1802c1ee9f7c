"""Key encodings: what other tools write is read, and what is no Ed25519 key is refused."""

import base64
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from commonhold.formats import keys
from commonhold.formats.keys import PublicKey, Seed
from commonhold.formats.malformed import Malformed, Unsupported
from tests import vectors

KEYS = json.loads((vectors.ROOT / "ipns.json").read_text())["keys"]
SEED, PUBLIC = bytes(range(32)), bytes(range(32, 64))


@pytest.mark.parametrize("case", KEYS)
def test_libp2p_protobufs_are_those_of_other_tools(case: dict[str, str]) -> None:
    public = keys.decode_public(bytes.fromhex(case["public"]))
    pair = keys.decode_private(bytes.fromhex(case["private"]))
    assert (pair.seed.raw.hex(), pair.public) == (case["seed"], public)
    assert keys.encode_public(public).hex() == case["public"]


@given(st.binary(min_size=32, max_size=32))
@settings(deadline=None)
def test_pem_comes_back_as_any_tool_reads_it(raw: bytes) -> None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    text = keys.encode_pem(Seed(raw))
    assert keys.decode_pem(text) == keys.Pair(Seed(raw), None)
    found = serialization.load_pem_private_key(text, None)
    assert isinstance(found, Ed25519PrivateKey) and found.private_bytes_raw() == raw
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    assert found.private_bytes(*form) == text


def test_pem_of_version_2_brings_its_public_key() -> None:
    der = bytes.fromhex("3051020101300506032b657004220420") + SEED + bytes.fromhex("812100") + PUBLIC
    text = b"-----BEGIN PRIVATE KEY-----\r\n" + base64.encodebytes(der) + b"-----END PRIVATE KEY-----"
    assert keys.decode_pem(text) == keys.Pair(Seed(SEED), PublicKey(PUBLIC))


def pem(label: str, der: bytes) -> bytes:
    return f"-----BEGIN {label}-----\n{base64.b64encode(der).decode()}\n-----END {label}-----\n".encode()


@pytest.mark.parametrize(
    ("text", "refusal"),
    [
        (pem("ENCRYPTED PRIVATE KEY", b"x"), Unsupported),
        (pem("RSA PRIVATE KEY", b"x"), Unsupported),
        (pem("PRIVATE KEY", bytes.fromhex("302e020100300506032b656e04220420") + SEED), Unsupported),  # X25519
        (pem("PRIVATE KEY", bytes.fromhex("302e020100300506032b657004220420") + SEED + b"\0"), Unsupported),
        (pem("PRIVATE KEY", b""), Malformed),
        (pem("PRIVATE KEY", SEED) * 2, Malformed),
        (b"-----BEGIN PRIVATE KEY-----\n!!\n-----END PRIVATE KEY-----", Malformed),
        (b"-----BEGIN PRIVATE KEY-----", Malformed),
        (b"-----BEGIN PRIVATE KEY-- MC4CAQAwBQYDK2VwBCIEIFFF", Malformed),
        (b"", Malformed),
        (pem("PRIVATE KEY", bytes(5000)), Malformed),
    ],
)
def test_what_is_no_ed25519_pem_is_refused(text: bytes, refusal: type[Malformed]) -> None:
    with pytest.raises(refusal):
        keys.decode_pem(text)


@pytest.mark.parametrize("begin", ["-----BEGIN PRIVATE KEY---", "-----BEGIN ", "-----BEGIN RSA KEY-----", ""])
def test_no_error_shows_any_of_a_damaged_key(begin: str) -> None:
    secret = base64.b64encode(bytes.fromhex("302e020100300506032b657004220420") + SEED).decode()
    with pytest.raises(Malformed) as caught:
        keys.decode_pem(f"{begin}{secret}\n-----END PRIVATE KEY-----\n".encode())
    assert secret[:8] not in str(caught.value)


@pytest.mark.parametrize(
    ("raw", "refusal"),
    [
        (b"\x08\x00\x12\x40" + SEED + PUBLIC, Unsupported),  # RSA
        (b"\x08\x01\x12\x20" + SEED, Malformed),
        (b"\x08\x01\x12\x60" + SEED + PUBLIC + SEED, Malformed),  # the public key stands twice, and differs
        (b"\x08\x01", Malformed),
        (b"\x12\x40" + SEED + PUBLIC, Malformed),
        (b"\x08\x01\x08\x01\x12\x40" + SEED + PUBLIC, Malformed),
        (b"\x08\x01\x12\x40" + SEED + PUBLIC + b"\x18\x01", Malformed),
        (bytes(5000), Malformed),
    ],
)
def test_what_is_no_ed25519_protobuf_is_refused(raw: bytes, refusal: type[Malformed]) -> None:
    with pytest.raises(refusal):
        keys.decode_private(raw)


def test_an_old_private_protobuf_has_the_public_key_twice() -> None:
    pair = keys.decode_private(b"\x08\x01\x12\x60" + SEED + PUBLIC + PUBLIC)
    assert pair == keys.Pair(Seed(SEED), PublicKey(PUBLIC))


def test_a_public_key_has_one_form() -> None:
    for raw in (
        b"\x12\x20" + PUBLIC + b"\x08\x01",
        b"\x08\x81\x00\x12\x20" + PUBLIC,
        b"\x08\x01\x12\x21" + PUBLIC + b"x",
    ):
        with pytest.raises(Malformed):
            keys.decode_public(raw)
