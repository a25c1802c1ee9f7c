"""The code by zfec, which passes the suite too: what the others are compared with."""

from collections.abc import Sequence

import zfec

from commonhold.erasure.code import require_sound
from commonhold.erasure.values import MAX_SHARES, Piece


class Oracle:
    """The code as its reference has it."""

    name = "zfec"

    def compute(self, have: Sequence[Piece], want: Sequence[Piece]) -> None:
        """Restore the primary pieces, and make the wanted ones of those."""
        require_sound(have, want)
        k = len(have)
        numbers = tuple(piece.number for piece in have)
        primary = zfec.Decoder(k, MAX_SHARES).decode(tuple(bytes(piece.data) for piece in have), numbers)
        made = zfec.Encoder(k, MAX_SHARES).encode(tuple(primary), tuple(piece.number for piece in want))
        for piece, data in zip(want, made, strict=True):
            piece.data[:] = data
