"""Packs: many sealed blocks in one unit, a table in front of them. Pure. docs/spec/pack.md, "A pack".

Checks all of a table but that a block is the one it is called: that is for whoever reads the block.
"""

import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from commonhold.formats import multihash, varint
from commonhold.formats.car import MAX_BLOCK
from commonhold.formats.malformed import Malformed
from commonhold.formats.multihash import Multihash

MAX_PACK = 64 << 20
MAX_BLOCKS = 65_536
TARGET = 32 << 20  # bytes of a pack with its table, at most, as packs are cut

_MAGIC = b"hpk1"
_HEAD = struct.Struct("<4sII")
HEAD = _HEAD.size


class Entry(NamedTuple):
    """A block and how many bytes it has."""

    key: Multihash
    length: int


class Located(NamedTuple):
    """A block and where in the pack it lies."""

    key: Multihash
    start: int
    stop: int


def _row(entry: Entry) -> bytes:
    if not 0 <= entry.length <= MAX_BLOCK:
        raise Malformed("pack", f"a block of {entry.length} bytes, the limit is {MAX_BLOCK}")
    return entry.key + varint.encode(entry.length)


def encode_table(entries: Sequence[Entry]) -> bytes:
    """Return what goes before the blocks of a pack, which follow in this order."""
    if not 0 < len(entries) <= MAX_BLOCKS:
        raise Malformed("pack", f"{len(entries)} blocks, there are 1 to {MAX_BLOCKS}")
    if len({entry.key for entry in entries}) != len(entries):
        raise Malformed("pack", "a block twice")
    rows = b"".join([_row(entry) for entry in entries])
    size = HEAD + len(rows) + sum(entry.length for entry in entries)
    if size > MAX_PACK:
        raise Malformed("pack", f"{size} bytes, the limit is {MAX_PACK}")
    return _HEAD.pack(_MAGIC, len(entries), len(rows)) + rows


def table_size(head: bytes | memoryview) -> int:
    """Return how many bytes a pack's table has, by the first HEAD bytes of the pack."""
    return HEAD + _head(head)[1]


def _head(data: bytes | memoryview) -> tuple[int, int]:
    """How many blocks, and bytes of rows."""
    if len(data) < HEAD:
        raise Malformed("pack", "cut short")
    magic, count, rows = _HEAD.unpack_from(data)
    if magic != _MAGIC:
        raise Malformed("pack", "no pack, or one of another version")
    if not 0 < count <= MAX_BLOCKS or HEAD + rows > MAX_PACK:
        raise Malformed("pack", f"{count} blocks in a table of {rows} bytes")
    return count, rows


def decode_table(data: bytes | memoryview, size: int) -> list[Located]:
    """Return where the blocks of a pack of `size` bytes lie. `data` begins with its table; the rest is not read."""
    count, length = _head(data)
    at = HEAD + length
    if not at <= size <= MAX_PACK or len(data) < at:
        raise Malformed("pack", f"a table of {at} bytes in a pack of {size}, {len(data)} of them here")
    rows = bytes(data[HEAD:at])
    found: list[Located] = []
    row = 0
    for _ in range(count):
        key, row = multihash.parse(rows, row)
        block, row = varint.decode(rows, row)
        if block > MAX_BLOCK or at + block > size:
            raise Malformed("pack", f"a block of {block} bytes at {at}, the pack has {size}")
        found.append(Located(key, at, at + block))
        at += block
    if row != len(rows) or at != size:
        raise Malformed("pack", "its table is not of its length, or the blocks are not of the pack's")
    if len({one.key for one in found}) != count:
        raise Malformed("pack", "a block twice")
    return found


def plan(entries: Iterable[Entry]) -> Iterator[list[Entry]]:
    """Cut a stream of blocks into packs, in its order. What a pack has already is passed over."""
    pack: dict[Multihash, Entry] = {}
    size = HEAD
    for entry in entries:
        if entry.key in pack:
            continue
        more = len(_row(entry)) + entry.length
        if pack and (size + more > TARGET or len(pack) == MAX_BLOCKS):
            yield list(pack.values())
            pack, size = {}, HEAD
        pack[entry.key] = entry
        size += more
    if pack:
        yield list(pack.values())
