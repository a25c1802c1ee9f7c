"""A second signature of the same message by the same key: RFC 8032 with another r, as hedged signers make it."""

import hashlib

from commonhold.formats.keys import Seed

_P, _L = 2**255 - 19, 2**252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, -1, _P) % _P
_BY = 4 * pow(5, -1, _P) % _P
_BX = 15112221349535400772501151409588531511454012693041857206046113283949847762202

Point = tuple[int, int]


def _add(one: Point, other: Point) -> Point:
    (x1, y1), (x2, y2) = one, other
    product = _D * x1 * x2 * y1 * y2
    return (
        (x1 * y2 + x2 * y1) * pow(1 + product, -1, _P) % _P,
        (y1 * y2 + x1 * x2) * pow(1 - product, -1, _P) % _P,
    )


def _times(number: int) -> bytes:
    """The encoding of a multiple of the base point."""
    found, power = (0, 1), (_BX, _BY)
    while number:
        if number & 1:
            found = _add(found, power)
        power, number = _add(power, power), number >> 1
    x, y = found
    return (y | (x & 1) << 255).to_bytes(32, "little")


def signature(seed: Seed, message: bytes, r: int) -> bytes:
    """Return the signature that has this r."""
    hashed = bytearray(hashlib.sha512(seed.raw).digest()[:32])
    hashed[0] &= 248
    hashed[31] = hashed[31] & 127 | 64
    secret = int.from_bytes(hashed, "little")
    point = _times(r)
    challenge = int.from_bytes(hashlib.sha512(point + _times(secret) + message).digest(), "little")
    return point + ((r + challenge * secret) % _L).to_bytes(32, "little")
