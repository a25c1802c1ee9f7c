"""Multihashes: a hash function's code, the digest's length, the digest. The block store's key.

Source: multiformats multihash and its table. Only functions that still resist collisions name content here.
"""

import hashlib
from collections.abc import Callable
from typing import NamedTuple

from commonhold.formats import varint
from commonhold.formats.malformed import Malformed, Unsupported

IDENTITY = 0x00
SHA2_256 = 0x12
MAX_IDENTITY = 128
MAX_DIGEST = 128

_SHA2_256_PREFIX = b"\x12\x20"


class Function(NamedTuple):
    """A hash function: name in the multicodec table, digest length in bytes, and how to compute it (or None)."""

    name: str
    length: int
    compute: Callable[[bytes | memoryview], bytes] | None


def _blake2b_256(data: bytes | memoryview) -> bytes:
    return hashlib.blake2b(data, digest_size=32).digest()


FUNCTIONS: dict[int, Function] = {
    SHA2_256: Function("sha2-256", 32, lambda data: hashlib.sha256(data).digest()),
    0x13: Function("sha2-512", 64, lambda data: hashlib.sha512(data).digest()),
    0x20: Function("sha2-384", 48, lambda data: hashlib.sha384(data).digest()),
    0x14: Function("sha3-512", 64, lambda data: hashlib.sha3_512(data).digest()),
    0x15: Function("sha3-384", 48, lambda data: hashlib.sha3_384(data).digest()),
    0x16: Function("sha3-256", 32, lambda data: hashlib.sha3_256(data).digest()),
    0xB220: Function("blake2b-256", 32, _blake2b_256),
    0xB240: Function("blake2b-512", 64, lambda data: hashlib.blake2b(data).digest()),
    0xB260: Function("blake2s-256", 32, lambda data: hashlib.blake2s(data).digest()),
    # Named for messages; not computed here.
    0x1E: Function("blake3", 32, None),
    0x11: Function("sha1", 20, None),
    0x1B: Function("keccak-256", 32, None),
}


class Multihash(bytes):
    """A well-formed multihash. Made by `parse` or `sha2_256`; nothing else checks it again."""

    __slots__ = ()

    @property
    def code(self) -> int:
        """The hash function's multicodec code."""
        return varint.decode(self, 0)[0]

    @property
    def digest(self) -> bytes:
        """The digest alone."""
        _, at = varint.decode(self, 0)
        _, at = varint.decode(self, at)
        return self[at:]

    @property
    def function(self) -> str:
        """The function's name, or its code in hexadecimal."""
        code = self.code
        return "identity" if code == IDENTITY else FUNCTIONS[code].name if code in FUNCTIONS else hex(code)


def parse(data: bytes, at: int = 0) -> tuple[Multihash, int]:
    """Return the multihash at an offset and the offset after it; the digest has at most 128 bytes."""
    if data[at : at + 2] == _SHA2_256_PREFIX and len(data) - at >= 34:
        return Multihash(data[at : at + 34]), at + 34
    code, after = varint.decode(data, at)
    length, after = varint.decode(data, after)
    if length > MAX_DIGEST:
        raise Malformed("multihash", f"a digest of {length} bytes, the limit is {MAX_DIGEST}")
    known = FUNCTIONS.get(code)
    if known and known.length != length:
        raise Malformed("multihash", f"{known.name} has {known.length} bytes, not {length}")
    if len(data) - after < length:
        raise Malformed("multihash", "cut short")
    return Multihash(data[at : after + length]), after + length


def sha2_256(data: bytes | memoryview) -> Multihash:
    """Return the sha2-256 multihash of data."""
    return Multihash(_SHA2_256_PREFIX + hashlib.sha256(data).digest())


def from_sha2_256_digest(digest: bytes) -> Multihash:
    """Wrap a digest that somebody already computed: 32 bytes."""
    return Multihash(_SHA2_256_PREFIX + digest)


def identity(data: bytes) -> Multihash:
    """Return the multihash that carries data itself: at most 128 bytes."""
    if len(data) > MAX_IDENTITY:
        raise Malformed("multihash", f"identity of {len(data)} bytes, the limit is {MAX_IDENTITY}")
    return Multihash(varint.encode(IDENTITY) + varint.encode(len(data)) + data)


def compute(code: int, data: bytes | memoryview) -> Multihash:
    """Hash data by a function's code."""
    if code == IDENTITY:
        return identity(bytes(data))
    function = FUNCTIONS.get(code)
    if function is None or function.compute is None:
        raise Unsupported("multihash", f"hash function {function.name if function else hex(code)} is not supported")
    digest = function.compute(data)
    return Multihash(varint.encode(code) + varint.encode(len(digest)) + digest)


def matches(expected: Multihash, data: bytes | memoryview) -> bool:
    """Tell whether data has this multihash. An unsupported function raises `Unsupported`."""
    if expected[:2] == _SHA2_256_PREFIX:
        return hashlib.sha256(data).digest() == expected[2:]
    return compute(expected.code, data) == expected


def describe(key: Multihash) -> str:
    """A key as people see it: function and digest."""
    try:
        return f"{key.function}:{key.digest.hex()}"
    except Malformed:
        return key.hex()


def code_of(name: str) -> int:
    """Return a function's code by its name in the multicodec table."""
    for code, function in FUNCTIONS.items():
        if function.name == name and function.compute is not None:
            return code
    if name == "identity":
        return IDENTITY
    known = ", ".join(sorted(f.name for f in FUNCTIONS.values() if f.compute))
    raise Unsupported("hash name", f"{name!r}; known are {known} and identity")
