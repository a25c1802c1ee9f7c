"""Chunkers: where a file is cut. Fixed sizes, or by content so that an insertion moves only the cuts near it."""

from collections.abc import Iterator
from dataclasses import dataclass

from pyfastcdc import FastCDC

from commonhold.api import MAX_BLOCK
from commonhold.errors import HoldError, Kind

MAX_CHUNK = MAX_BLOCK - 64  # room for what a dag-pb leaf wraps around it
_MIN_CHUNK = 64


@dataclass(frozen=True, slots=True)
class FixedChunker:
    """Chunks of one size in bytes; the last may be shorter."""

    size: int

    def cut(self, buffer: memoryview, at_end: bool) -> Iterator[int]:
        """Yield the lengths of the chunks that more data cannot change."""
        whole, rest = divmod(len(buffer), self.size)
        for _ in range(whole):
            yield self.size
        if at_end and rest:
            yield rest


@dataclass(frozen=True, slots=True)
class CdcChunker:
    """FastCDC; sizes in bytes."""

    minimum: int
    average: int
    maximum: int

    def cut(self, buffer: memoryview, at_end: bool) -> Iterator[int]:
        """Yield the lengths of the chunks that more data cannot change."""
        if not buffer:
            return
        cutter = FastCDC(avg_size=self.average, min_size=self.minimum, max_size=self.maximum)
        lengths = [chunk.length for chunk in cutter.cut_buf(buffer)]
        left = len(buffer)
        for length in lengths:
            if not at_end and left < self.maximum:  # the cut may have been made by the buffer's end
                return
            yield length
            left -= length


def parse_chunker(text: str) -> FixedChunker | CdcChunker:
    """Return the chunker of `size-N` or `cdc-MIN-AVG-MAX`."""
    kind, *numbers = text.split("-")
    try:
        sizes = [int(number) for number in numbers]
    except ValueError:
        sizes = []
    if kind == "size" and len(sizes) == 1 and 1 <= sizes[0] <= MAX_CHUNK:
        return FixedChunker(sizes[0])
    if kind == "cdc" and len(sizes) == 3 and _MIN_CHUNK <= sizes[0] <= sizes[1] <= sizes[2] <= MAX_CHUNK:
        try:
            FastCDC(avg_size=sizes[1], min_size=sizes[0], max_size=sizes[2])
        except ValueError as error:
            raise HoldError("add", Kind.USAGE, repr(text)[:80], str(error)) from error
        return CdcChunker(*sizes)
    raise HoldError(
        "add",
        Kind.USAGE,
        repr(text)[:80],
        f"a chunker is size-N (1 to {MAX_CHUNK}) or cdc-MIN-AVG-MAX ({_MIN_CHUNK} ≤ MIN ≤ AVG ≤ MAX ≤ {MAX_CHUNK})",
    )
