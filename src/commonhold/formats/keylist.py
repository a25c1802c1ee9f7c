"""Runs of block keys, each multihash with its length before it, and the sizes that are answered to them. Pure."""

import struct
from collections.abc import Callable, Iterable, Sequence

from commonhold.formats import multihash
from commonhold.formats.malformed import Malformed
from commonhold.formats.multihash import Multihash

MAX_KEYS = 8192
_ABSENT = 0xFFFFFFFF


def pack(keys: Iterable[Multihash]) -> bytes:
    """Return the run of these keys."""
    return b"".join([bytes((len(key),)) + key for key in keys])


def unpack(packed: bytes, limit: int = MAX_KEYS, pause: Callable[[], None] = lambda: None) -> list[Multihash]:
    """Return the keys of a run that a stranger sent; each is a well-formed multihash. `pause` is called before each."""
    found: list[Multihash] = []
    at = 0
    while at < len(packed):
        pause()
        if len(found) == limit:
            raise Malformed("keys", f"more than {limit}")
        end = at + 1 + packed[at]
        key, after = multihash.parse(packed, at + 1)
        if after != end:
            raise Malformed("keys", "a key of another length than it says")
        found.append(key)
        at = end
    return found


def pack_sizes(sizes: Sequence[int | None]) -> bytes:
    """Return sizes of 32 bits each, little-endian; all ones where there is no such block."""
    return struct.pack(f"<{len(sizes)}I", *[_ABSENT if size is None else size for size in sizes])


def unpack_sizes(packed: bytes, count: int) -> list[int | None]:
    """Return the sizes that were answered to so many keys."""
    if len(packed) != 4 * count:
        raise Malformed("sizes", "an answer of another length")
    return [None if size == _ABSENT else size for size in struct.unpack(f"<{count}I", packed)]
