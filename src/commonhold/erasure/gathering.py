"""A segment out of k of its pieces, or the pieces that are missing. Pure."""

from collections.abc import Sequence

from commonhold.crypto.aead import TAG
from commonhold.erasure.code import Code
from commonhold.erasure.layout import Layout
from commonhold.erasure.share import NewShare, Share
from commonhold.erasure.values import Piece
from commonhold.formats.malformed import Malformed


class Gathering:
    """One segment, as its pieces come in, whichever they are; for one thread at a time.

    `into` has `room(layout, index)` bytes: pieces that are the segment itself are opened to where they belong in it.
    """

    def __init__(self, layout: Layout, index: int, into: memoryview) -> None:
        if len(into) != room(layout, index):
            raise ValueError(f"a buffer of {len(into)} bytes, not {room(layout, index)}")
        self._layout = layout
        self._index = index
        self._into = into
        self._pieces: dict[int, Piece] = {}

    @property
    def enough(self) -> bool:
        """Whether there are k pieces: no more are taken."""
        return len(self._pieces) == self._layout.shape.k

    def add(self, share: Share, sealed: memoryview) -> bool:
        """Open a sealed piece, and say whether there are enough. The buffer is kept, and may be written to.

        Malformed if it is not this share's piece of this segment, or the share not of this pack: ask another server.
        """
        if share.layout != self._layout:
            raise Malformed("share", "of another pack than the others")
        if not self.enough and share.number not in self._pieces:
            piece = self._place(share.number) if share.number < self._layout.shape.k else sealed[:-TAG]
            self._pieces[share.number] = share.open(self._index, sealed, piece)
        return self.enough

    def restore(self, code: Code) -> memoryview:
        """Return the segment's bytes, at the start of the buffer; only what did not come is computed."""
        have = self._have()
        missing = [number for number in range(self._layout.shape.k) if number not in self._pieces]
        if missing:
            code.compute(have, [Piece(number, self._place(number)) for number in missing])
        start, stop = self._layout.bounds(self._index)
        return self._into[: stop - start]

    def mend(self, code: Code, shares: Sequence[NewShare], rooms: Sequence[memoryview]) -> None:
        """Fill a buffer for each new share with the sealed piece, as `Spreading.fill` does. Numbers that came are not
        made again: they are a ValueError."""
        have, size = self._have(), self._layout.piece(self._index) + TAG
        if any(share.layout != self._layout for share in shares) or any(len(one) != size for one in rooms):
            raise ValueError(f"a share of another pack, or a room of other than {size} bytes")
        code.compute(have, [Piece(share.number, one[:-TAG]) for share, one in zip(shares, rooms, strict=True)])
        for share, one in zip(shares, rooms, strict=True):
            share.seal(self._index, one)

    def _have(self) -> list[Piece]:
        if not self.enough:
            raise ValueError(f"{len(self._pieces)} pieces, {self._layout.shape.k} are needed")
        return [self._pieces[number] for number in sorted(self._pieces)]

    def _place(self, number: int) -> memoryview:
        """Where in the segment a piece belongs."""
        size = self._layout.piece(self._index)
        return self._into[number * size : (number + 1) * size]


def room(layout: Layout, index: int) -> int:
    """How many bytes a segment takes to be gathered: up to k - 1 more than it has."""
    return layout.shape.k * layout.piece(index)
