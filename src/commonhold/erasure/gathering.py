"""A segment out of k of its pieces. Pure."""

from commonhold.crypto.aead import TAG
from commonhold.erasure.code import Code
from commonhold.erasure.layout import Layout
from commonhold.erasure.share import Share
from commonhold.erasure.values import Piece
from commonhold.formats.malformed import Malformed


class Gathering:
    """One segment, as its pieces come in, whichever they are; for one thread at a time.

    `into` has room for the segment: pieces that are the segment itself are opened to where they belong in it. The last
    of those may end beyond it, in zeros, and has a room of its own.
    """

    def __init__(self, layout: Layout, index: int, into: memoryview) -> None:
        start, stop = layout.bounds(index)
        if len(into) != stop - start:
            raise ValueError(f"a buffer of {len(into)} bytes, not {stop - start}")
        self._layout = layout
        self._index = index
        self._into = into
        self._pieces: dict[int, Piece] = {}
        self._beyond: dict[int, memoryview] = {}

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

    def restore(self, code: Code) -> None:
        """Have the segment's bytes in the buffer; only what did not come is computed."""
        k = self._layout.shape.k
        if not self.enough:
            raise ValueError(f"{len(self._pieces)} pieces, {k} are needed")
        missing = [number for number in range(k) if number not in self._pieces]
        if missing:
            have = [self._pieces[number] for number in sorted(self._pieces)]
            code.compute(have, [Piece(number, self._place(number)) for number in missing])
        for number, piece in self._beyond.items():
            rest = self._into[number * len(piece) :]
            rest[:] = piece[: len(rest)]

    def _place(self, number: int) -> memoryview:
        """Where a piece belongs."""
        size = self._layout.piece(self._index)
        if (number + 1) * size <= len(self._into):
            return self._into[number * size : (number + 1) * size]
        return self._beyond.setdefault(number, memoryview(bytearray(size)))
