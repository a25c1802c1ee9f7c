"""The little of protobuf that dag-pb and UnixFS need: fields out of bytes, with limits.

Source: protobuf encoding guide. Wire types 0 (varint), 1 (fixed64), 2 (bytes) and 5 (fixed32).
"""

from collections.abc import Iterator

from commonhold.formats import varint
from commonhold.formats.malformed import Malformed

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5


def fields(data: bytes, what: str) -> Iterator[tuple[int, int, int, int]]:
    """Yield (field number, wire type, a, b): a varint's value in a, or the [a, b) byte range of anything else."""
    at, end = 0, len(data)
    while at < end:
        tag, at = varint.decode(data, at, strict=False)
        number, wire = tag >> 3, tag & 7
        if number == 0 or number > 0x1FFFFFFF:
            raise Malformed(what, f"field number {number}")
        if wire == VARINT:
            value, at = varint.decode(data, at, strict=False)
            yield number, wire, value, 0
            continue
        if wire == BYTES:
            length, at = varint.decode(data, at, strict=False)
        elif wire in (FIXED64, FIXED32):
            length = 8 if wire == FIXED64 else 4
        else:
            raise Malformed(what, f"wire type {wire}")
        if length > end - at:
            raise Malformed(what, "a field is cut short")
        yield number, wire, at, at + length
        at += length
