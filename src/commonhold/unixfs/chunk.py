"""Chunkers: where a file is cut. Fixed sizes, or by content so that an insertion moves only the cuts near it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

from pyfastcdc import FastCDC

from commonhold.api import MAX_BLOCK
from commonhold.errors import HoldError, Kind

MAX_CHUNK = MAX_BLOCK - 64  # room for what a dag-pb leaf wraps around it
# What FastCDC can do.
_CDC_MINIMUM = (64, 1 << 20)
_CDC_AVERAGE = (256, MAX_CHUNK)
_CDC_MAXIMUM = (1024, MAX_CHUNK)
_MAX_DIGITS = 9


@dataclass(frozen=True, slots=True)
class FixedChunker:
    """Chunks of one size in bytes; the last may be shorter."""

    size: int

    def cut(self, buffer: memoryview | bytes, at_end: bool) -> list[int]:
        """Return the lengths of the chunks that more data cannot change; all of them `at_end`."""
        whole, rest = divmod(len(buffer), self.size)
        return [self.size] * whole + ([rest] if at_end and rest else [])


@dataclass(frozen=True, slots=True)
class CdcChunker:
    """FastCDC; sizes in bytes."""

    minimum: int
    average: int
    maximum: int

    def cut(self, buffer: memoryview | bytes, at_end: bool) -> list[int]:
        """Return the lengths of the chunks that more data cannot change; all of them `at_end`."""
        if not buffer:
            return []
        cutter = FastCDC(avg_size=self.average, min_size=self.minimum, max_size=self.maximum)
        final: list[int] = []
        left = len(buffer)
        for chunk in cutter.cut_buf(buffer):
            if not at_end and left < self.maximum:  # the cut may have been made by the buffer's end
                break
            final.append(chunk.length)
            left -= chunk.length
        return final


Chunker: TypeAlias = FixedChunker | CdcChunker


def fixed(size: int, chunk_size: int) -> Iterator[int]:
    """Yield the lengths of a file's fixed chunks; none for an empty file."""
    for at in range(0, size, chunk_size):
        yield min(chunk_size, size - at)


def parse_chunker(text: str) -> Chunker:
    """Return the chunker of `size-N` or `cdc-MIN-AVG-MAX`; USAGE says what is allowed."""
    kind, *numbers = text.split("-")
    plain = all(part.isascii() and part.isdigit() and len(part) <= _MAX_DIGITS for part in numbers)
    sizes = [int(part) for part in numbers] if plain else []
    if kind == "size" and len(sizes) == 1 and 1 <= sizes[0] <= MAX_CHUNK:
        return FixedChunker(sizes[0])
    if kind == "cdc" and len(sizes) == 3 and _allowed(*sizes):
        return CdcChunker(*sizes)
    ranges = ", ".join(
        f"{name} {low} to {high}"
        for name, (low, high) in (("MIN", _CDC_MINIMUM), ("AVG", _CDC_AVERAGE), ("MAX", _CDC_MAXIMUM))
    )
    why = f"a chunker is size-N (1 to {MAX_CHUNK}) or cdc-MIN-AVG-MAX (MIN ≤ AVG ≤ MAX; {ranges})"
    raise HoldError("add", Kind.USAGE, repr(text)[:80], why, hint="--chunker size-1048576")


def _allowed(minimum: int, average: int, maximum: int) -> bool:
    within = zip((minimum, average, maximum), (_CDC_MINIMUM, _CDC_AVERAGE, _CDC_MAXIMUM), strict=True)
    return minimum <= average <= maximum and all(low <= size <= high for size, (low, high) in within)
