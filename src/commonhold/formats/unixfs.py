"""UnixFS data messages: what a dag-pb node's data field says about a file, a directory, a link or a shard.

Source: UnixFS specification, "Data" message. The tree itself is `commonhold.unixfs`.
"""

import struct
from dataclasses import dataclass
from enum import IntEnum

from commonhold.formats import protobuf, varint
from commonhold.formats.malformed import Malformed

HAMT_MURMUR3 = 0x22
MAX_SIZE = (1 << 63) - 1


class Type(IntEnum):
    """The message's type field."""

    RAW = 0
    DIRECTORY = 1
    FILE = 2
    METADATA = 3
    SYMLINK = 4
    HAMT = 5


@dataclass(frozen=True, slots=True)
class Mtime:
    """A modification time: seconds since 1970 (may be negative) and nanoseconds in [0, 1e9)."""

    seconds: int
    nanos: int = 0


@dataclass(frozen=True, slots=True)
class Data:
    """One UnixFS message. Sizes in bytes; `mode` the lower 12 permission bits; None where a field is absent."""

    type: Type
    data: bytes | None = None
    filesize: int | None = None
    blocksizes: tuple[int, ...] = ()
    hash_type: int | None = None
    fanout: int | None = None
    mode: int | None = None
    mtime: Mtime | None = None


def encode(value: Data) -> bytes:
    """Return the message in field order, as every IPFS tool writes it."""
    put = varint.encode
    parts = [b"\x08", put(value.type)]
    if value.data is not None:
        parts += [b"\x12", put(len(value.data)), value.data]
    if value.filesize is not None:
        parts += [b"\x18", put(value.filesize)]
    for size in value.blocksizes:
        parts += [b"\x20", put(size)]
    if value.hash_type is not None:
        parts += [b"\x28", put(value.hash_type)]
    if value.fanout is not None:
        parts += [b"\x30", put(value.fanout)]
    if value.mode is not None:
        parts += [b"\x38", put(value.mode)]
    if value.mtime is not None:
        body = b"\x08" + put(value.mtime.seconds & (1 << 64) - 1)
        if value.mtime.nanos:
            body += b"\x15" + struct.pack("<I", value.mtime.nanos)
        parts += [b"\x42", put(len(body)), body]
    return b"".join(parts)


def decode(message: bytes) -> Data:
    """Return the message; unknown fields are passed over, as the specification asks."""
    kind: int | None = None
    data: bytes | None = None
    numbers: dict[int, int] = {}
    sizes: list[int] = []
    mtime: Mtime | None = None
    for number, wire, a, b in protobuf.fields(message, "UnixFS message"):
        if number == 1 and wire == protobuf.VARINT:
            kind = a
        elif number == 2 and wire == protobuf.BYTES:
            data = message[a:b]
        elif number == 4 and wire == protobuf.VARINT:
            sizes.append(_size(a))
        elif number == 4 and wire == protobuf.BYTES:  # a packed list, which proto3 writers make
            sizes += _packed(message[a:b])
        elif number in (3, 5, 6, 7) and wire == protobuf.VARINT:
            numbers[number] = a
        elif number == 8 and wire == protobuf.BYTES:
            mtime = _mtime(message[a:b])
        elif number in (1, 2, 3, 4, 5, 6, 7, 8):
            raise Malformed("UnixFS message", f"field {number} of wire type {wire}")
    if kind is None or kind not in Type.__members__.values():
        raise Malformed("UnixFS message", "no type" if kind is None else f"type {kind}")
    filesize = numbers.get(3)
    return Data(
        Type(kind),
        data,
        None if filesize is None else _size(filesize),
        tuple(sizes),
        numbers.get(5),
        numbers.get(6),
        None if 7 not in numbers else numbers[7] & 0o7777,
        mtime,
    )


def _size(number: int) -> int:
    if number > MAX_SIZE:
        raise Malformed("UnixFS message", f"a size of {number} bytes")
    return number


def _packed(body: bytes) -> list[int]:
    sizes, at = [], 0
    while at < len(body):
        size, at = varint.decode(body, at, strict=False)
        sizes.append(_size(size))
    return sizes


def _mtime(body: bytes) -> Mtime:
    seconds: int | None = None
    nanos = 0
    for number, wire, a, b in protobuf.fields(body, "UnixFS mtime"):
        if number == 1 and wire == protobuf.VARINT:
            seconds = a - (1 << 64) if a >= 1 << 63 else a
        elif number == 2 and wire == protobuf.FIXED32:
            nanos = int(struct.unpack("<I", body[a:b])[0])
    if seconds is None or nanos >= 1_000_000_000:
        raise Malformed("UnixFS mtime", "no seconds" if seconds is None else f"{nanos} nanoseconds")
    return Mtime(seconds, nanos)
