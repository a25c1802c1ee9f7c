"""GF(256), and the matrices that make pieces out of others: zfec's. Pure. docs/spec/pack.md, "The code"."""

from collections.abc import Sequence
from functools import lru_cache
from typing import TypeAlias

Buffer: TypeAlias = bytes | memoryview

_POLYNOMIAL = 0x11D


def _powers() -> list[int]:
    """The powers of 2, twice over, so that a sum of two logarithms needs no remainder."""
    found, power = [], 1
    for _ in range(255):
        found.append(power)
        power <<= 1
        if power > 255:
            power ^= _POLYNOMIAL
    return found * 2


_EXP = _powers()
_LOG = [0] * 256
for _power in range(255):
    _LOG[_EXP[_power]] = _power


def multiply(a: int, b: int) -> int:
    """Return the product of two elements."""
    return _EXP[_LOG[a] + _LOG[b]] if a and b else 0


def inverse(a: int) -> int:
    """Return the element whose product with this one, which is not 0, is 1."""
    return _EXP[255 - _LOG[a]]


_TIMES = [bytes(multiply(a, b) for b in range(256)) for a in range(256)]  # for bytes.translate: a row times a number


def _plus(a: bytes, b: bytes) -> bytes:
    return (int.from_bytes(a, "little") ^ int.from_bytes(b, "little")).to_bytes(len(a), "little")


def _point(k: int, number: int) -> bytes:
    """A row of V."""
    if number == 0:
        return b"\1" + bytes(k - 1)
    return bytes(_EXP[(number - 1) * j % 255] for j in range(k))


def invert(rows: Sequence[bytes]) -> list[bytes]:
    """Return the inverse of a square matrix that has one: Gauss and Jordan's way."""
    k = len(rows)
    work = [row + bytes(i) + b"\1" + bytes(k - i - 1) for i, row in enumerate(rows)]
    for i in range(k):
        pivot = next(j for j in range(i, k) if work[j][i])
        work[i], work[pivot] = work[pivot], work[i]
        work[i] = work[i].translate(_TIMES[inverse(work[i][i])])
        for j in range(k):
            if j != i and work[j][i]:
                work[j] = _plus(work[j], work[i].translate(_TIMES[work[j][i]]))
    return [row[k:] for row in work]


def combine(row: bytes, pieces: Sequence[Buffer]) -> bytes:
    """Return the sum of pieces of one length, each multiplied by its number of a row."""
    total = 0
    for factor, piece in zip(row, pieces, strict=True):
        if factor:
            total ^= int.from_bytes(bytes(piece).translate(_TIMES[factor]), "little")
    return total.to_bytes(len(pieces[0]), "little")


@lru_cache(maxsize=64)
def transform(have: tuple[int, ...], want: tuple[int, ...]) -> tuple[bytes, ...]:
    """Return a row for each piece wanted: what each of the k pieces at hand is multiplied by before all are added.

    Numbers are those of shares, below 255, those at hand all different.
    """
    k = len(have)
    known = invert([_point(k, number) for number in have])
    return tuple(combine(_point(k, number), known) for number in want)
