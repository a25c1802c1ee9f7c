"""Sealed blocks: their sizes, header and rows. docs/spec/sealing.md, "A sealed block".

┌ under the read key ───────────────────────────────┐     ┌ under the verify key ┐
│ content · inner rows · zeros · header             │ tag │ outer rows           │ tag
└───────────────────────────────────────────────────┘     └ only if it has rows ─┘
"""

import hashlib
import struct
from typing import NamedTuple

from commonhold.api import MAX_BLOCK
from commonhold.crypto.aead import KEY, TAG
from commonhold.formats import cid as cids
from commonhold.formats.cid import Cid
from commonhold.formats.malformed import Malformed, Unsupported

VERSION = 1
NO_KEY = bytes(KEY)  # the verify key of a block without rows: there is nothing for it to open

HEADER = 16
_HEADER = struct.Struct("<BBHIII")
INNER_ROW = 36
_INNER = struct.Struct("<32sI")
OUTER_ROW = 68
_OUTER = struct.Struct("<32sI32s")

_FLOOR = 256
_SLACK = 64  # what dag-pb wraps around a chunk does not reach for the next size
_FIXED = HEADER + TAG + _SLACK
MAX_LOAD = (7 << 18) + _SLACK  # the last size that, with all around it, is at most MAX_BLOCK
MAX_ROWS = (MAX_LOAD - TAG) // (INNER_ROW + OUTER_ROW)

MAX_SIZE = MAX_LOAD - _SLACK + _FIXED

assert MAX_SIZE <= MAX_BLOCK


class Row(NamedTuple):
    """All that a parent says of a child: `rows` and `length` are its outer rows and its content's bytes."""

    digest: bytes
    rows: int
    read_key: bytes
    verify_key: bytes
    length: int

    def inner(self) -> bytes:
        """The row that readers see."""
        return _INNER.pack(self.read_key, self.length)

    def outer(self) -> bytes:
        """The row that verifiers see."""
        return _OUTER.pack(self.digest, self.rows, self.verify_key)


class Outer(NamedTuple):
    """A child as a verifier knows it."""

    digest: bytes
    rows: int
    verify_key: bytes

    @property
    def cid(self) -> Cid:
        """The sealed block's CID."""
        return cids.from_digest(cids.RAW, self.digest)


class Header(NamedTuple):
    """What a body says of itself: version and codec of the plain CID, bytes of content, number of rows."""

    cid_version: int
    codec: int
    length: int
    rows: int

    def pack(self) -> bytes:
        """The 16 bytes at the end of a body."""
        return _HEADER.pack(VERSION, self.cid_version, 0, self.codec, self.length, self.rows)

    def plain_cid(self, digest: bytes) -> Cid:
        """The CID of content of this kind, by its sha2-256 digest."""
        return Cid(b"\x12\x20" + digest) if self.cid_version == 0 else cids.from_digest(self.codec, digest)


def unpack_header(raw: bytes | memoryview) -> Header:
    """Return the header of 16 bytes. Unsupported for a version or codec that we do not know."""
    version, cid_version, zero, codec, length, rows = _HEADER.unpack(raw)
    if version != VERSION:
        raise Unsupported("sealed block", f"version {version}")
    if codec not in (cids.RAW, cids.DAG_PB):
        raise Unsupported("sealed block", f"codec {cids.codec_name(codec)}")
    if zero or cid_version > 1 or (cid_version == 0 and codec != cids.DAG_PB) or (rows and codec == cids.RAW):
        raise Malformed("sealed block", "a header that contradicts itself")
    return Header(cid_version, codec, length, rows)


def load(length: int, rows: int) -> int:
    """Return the bytes that content and rows come to, with the tag of the outer ones."""
    return length + rows * (INNER_ROW + OUTER_ROW) + TAG if rows else length


def sealed_size(length: int, rows: int) -> int:
    """Return the bytes of the sealed block of content and rows; over MAX_SIZE there is none."""
    bulk = load(length, rows) - _SLACK
    if bulk <= _FLOOR:
        return _FLOOR + _FIXED
    step = 1 << bulk.bit_length() - 3  # quarters of the power of two below it
    return (bulk + step - 1 & -step) + _FIXED


def outer_size(rows: int) -> int:
    """Return the bytes that the outer rows take at a sealed block's end."""
    return rows * OUTER_ROW + TAG if rows else 0


def is_size(size: int, rows: int) -> bool:
    """Whether a block with so many rows can have this size: it is one of the set, and holds them."""
    bulk = size - _FIXED
    return (
        _FLOOR <= bulk <= MAX_LOAD - _SLACK
        and bulk % (1 << bulk.bit_length() - 3) == 0
        and rows <= MAX_ROWS
        and load(0, rows) <= bulk + _SLACK
    )


def unpack_inner(raw: bytes | memoryview) -> list[tuple[bytes, int]]:
    """Return each child's read key and content length."""
    return list(_INNER.iter_unpack(raw))


def unpack_outer(raw: bytes | memoryview) -> list[Outer]:
    """Return the outer rows. Malformed for what no block can be."""
    found = [Outer(*row) for row in _OUTER.iter_unpack(raw)]
    for row in found:
        if row.rows > MAX_ROWS or (row.rows == 0) != (row.verify_key == NO_KEY):
            raise Malformed("sealed block", "an outer row that contradicts itself")
    return found


def rows_digest(inner: bytes, outer: bytes) -> bytes:
    """Return the sha2-256 of all inner rows and then all outer ones."""
    return hashlib.sha256(inner + outer).digest()
