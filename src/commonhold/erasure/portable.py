"""The code in plain Python: on any machine, one thread at a time, many times slower than a library. Pure."""

from collections.abc import Sequence

from commonhold.erasure.code import require_sound
from commonhold.erasure.matrix import combine, transform
from commonhold.erasure.values import Piece


class Portable:
    """The code by tables and big numbers."""

    name = "plain Python"

    def compute(self, have: Sequence[Piece], want: Sequence[Piece]) -> None:
        """Write the wanted pieces, out of those at hand."""
        require_sound(have, want)
        rows = transform(tuple(piece.number for piece in have), tuple(piece.number for piece in want))
        known = [bytes(piece.data) for piece in have]
        for row, piece in zip(rows, want, strict=True):
            piece.data[:] = combine(row, known)
