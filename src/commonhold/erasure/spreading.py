"""A pack becomes n shares, segment by segment, in buffers of the caller's. Pure."""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

from commonhold.crypto.aead import TAG
from commonhold.erasure.code import Code
from commonhold.erasure.layout import Layout, Span
from commonhold.erasure.share import NewShare
from commonhold.erasure.values import PackSeed, Piece, Place, Shape


def require_apart(places: Sequence[Place]) -> None:
    """ValueError if two shares would have a server or a salt in common."""
    if len({place.server for place in places}) < len(places) or len({place.salt for place in places}) < len(places):
        raise ValueError("two shares for one server, or of one salt")


class Spreading:
    """The shares of one pack as they are made: first each one's `head`, then a piece a segment, then its `tail`.

    `pack` is the pack's bytes, in one or more parts, and must not change any more: a part that is sealed twice has
    to be the same both times. Share i goes to place i. Safe from many threads: nothing of it changes.
    """

    def __init__(
        self, code: Code, seed: PackSeed, shape: Shape, pack: Sequence[memoryview], places: Sequence[Place]
    ) -> None:
        if len(places) != shape.n:
            raise ValueError(f"{len(places)} places for {shape} shares")
        require_apart(places)
        self._code = code
        self._parts = [part for part in pack if len(part)]
        self._starts = list(accumulate((len(part) for part in self._parts), initial=0))
        self.layout = Layout(shape, self._starts[-1])
        self.shares = tuple(NewShare(seed, self.layout, number, place) for number, place in enumerate(places))

    def fill(self, index: int, rooms: Sequence[memoryview]) -> None:
        """Fill a buffer for each share with the sealed piece of a segment: each of `layout.part(index)`'s length."""
        piece = self.layout.piece(index)
        if len(rooms) != len(self.shares) or any(len(room) != piece + TAG for room in rooms):
            raise ValueError(f"not {len(self.shares)} rooms of {piece + TAG} bytes")
        pieces = [Piece(number, room[:-TAG]) for number, room in enumerate(rooms)]
        k = self.layout.shape.k
        start, stop = self.layout.bounds(index)
        for number, room in pieces[:k]:
            at = min(start + number * piece, stop)
            self._gather(Span(at, min(at + piece, stop)), room)
        self._code.compute(pieces[:k], pieces[k:])
        for share, room in zip(self.shares, rooms, strict=True):
            share.seal(index, room)

    def _gather(self, span: Span, room: memoryview) -> None:
        """Copy bytes of the pack to the start of a buffer, and zeros to the rest of it."""
        at, number = span.start, bisect_right(self._starts, span.start) - 1
        while at < span.stop:
            part, before = self._parts[number], self._starts[number]
            end = min(before + len(part), span.stop)
            room[at - span.start : end - span.start] = part[at - before : end - before]
            at, number = end, number + 1
        filled = span.stop - span.start
        room[filled:] = bytes(len(room) - filled)
