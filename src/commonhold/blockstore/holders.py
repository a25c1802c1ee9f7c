"""Holders: who put or keeps a block, and who may read it. Pure; a block's row carries them packed.

An owner who holds a block is charged for it in full, from the first put until `gc` takes what none of its sets keeps.
"""

import struct
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from commonhold.api import OWNERLESS, PUBLIC

_ENTRY = struct.Struct("<IiI")
_STRANGER = -1  # reads, and holds nothing: not charged
_NO_PART = _STRANGER, 0


class Holding(NamedTuple):
    """On whose behalf a set keeps blocks, and who else may read them. Nobody is charged for what is ownerless."""

    owner: int = OWNERLESS
    readers: tuple[int, ...] = ()


NOBODYS = Holding()


class Entry(NamedTuple):
    """One's part in a block: how many sets keep it for them (-1: they never put it), how many let them read it."""

    who: int
    holds: int
    reads: int


def entries(packed: bytes) -> Iterator[Entry]:
    """Yield who has a part in a block."""
    return (Entry(*fields) for fields in _ENTRY.iter_unpack(packed))


def first(holding: Holding) -> bytes:
    """Return the holders of a block that one set keeps."""
    return change(b"", holding, 1)[0]


def change(packed: bytes, holding: Holding, count: int) -> tuple[bytes, int]:
    """Return the holders after sets of one kind came (count > 0) or went, and 1 if the owner is a holder since now."""
    if holding == NOBODYS:
        return packed, 0
    known = {who: (held, reads) for who, held, reads in _ENTRY.iter_unpack(packed)}
    charged = 0
    if holding.owner != OWNERLESS:
        held, reads = known.get(holding.owner, _NO_PART)
        charged = int(held == _STRANGER and count > 0)
        if held != _STRANGER or charged:
            known[holding.owner] = max(0, max(0, held) + count), reads
    for reader in holding.readers:
        held, reads = known.get(reader, _NO_PART)
        known[reader] = held, max(0, reads + count)
    parts = [_ENTRY.pack(who, held, reads) for who, (held, reads) in known.items() if held >= 0 or reads > 0]
    return b"".join(parts), charged


def _pack(known: Iterable[Entry]) -> bytes:
    return b"".join([_ENTRY.pack(*entry) for entry in known if entry.holds >= 0 or entry.reads > 0])


def holds(packed: bytes, owner: int) -> bool:
    """Whether a block is charged to an owner."""
    return any(who == owner and count >= 0 for who, count, _ in _ENTRY.iter_unpack(packed))


def may_read(packed: bytes, owner: int) -> bool:
    """Whether a block is visible to an owner: put or kept by them, granted to them, or public."""
    return any(
        (who == owner and (count >= 0 or reads > 0)) or (who == PUBLIC and reads > 0)
        for who, count, reads in _ENTRY.iter_unpack(packed)
    )


def idle(packed: bytes) -> list[int]:
    """Return the holders none of whose sets keeps the block any more."""
    return [who for who, count, _ in _ENTRY.iter_unpack(packed) if count == 0]


def without(packed: bytes, owner: int) -> bytes:
    """Return the holders less one who holds it no more; what others let them read stays."""
    left = [entry._replace(holds=_STRANGER) if entry.who == owner else entry for entry in entries(packed)]
    return _pack(left)


def charged(packed: bytes) -> list[int]:
    """Return everybody who is charged for the block."""
    return [who for who, count, _ in _ENTRY.iter_unpack(packed) if count >= 0]
