"""The journal of a volume, as bytes: a header, and records chained to it. Pure. docs/spec/volume.md, "Journal".

Each record's sum is also of the sum before it, the first one's of the header's: what is read is what was written behind
that header from its beginning, however the bytes after it came there. A large payload has no sum: whoever writes a
record writes that first, and who reads it reads what the kernel has, in the same boot.
"""

import struct
from collections.abc import Callable, Iterator
from typing import NamedTuple

import mmh3

from commonhold.formats.malformed import Malformed

SUM = 8  # bytes: what header and records begin with
MAX_BODY = 64 << 20
MAX_PAYLOAD = 16 << 20
SMALL = 64 << 10  # bytes of a payload that has a sum

_MAGIC = b"holdlog1"
_HEADER = struct.Struct("<8s16s16sQ8s")
_HEAD = struct.Struct("<IIQqQBB")  # bytes of the body and of the payload, its sum, time, next number, call, more
HEADER_SIZE = SUM + _HEADER.size
HEAD_SIZE = SUM + _HEAD.size

Payload = bytes | memoryview


class Header(NamedTuple):
    """Whose journal it is, in which boot of the machine it was written, and which commit it follows. `nonce`: 8 bytes
    that no other header has."""

    volume: bytes
    boot: bytes
    commit: int
    nonce: bytes


class Record(NamedTuple):
    """A call that changed something: when, and which number was to be the next one before it."""

    call: int
    time: int
    next: int
    body: bytes
    payload: bytes


class Group(NamedTuple):
    """Records that count together or not at all; where they end, and the sum that the next record continues."""

    records: list[Record]
    stop: int
    chain: bytes


def _sum(data: Payload) -> bytes:
    found: bytes = mmh3.mmh3_x64_128_digest(data)
    return found[:SUM]


def pack_header(header: Header) -> bytes:
    """Return a header's bytes."""
    said = _HEADER.pack(_MAGIC, *header)
    return _sum(said) + said


def parse_header(data: bytes) -> Header:
    """Return the header of these bytes."""
    if len(data) != HEADER_SIZE or _sum(data[SUM:]) != data[:SUM]:
        raise Malformed("journal", "no header")
    magic, *rest = _HEADER.unpack_from(data, SUM)
    if magic != _MAGIC:
        raise Malformed("journal", "of another format")
    return Header(*rest)


def pack(
    chain: bytes, call: int, time: int, next_: int, body: bytes, payload: Payload = b"", *, more: bool = False
) -> bytes:
    """Return a record's bytes but for its payload, which follows them, and is written before them if it is not small.
    `chain` is the sum before it; `more`: it counts only with the one after it."""
    if len(body) > MAX_BODY or len(payload) > MAX_PAYLOAD:
        raise Malformed("journal", f"a record of {len(body)} and {len(payload)} bytes")
    whole = int.from_bytes(_sum(payload), "little") if 0 < len(payload) <= SMALL else 0
    said = _HEAD.pack(len(body), len(payload), whole, time, next_, call, more) + body
    return _sum(chain + said) + said


def groups(header: bytes, read: Callable[[int], bytes]) -> Iterator[Group]:
    """Give what is behind a header, as far as it is whole. `read` gives the next bytes, fewer only at the end."""
    chain, at = header[:SUM], HEADER_SIZE
    together: list[Record] = []
    while (found := _next(chain, read)) is not None:
        record, more, chain = found
        at += HEAD_SIZE + len(record.body) + len(record.payload)
        together.append(record)
        if not more:
            yield Group(together, at, chain)
            together = []


def _next(chain: bytes, read: Callable[[int], bytes]) -> tuple[Record, int, bytes] | None:
    """A record, whether more belong to it, and its sum; None for what is no whole record."""
    head = read(HEAD_SIZE)
    if len(head) < HEAD_SIZE:
        return None
    length, size, whole, time, next_, call, more = _HEAD.unpack_from(head, SUM)
    if length > MAX_BODY or size > MAX_PAYLOAD:
        return None
    body = read(length)
    if _sum(b"".join((chain, head[SUM:], body))) != head[:SUM]:
        return None
    payload = read(size)
    if 0 < size <= SMALL and int.from_bytes(_sum(payload), "little") != whole:
        return None
    return (Record(call, time, next_, body, payload), more, head[:SUM]) if len(payload) == size else None
