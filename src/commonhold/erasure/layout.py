"""Where everything is in a share, and which parts of it a range of the pack needs. Pure. docs/spec/pack.md."""

import struct
from dataclasses import dataclass
from typing import NamedTuple

from commonhold.crypto.aead import TAG
from commonhold.erasure.values import SALT, PackSeed, Shape
from commonhold.formats.malformed import Malformed, Unsupported
from commonhold.formats.pack import MAX_PACK
from commonhold.formats.pin import SpkiPin

VERSION = 1
SEGMENT = 1 << 20
MIN_SEGMENT = 4 << 10

_HEADER = struct.Struct("<BBBBIQ")
HEADER = _HEADER.size
HEAD = SALT + HEADER + TAG  # what a share begins with

_LEAST_PADDING = 4096
_PADDING = 32  # zeros are at most this part of what they follow


class Span(NamedTuple):
    """Bytes from `start` to before `stop`."""

    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Layout:
    """What all shares of a pack have in common: their shape, the pack's bytes, and those of a segment."""

    shape: Shape
    length: int
    segment: int = SEGMENT

    def __post_init__(self) -> None:
        if not 1 <= self.length <= MAX_PACK:
            raise Malformed("pack", f"{self.length} bytes; it has 1 to {MAX_PACK}")
        if not MIN_SEGMENT <= self.segment <= SEGMENT:
            raise Malformed("share", f"segments of {self.segment} bytes; they have {MIN_SEGMENT} to {SEGMENT}")

    @property
    def segments(self) -> int:
        """How many segments the pack has."""
        return -(-self.length // self.segment)

    def bounds(self, index: int) -> Span:
        """Where a segment is in the pack."""
        if not 0 <= index < self.segments:
            raise ValueError(f"segment {index} of {self.segments}")
        return Span(index * self.segment, min((index + 1) * self.segment, self.length))

    def covering(self, start: int, stop: int) -> range:
        """Which segments a range of the pack needs."""
        if not 0 <= start <= stop <= self.length:
            raise ValueError(f"bytes {start} to {stop} of a pack of {self.length}")
        return range(start // self.segment, -(-stop // self.segment) if stop > start else start // self.segment)

    def piece(self, index: int) -> int:
        """How many bytes a piece of a segment has."""
        start, stop = self.bounds(index)
        return -(-(stop - start) // self.shape.k)

    def part(self, index: int) -> Span:
        """Where the sealed piece of a segment is in a share."""
        start = HEAD + index * (-(-self.segment // self.shape.k) + TAG)
        return Span(start, start + self.piece(index) + TAG)

    @property
    def body(self) -> int:
        """Bytes of a share before its zeros."""
        return self.part(self.segments - 1).stop

    def padding(self, seed: PackSeed, server: SpkiPin) -> int:
        """How many zeros a share at a server has."""
        return seed.padding(server, max(_LEAST_PADDING, self.body // _PADDING))

    def share(self, seed: PackSeed, server: SpkiPin) -> int:
        """How many bytes the share at a server has in all."""
        return self.body + self.padding(seed, server) + TAG


def pack_header(layout: Layout, number: int) -> bytes:
    """Return the header of a share."""
    return _HEADER.pack(VERSION, layout.shape.k, layout.shape.n, number, layout.segment, layout.length)


def unpack_header(data: bytes) -> tuple[Layout, int]:
    """Return what a header says, and the share's number."""
    if len(data) != HEADER:
        raise Malformed("share", f"a header of {len(data)} bytes")
    version, k, n, number, segment, length = _HEADER.unpack(data)
    if version != VERSION:
        raise Unsupported("share", f"version {version}")
    layout = Layout(Shape(k, n), length, segment)
    if number >= n:
        raise Malformed("share", f"number {number} of {n}")
    return layout, number
