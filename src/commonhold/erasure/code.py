"""The seam of the code: pieces out of k others, whoever computes them. Pure. docs/spec/pack.md, "The code"."""

from collections.abc import Sequence
from typing import Protocol

from commonhold.erasure.values import MAX_SHARES, Piece

_LONGEST = 1 << 30


class Code(Protocol):
    """Reed–Solomon over GF(256), byte for byte zfec's. For use from many threads at once."""

    @property
    def name(self) -> str:
        """What computes, as people are told."""
        ...

    def compute(self, have: Sequence[Piece], want: Sequence[Piece]) -> None:
        """Write the bytes of the wanted pieces to their buffers, out of k others: `have` is all that is needed.

        The buffers are of bytes, contiguous, writable (all of them), of one length, and none reaches into another.
        ValueError for others, before anything is written.
        """
        ...


def require_sound(have: Sequence[Piece], want: Sequence[Piece]) -> int:
    """Return the length of pieces that a code can work on; ValueError for others. That none reaches into another is
    not looked at."""
    numbers = [piece.number for piece in (*have, *want)]
    if not have or len(set(numbers)) != len(numbers) or min(numbers) < 0 or max(numbers) >= MAX_SHARES:
        raise ValueError(f"pieces numbered {numbers}, {len(have)} of them at hand")
    length = len(have[0].data)
    for number, data in (*have, *want):
        if data.readonly or not data.c_contiguous or not _LONGEST >= data.nbytes == len(data) == length > 0:
            raise ValueError(f"piece {number} is in no buffer of {length} bytes that can be written to")
    return length
