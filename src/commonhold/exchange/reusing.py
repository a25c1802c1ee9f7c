"""Which packs that were sent before a new set takes over. Pure. docs/spec/keeping.md, "Policies", "Space".

Which blocks of a pack are wanted is a number, with a bit for each of them in the order of its table.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final

from commonhold.formats.inventory import Packed
from commonhold.formats.multihash import Multihash
from commonhold.formats.pack import TARGET

ALL: Final = -1  # the bits of somebody who wants every block
SMALL: Final = TARGET // 4  # bytes of a pack
MOST_SMALL: Final = 32  # of those in one set


@dataclass(frozen=True, slots=True)
class Held:
    """A pack that has some of a new set's blocks: what that wants of it, and what sets that stay do."""

    packed: Packed
    wanted: int
    others: int


def bits(packed: Packed, keys: Collection[Multihash]) -> int:
    """Return the bits of those of a pack's blocks that are among these."""
    blocks = packed.blocks()
    found = bytearray(len(blocks) // 8 + 1)
    for place, one in enumerate(blocks):
        if one.key in keys:
            found[place // 8] |= 1 << place % 8
    return int.from_bytes(found, "little")


def taken_over(held: Iterable[Held]) -> list[Held]:
    """Return those packs that are good enough: at least half of each is wanted by somebody, and few are small."""
    dense = [one for one in held if 2 * _bytes(one.packed, one.wanted | one.others) >= one.packed.length]
    large = [one for one in dense if one.packed.length >= SMALL]
    return dense if len(dense) - len(large) <= MOST_SMALL else large


def _bytes(packed: Packed, wanted: int) -> int:
    """How many of a pack's bytes that is; with the table, as far as it is about them."""
    blocks = packed.blocks()
    row = (packed.length - sum(one.stop - one.start for one in blocks)) / len(blocks)
    if wanted == ALL:
        return packed.length
    flags = wanted.to_bytes(len(blocks) // 8 + 1, "little")
    return round(
        sum(row + one.stop - one.start for place, one in enumerate(blocks) if flags[place // 8] >> place % 8 & 1)
    )
