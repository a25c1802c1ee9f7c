"""Runs of block keys: each multihash with its length before it. Pure."""

from collections.abc import Iterable

from commonhold.formats import multihash
from commonhold.formats.malformed import Malformed
from commonhold.formats.multihash import Multihash

MAX_KEYS = 8192


def pack(keys: Iterable[Multihash]) -> bytes:
    """Return the run of these keys."""
    return b"".join([bytes((len(key),)) + key for key in keys])


def unpack(packed: bytes, limit: int = MAX_KEYS) -> list[Multihash]:
    """Return the keys of a run that a stranger sent; each is a well-formed multihash."""
    found: list[Multihash] = []
    at = 0
    while at < len(packed):
        if len(found) == limit:
            raise Malformed("keys", f"more than {limit}")
        end = at + 1 + packed[at]
        key, after = multihash.parse(packed, at + 1)
        if after != end:
            raise Malformed("keys", "a key of another length than it says")
        found.append(key)
        at = end
    return found
