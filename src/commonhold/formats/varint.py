"""Unsigned varints: the multiformats kind (minimal, at most 63 bits) and protobuf's (at most 64 bits).

Source: multiformats unsigned-varint; protobuf encoding, "Base 128 Varints".
"""

from commonhold.formats.malformed import Malformed

_ONE_BYTE = [bytes((n,)) for n in range(128)]


def encode(number: int) -> bytes:
    """Return the minimal little-endian base-128 form of a number in [0, 2**64)."""
    if 0 <= number < 128:
        return _ONE_BYTE[number]
    if not 0 <= number < 1 << 64:
        raise Malformed("varint", f"{number} is out of range")
    out = bytearray()
    while number >= 128:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def size(number: int) -> int:
    """Return how many bytes encode(number) has."""
    return (number.bit_length() + 6) // 7 or 1


def decode(data: bytes | memoryview, at: int, *, strict: bool = True) -> tuple[int, int]:
    """Return the number at an offset and the offset after it.

    Strict is the multiformats rule: minimal and at most 9 bytes. Otherwise protobuf's: at most 10 bytes, 64 bits.
    """
    first = data[at] if at < len(data) else -1
    if 0 <= first < 128:
        return first, at + 1
    number = shift = 0
    limit = 9 if strict else 10
    for index in range(at, min(at + limit, len(data))):
        byte = data[index]
        number |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            if strict and byte == 0:
                raise Malformed("varint", "not minimal")
            if number >= 1 << 64:
                raise Malformed("varint", "over 64 bits")
            return number, index + 1
    raise Malformed("varint", "too long" if len(data) - at >= limit else "cut short")
