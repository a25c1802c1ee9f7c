"""Runs of byte strings, each with its length before it: 4 bytes, little-endian. Pure."""

from collections.abc import Iterable

from commonhold.formats.malformed import Malformed


def pack(items: Iterable[bytes]) -> bytes:
    """Return the run of these."""
    return b"".join([len(item).to_bytes(4, "little") + item for item in items])


def unpack(packed: bytes, limit: int, longest: int) -> list[bytes]:
    """Return the strings of a run that a stranger sent: so many at most, each of so many bytes at most."""
    found: list[bytes] = []
    at = 0
    while at < len(packed):
        end = at + 4 + int.from_bytes(packed[at : at + 4], "little")
        if len(found) == limit or end - at - 4 > longest or at + 4 > len(packed) or end > len(packed):
            raise Malformed("run", f"not up to {limit} strings of up to {longest} bytes")
        found.append(packed[at + 4 : end])
        at = end
    return found
