"""Records: the checksummed unit of every append-only file here. Pure.

A record is a 64-byte header, a body, and a payload that the body describes. Header and body carry digests keyed with
the file's own secret, so that no stored payload can pass for a record when a damaged file is searched for the next one.
docs/spec/blockstore.md has the layout.
"""

import hashlib
import struct
from enum import IntEnum
from typing import NamedTuple

MAGIC = b"HrEc"
HEADER = struct.Struct("<4sBBHIIQ16s24s")
HEADER_SIZE = HEADER.size
MAX_BODY = 64 << 20
_VERSION = 1
_DIGEST_SIZE = 16
_SEAL_SIZE = 24

assert HEADER_SIZE == 64


class RecordKind(IntEnum):
    """What a record says."""

    FILE = 1  # the first record of every file: what it is
    BLOCKS = 2  # a frame of a segment: a table of keys, then their payloads
    MEMBERS = 3  # keys that a retain set keeps
    COMMIT = 4  # a retain set is whole and has a name
    DROP = 5  # a retain set is gone
    GONE = 6  # blocks are no longer where they were: deleted, or moved
    RENAME = 7  # a retain set has another name
    OWNED = 8  # a COMMIT of a set that has an owner or readers; since format 2


class Header(NamedTuple):
    """A record's measure. `payload` is where the payload starts, `total` where the record ends, from its start."""

    kind: RecordKind
    body: int
    payload: int
    total: int
    digest: bytes


def file_key(secret: bytes, name: str) -> bytes:
    """Return the key of one file's digests: a record of another file is worth nothing here."""
    return hashlib.blake2b(name.encode(), key=secret, digest_size=32, person=b"hold file key").digest()


def _digest(key: bytes, data: bytes, size: int) -> bytes:
    return hashlib.blake2b(data, key=key, digest_size=size).digest()


def pack_header(key: bytes, kind: RecordKind, body: bytes, *, payload: int, total: int) -> bytes:
    """Return a header for a body; sizes in bytes from the record's start."""
    bare = HEADER.pack(MAGIC, kind, _VERSION, 0, len(body), payload, total, _digest(key, body, _DIGEST_SIZE), b"")[
        :-_SEAL_SIZE
    ]
    return bare + _digest(key, bare, _SEAL_SIZE)


def pack(key: bytes, kind: RecordKind, body: bytes) -> bytes:
    """Return a record without payload, padded to 8 bytes."""
    size = HEADER_SIZE + len(body)
    total = (size + 7) & ~7
    return pack_header(key, kind, body, payload=size, total=total) + body + bytes(total - size)


def unpack_header(key: bytes, data: bytes) -> Header | None:
    """Return the header at the start of data, or None if there is no sound one."""
    if len(data) < HEADER_SIZE or data[:4] != MAGIC:
        return None
    _, kind, version, _, body, payload, total, digest, seal = HEADER.unpack_from(data)
    if seal != _digest(key, data[: HEADER_SIZE - _SEAL_SIZE], _SEAL_SIZE):
        return None
    sound = version == _VERSION and kind in RecordKind.__members__.values() and body <= MAX_BODY
    if not sound or not HEADER_SIZE + body <= payload <= total:
        return None
    return Header(RecordKind(kind), body, payload, total, digest)


def body_is_sound(key: bytes, header: Header, body: bytes) -> bool:
    """Tell whether these are the bytes that the header was made for."""
    return len(body) == header.body and _digest(key, body, _DIGEST_SIZE) == header.digest
