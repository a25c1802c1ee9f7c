"""Inventories: which packs a kept set is made of, and what is in each. Pure. docs/spec/keeping.md.

An inventory is kept on servers as a pack is, under a seed of its own: whoever has that seed can find, check and repair
all of the set, and can open no sealed block.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from commonhold.formats import pack
from commonhold.formats.fields import Fields, made
from commonhold.formats.malformed import Malformed
from commonhold.formats.pack import Entry, Located

VERSION: Final = 1
MAX_PACKS: Final = 16_384
_SEED: Final = 32
_MAX_TABLE: Final = 4 << 20
_CHECK: Final = 32


@dataclass(frozen=True, slots=True)
class Packed:
    """One pack: what its shares are derived from, its bytes, how many shares there are, and its table."""

    seed: bytes = field(repr=False)
    length: int
    k: int
    n: int
    table: bytes

    def blocks(self) -> list[Located]:
        """Which blocks are in it, and where. Malformed."""
        return pack.decode_table(self.table, self.length)


@dataclass(frozen=True, slots=True)
class Inventory:
    """The packs of one set, in order."""

    packs: tuple[Packed, ...]

    @property
    def encoded(self) -> bytes:
        """What is kept of it: a checksum, then the packs. Shares of two editions together are not taken for one."""
        packs = self.packs
        body = made(
            v=VERSION, seeds=[one.seed for one in packs], lengths=[one.length for one in packs],
            shapes=[one.k << 8 | one.n for one in packs], tables=[one.table for one in packs],
        )  # fmt: skip
        return hashlib.sha256(body).digest() + body


def decode(data: bytes) -> Inventory:
    """Return the inventory that bytes are."""
    body = data[_CHECK:]
    if hashlib.sha256(body).digest() != data[:_CHECK]:
        raise Malformed("inventory", "its checksum is wrong")
    fields = Fields("inventory", body)
    if fields.number("v") != VERSION:
        raise Malformed("inventory", "of a version that is not known")
    columns = (
        fields.several("seeds", MAX_PACKS, _SEED),
        fields.numbers("lengths", MAX_PACKS),
        fields.numbers("shapes", MAX_PACKS),
        fields.several("tables", MAX_PACKS, _MAX_TABLE),
    )
    if len({len(column) for column in columns}) != 1:
        raise Malformed("inventory", "its columns do not go together")
    return Inventory(tuple(_packed(*row) for row in zip(*columns, strict=True)))


def _packed(seed: bytes, length: int, shape: int, table: bytes) -> Packed:
    k, n = divmod(shape, 256)
    if len(seed) != _SEED or not 0 < length <= pack.MAX_PACK or not 1 <= k <= n:
        raise Malformed("inventory", "a pack that cannot be")
    return Packed(seed, length, k, n, table)


def packed(seed: bytes, k: int, n: int, entries: Sequence[Entry]) -> Packed:
    """Return a new pack of these blocks."""
    table = pack.encode_table(entries)
    return Packed(seed, len(table) + sum(entry.length for entry in entries), k, n, table)
