"""The bodies of records: tables of blocks, members of sets, commits, drops, what is gone. Pure.

Decoding trusts nothing but the record's digest: lengths are checked, and anything odd is `Malformed`.
"""

import struct
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from commonhold.api import MAX_BLOCK, Pin
from commonhold.blockstore.holders import NOBODYS, Holding
from commonhold.blockstore.records import RecordKind
from commonhold.formats import cid as cids
from commonhold.formats.malformed import Malformed
from commonhold.formats.multihash import Multihash

_ENTRY = struct.Struct("<II")
_PLACE = struct.Struct("<IQ")
_SET = struct.Struct("<Q")
_PIN = struct.Struct("<QQQdH")
_HOLDING = struct.Struct("<IB")
MAX_NAME = 255


class Place(NamedTuple):
    """Where a block's payload is: the segment's number, and the offset in its file."""

    segment: int
    offset: int


class Gone(NamedTuple):
    """A block that is no longer at a place; `now` is where it went, None if it was deleted."""

    key: Multihash
    was: Place
    now: Place | None


def pack_key(key: bytes) -> bytes:
    """Return a key with its length before it: at most 160 bytes."""
    return bytes((len(key),)) + key


def _unpack_key(body: bytes, at: int) -> tuple[Multihash, int]:
    if at >= len(body) or at + 1 + body[at] > len(body):
        raise Malformed("record", "a key is cut short")
    end = at + 1 + body[at]
    return Multihash(body[at + 1 : end]), end


def pack_entry(key: bytes, offset: int, length: int) -> bytes:
    """Return one row of a frame's table; the offset counts from the frame's payload."""
    return bytes((len(key),)) + key + _ENTRY.pack(offset, length)


def unpack_table(body: bytes, payload_size: int) -> Iterator[tuple[Multihash, int, int]]:
    """Yield (key, offset in the payload, length) of each block of a frame."""
    at = 0
    while at < len(body):
        key, at = _unpack_key(body, at)
        if at + _ENTRY.size > len(body):
            raise Malformed("record", "a table row is cut short")
        offset, length = _ENTRY.unpack_from(body, at)
        at += _ENTRY.size
        if length > MAX_BLOCK or offset + length > payload_size:
            raise Malformed("record", "a block outside its frame")
        yield key, offset, length


def pack_members(set_id: int, keys: bytes) -> bytes:
    """Return the body that says a set keeps these packed keys."""
    return _SET.pack(set_id) + keys


def unpack_members(body: bytes) -> tuple[int, bytes]:
    """Return the set and its packed keys."""
    if len(body) < _SET.size:
        raise Malformed("record", "members without a set")
    return _SET.unpack_from(body)[0], body[_SET.size :]


def unpack_keys(packed: bytes) -> Iterator[Multihash]:
    """Yield the keys of a packed run, in order."""
    at = 0
    while at < len(packed):
        key, at = _unpack_key(packed, at)
        yield key


MAX_READERS = 255


def pack_holding(holding: Holding) -> bytes:
    """Return on whose behalf a set is, and who may read."""
    readers = holding.readers
    return _HOLDING.pack(holding.owner, len(readers)) + struct.pack(f"<{len(readers)}I", *readers)


def unpack_holding(body: bytes) -> tuple[Holding, bytes]:
    """Return on whose behalf a set is, and the rest of the body."""
    if len(body) < _HOLDING.size:
        raise Malformed("record", "an owner is cut short")
    owner, count = _HOLDING.unpack_from(body)
    end = _HOLDING.size + 4 * count
    if len(body) < end:
        raise Malformed("record", "readers are cut short")
    return Holding(owner, struct.unpack_from(f"<{count}I", body, _HOLDING.size)), body[end:]


def pack_owned(set_id: int, pin: Pin) -> bytes:
    """Return the index's row of a whole set."""
    return pack_holding(Holding(pin.owner, pin.readers)) + pack_pin(set_id, pin)


def unpack_owned(body: bytes) -> tuple[int, Pin]:
    """Return the set and what its owner sees of it."""
    holding, rest = unpack_holding(body)
    set_id, pin = unpack_pin(rest)
    return set_id, pin._replace(owner=holding.owner, readers=holding.readers)


def pack_commit(set_id: int, pin: Pin) -> tuple[RecordKind, bytes]:
    """Return the record that makes a set whole. One that nobody owns is written as format 1 did."""
    if (pin.owner, pin.readers) == NOBODYS:
        return RecordKind.COMMIT, pack_pin(set_id, pin)
    return RecordKind.OWNED, pack_owned(set_id, pin)


def unpack_commit(kind: RecordKind, body: bytes) -> tuple[int, Pin]:
    """Return the set that became whole and what its owner sees of it."""
    return unpack_owned(body) if kind is RecordKind.OWNED else unpack_pin(body)


def pack_pin(set_id: int, pin: Pin) -> bytes:
    """Return a pin without its owner and readers."""
    name = pin.name.encode()
    return _PIN.pack(set_id, pin.blocks, pin.bytes, pin.made, len(name)) + name + pin.root


def unpack_pin(body: bytes) -> tuple[int, Pin]:
    """Return the set and a pin that nobody owns."""
    if len(body) < _PIN.size:
        raise Malformed("record", "a pin is cut short")
    set_id, blocks, size, made, length = _PIN.unpack_from(body)
    rest = body[_PIN.size :]
    try:
        name = rest[:length].decode()
    except UnicodeDecodeError as error:
        raise Malformed("record", "a pin's name is not UTF-8") from error
    return set_id, Pin(name, cids.parse(rest[length:]), blocks, size, made)


def pack_drop(set_id: int) -> bytes:
    """Return the body that says a set is gone."""
    return _SET.pack(set_id)


def unpack_drop(body: bytes) -> int:
    """Return the set that is gone."""
    if len(body) != _SET.size:
        raise Malformed("record", "a drop of another length")
    return int(_SET.unpack(body)[0])


def pack_rename(set_id: int, name: str) -> bytes:
    """Return the body that says a set has another name."""
    return _SET.pack(set_id) + name.encode()


def unpack_rename(body: bytes) -> tuple[int, str]:
    """Return the set and its new name."""
    if len(body) <= _SET.size:
        raise Malformed("record", "a rename without a name")
    try:
        return _SET.unpack_from(body)[0], body[_SET.size :].decode()
    except UnicodeDecodeError as error:
        raise Malformed("record", "a name that is not UTF-8") from error


_NOWHERE = Place(0, 0)


def pack_gone(items: Iterable[Gone]) -> bytes:
    """Return the body that says where blocks no longer are. Segment numbers start at 1; 0 is nowhere."""
    return b"".join(
        pack_key(item.key) + _PLACE.pack(*item.was) + _PLACE.pack(*(item.now or _NOWHERE)) for item in items
    )


def unpack_gone(body: bytes) -> Iterator[Gone]:
    """Yield what is gone."""
    at = 0
    while at < len(body):
        key, at = _unpack_key(body, at)
        if at + 2 * _PLACE.size > len(body):
            raise Malformed("record", "a place is cut short")
        was = Place(*_PLACE.unpack_from(body, at))
        now = Place(*_PLACE.unpack_from(body, at + _PLACE.size))
        at += 2 * _PLACE.size
        yield Gone(key, was, None if now == _NOWHERE else now)
