"""Trays: where blocks lie in memory that a node shows a caller. One after another, each from a whole page on. Pure."""

from collections.abc import Iterable, Iterator

SIZE = 4 << 20  # bytes of a tray
_PAGE = 4096


def places(lengths: Iterable[int | None]) -> Iterator[int | None]:
    """Where blocks of these lengths lie, None where there is no block; up to the first that has no room."""
    at = 0
    for length in lengths:
        if length is None:
            yield None
            continue
        if at + length > SIZE:
            return
        yield at
        at += -(-length // _PAGE) * _PAGE
