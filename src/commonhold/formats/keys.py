"""Ed25519 keys as bytes and text: libp2p's protobuf for public and private keys, PKCS#8 PEM for private ones.

Source: libp2p peer-ids specification, "Keys"; RFC 8410 §7 and RFC 5958. Knows no curve: that a private key's two
halves belong together is for its reader to check.
"""

import base64
import re
from dataclasses import dataclass, field

from commonhold.formats import protobuf
from commonhold.formats.malformed import Malformed, Unsupported

LENGTH = 32  # of a public key, and of a seed
MAX_PRIVATE = 4096  # bytes of a private key in any form

_ED25519 = 1
_TYPES = {0: "RSA", _ED25519: "Ed25519", 2: "Secp256k1", 3: "ECDSA"}
_PUBLIC_PREFIX = b"\x08\x01\x12\x20"
_PKCS8_V1 = bytes.fromhex("302e020100300506032b657004220420")
_PKCS8_V2 = bytes.fromhex("3051020101300506032b657004220420")
_PKCS8_V2_PUBLIC = bytes.fromhex("812100")
_PEM_LABEL = re.compile(
    rb"-----BEGIN ([A-Z0-9]{1,16}( [A-Z0-9]{1,16}){0,3})----- "
)  # no more of a broken file is shown
_PEM_BEGIN, _PEM_END = b"-----BEGIN PRIVATE KEY-----", b"-----END PRIVATE KEY-----"


class PublicKey(bytes):
    """An Ed25519 public key: 32 bytes."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Seed:
    """An Ed25519 private key: 32 secret bytes. Nothing prints them by accident."""

    raw: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Pair:
    """A private key as it was written down: the seed, and the public key beside it if there was one."""

    seed: Seed
    public: PublicKey | None


def seed_of(raw: bytes) -> Seed:
    """Return the seed that 32 bytes are."""
    if len(raw) != LENGTH:
        raise Malformed("private key", f"a seed of {len(raw)} bytes, not {LENGTH}")
    return Seed(raw)


def encode_public(key: PublicKey) -> bytes:
    """Return libp2p's protobuf of a public key: 36 bytes."""
    return _PUBLIC_PREFIX + key


def decode_public(data: bytes) -> PublicKey:
    """Return the key of libp2p's protobuf. Canonical only, as names are made of these bytes."""
    _type_of(data, "public key")
    if len(data) != len(_PUBLIC_PREFIX) + LENGTH or not data.startswith(_PUBLIC_PREFIX):
        raise Malformed("public key", "not a canonical Ed25519 key")
    return PublicKey(data[len(_PUBLIC_PREFIX) :])


def decode_private(data: bytes) -> Pair:
    """Return the private key of libp2p's protobuf: 64 bytes of it, or 96 where the public key stands twice."""
    secret = _type_of(data, "private key")
    if len(secret) not in (2 * LENGTH, 3 * LENGTH):
        raise Malformed("private key", f"an Ed25519 key of {len(secret)} bytes, not {2 * LENGTH}")
    public = secret[LENGTH : 2 * LENGTH]
    if secret[2 * LENGTH :] not in (b"", public):
        raise Malformed("private key", "two public keys that differ")
    return Pair(Seed(secret[:LENGTH]), PublicKey(public))


def _type_of(data: bytes, what: str) -> bytes:
    """The data field of a key's protobuf, which must be one of Ed25519."""
    if len(data) > MAX_PRIVATE:
        raise Malformed(what, f"{len(data)} bytes, the limit is {MAX_PRIVATE}")
    kind, value = None, None
    for number, wire, a, b in protobuf.fields(data, what):
        if (number, wire) == (1, protobuf.VARINT) and kind is None:
            kind = a
        elif (number, wire) == (2, protobuf.BYTES) and value is None:
            value = data[a:b]
        else:
            raise Malformed(what, f"field {number} is unknown, repeated or of another type")
    if kind is None or value is None:
        raise Malformed(what, "type or data is missing")
    if kind != _ED25519:
        raise Unsupported(what, f"of type {_TYPES.get(kind, kind)}; Ed25519 alone is supported")
    return value


def encode_pem(seed: Seed) -> bytes:
    """Return the PKCS#8 PEM text of a private key."""
    return b"\n".join((_PEM_BEGIN, base64.b64encode(_PKCS8_V1 + seed.raw), _PEM_END, b""))


def decode_pem(text: bytes) -> Pair:
    """Return the private key of a PKCS#8 PEM text, version 1 or 2. Encrypted ones and other kinds are `Unsupported`."""
    if len(text) > MAX_PRIVATE:
        raise Malformed("PEM", f"{len(text)} bytes, the limit is {MAX_PRIVATE}")
    joined = b" ".join(text.split())
    if not (joined.startswith(_PEM_BEGIN + b" ") and joined.endswith(b" " + _PEM_END)):
        label = _PEM_LABEL.match(joined)
        if label and label[1] != b"PRIVATE KEY":
            raise Unsupported("PEM", f"{label[1].decode()}; PRIVATE KEY (PKCS#8, not encrypted) is supported")
        raise Malformed("PEM", "not one PRIVATE KEY from its first line to its last")
    try:
        der = base64.b64decode(joined[len(_PEM_BEGIN) : -len(_PEM_END)].replace(b" ", b""), validate=True)
    except ValueError as error:
        raise Malformed("PEM", "not base64") from error
    return _decode_der(der)


def _decode_der(der: bytes) -> Pair:
    after = len(_PKCS8_V1) + LENGTH
    seed = Seed(der[len(_PKCS8_V1) : after])
    if der.startswith(_PKCS8_V1) and len(der) == after:
        return Pair(seed, None)
    public = after + len(_PKCS8_V2_PUBLIC)
    if der.startswith(_PKCS8_V2) and der[after:public] == _PKCS8_V2_PUBLIC and len(der) == public + LENGTH:
        return Pair(seed, PublicKey(der[public:]))
    raise Unsupported("PEM", "not an Ed25519 key; Ed25519 alone is supported")
