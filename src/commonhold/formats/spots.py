"""Spots: where blocks lie in shared memory, each by its first byte, its length and its key. Pure.

For each: the first byte (8 bytes) and the length (4 bytes), little-endian, then the key with its length before it.
"""

import struct
from collections.abc import Iterable
from typing import NamedTuple

from commonhold.formats import multihash
from commonhold.formats.car import MAX_BLOCK
from commonhold.formats.keylist import MAX_KEYS
from commonhold.formats.malformed import Malformed
from commonhold.formats.multihash import Multihash

MAX_BYTES = 16 << 20  # of blocks in one run
MEMORY = 32 << 20  # bytes of the memory that they lie in

_HEAD = struct.Struct("<QIB")


class Spot(NamedTuple):
    """Where one block lies."""

    key: Multihash
    start: int
    length: int


def pack(spots: Iterable[Spot]) -> bytes:
    """Return the run of these."""
    return b"".join([_HEAD.pack(start, length, len(key)) + key for key, start, length in spots])


def unpack(packed: bytes) -> list[Spot]:
    """Return the spots of a run that a stranger sent, each within the memory."""
    found: list[Spot] = []
    at = total = 0
    while at < len(packed):
        if len(found) == MAX_KEYS:
            raise Malformed("spots", f"more than {MAX_KEYS}")
        if len(packed) - at < _HEAD.size:
            raise Malformed("spots", "cut short")
        start, length, size = _HEAD.unpack_from(packed, at)
        total += length
        if length > MAX_BLOCK or total > MAX_BYTES:
            raise Malformed("spots", f"a block of {length} bytes, {total} with those before it")
        if start + length > MEMORY:
            raise Malformed("spots", f"a block of {length} bytes at {start}, the memory has {MEMORY}")
        at += _HEAD.size
        key, after = multihash.parse(packed, at)
        if after != at + size:
            raise Malformed("spots", "a key of another length than it says")
        found.append(Spot(key, start, length))
        at = after
    return found
