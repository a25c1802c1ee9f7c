"""Two sets of ids compared with few bytes: digests of ranges, smaller ranges where they differ, then ids. Pure.

Nothing is remembered between messages: each answer follows from what was said and what is there. Every answer is
about narrower ranges than what it answers, so that an exchange ends.
"""

import hashlib
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from typing import Final

from commonhold.formats.gossip import FIRST, LAST, MAX_LISTED, MAX_RANGES, Digest, Id, Part, Range, Slot

SPLIT: Final = 16
_SLOT: Final = len(FIRST)


class Ids:
    """One id for each slot, in order."""

    def __init__(self, ids: Iterable[Id] = ()) -> None:
        self._sorted = sorted(ids)
        self._whole: Range | None = None

    def __len__(self) -> int:
        return len(self._sorted)

    def __iter__(self) -> Iterator[Id]:
        return iter(self._sorted)

    def get(self, slot: Slot) -> Id | None:
        """The id of a slot."""
        at = bisect_left(self._sorted, slot)
        return self._sorted[at] if at < len(self._sorted) and self._sorted[at].startswith(slot) else None

    def put(self, found: Id) -> None:
        """Put an id in the place of the one of its slot."""
        self._whole = None
        at = bisect_left(self._sorted, found[:_SLOT])
        if at < len(self._sorted) and self._sorted[at][:_SLOT] == found[:_SLOT]:
            self._sorted[at] = found
        else:
            self._sorted.insert(at, found)

    def drop(self, slot: Slot) -> None:
        """Let a slot's id go, if there is one."""
        self._whole = None
        at = bisect_left(self._sorted, slot)
        if at < len(self._sorted) and self._sorted[at].startswith(slot):
            del self._sorted[at]

    def between(self, first: Slot, last: Slot) -> list[Id]:
        """The ids of a range, both ends included."""
        return self._sorted[bisect_left(self._sorted, first) : self._after(last)]

    def replace(self, part: Part) -> None:
        """Have in a range what somebody has listed, and nothing else."""
        self._whole = None
        self._sorted[bisect_left(self._sorted, part.first) : self._after(part.last)] = part.ids

    def whole(self) -> Range:
        """All of it as one range."""
        if self._whole is None:
            self._whole = self.range(FIRST, LAST)
        return self._whole

    def range(self, first: Slot, last: Slot) -> Range:
        """What is in a range, to be compared."""
        if self._whole is not None and first == FIRST and last == LAST:
            return self._whole
        return _summed(first, last, self.between(first, last))

    def split(self, first: Slot, last: Slot) -> list[Range]:
        """A range as several that hold about as many ids each."""
        ids = self.between(first, last)
        step = max(1, -(-len(ids) // SPLIT))
        found: list[Range] = []
        for at in range(0, len(ids), step):
            end = last if at + step >= len(ids) else _before(ids[at + step])
            found.append(_summed(first, end, ids[at : at + step]))
            first = Slot((int.from_bytes(end) + 1).to_bytes(_SLOT)) if end != last else last
        return found

    def _after(self, last: Slot) -> int:
        """Where the ids end that are not beyond a slot."""
        return bisect_left(self._sorted, last + b"\xff" * 25)  # longer, and so greater, than any id of that slot


def _summed(first: Slot, last: Slot, ids: list[Id]) -> Range:
    return Range(first, last, len(ids), Digest(hashlib.sha256(b"".join(ids)).digest()[:16]))


def _before(found: Id) -> Slot:
    """The slot before that of an id."""
    return Slot((int.from_bytes(found[:_SLOT]) - 1).to_bytes(_SLOT))


def answer(ids: Ids, ranges: Iterable[Range], offset: int) -> tuple[list[Range], list[Part]]:
    """Return what one introducer says to another's ranges: smaller ranges to compare, and what it has in small ones.

    At most MAX_RANGES of each: where there is more to say, `offset`, a random number, chooses what; the rest is said
    another time.
    """
    narrower: list[Range] = []
    parts: list[Part] = []
    for one in _turned(ranges, offset):
        own = ids.range(one.first, one.last)
        if own.digest == one.digest and own.size == one.size:
            continue
        if own.size <= MAX_LISTED:
            parts.append(Part(one.first, one.last, tuple(ids.between(one.first, one.last))))
        else:
            narrower += ids.split(one.first, one.last)
        if len(narrower) >= MAX_RANGES:
            break
    return sorted(narrower[:MAX_RANGES]), sorted(parts)


def echo(shown: Ids, ranges: Iterable[Range]) -> list[Range]:
    """Return what a subscriber says to an introducer's ranges: those that differ from what that introducer has shown.

    Nothing else is said to it, so that it cannot learn from this what others have shown.
    """
    own = [(shown.range(one.first, one.last), one) for one in ranges]
    return [mine for mine, theirs in own if (mine.size, mine.digest) != (theirs.size, theirs.digest)]


def _turned(ranges: Iterable[Range], offset: int) -> list[Range]:
    found = list(ranges)
    at = offset % len(found) if found else 0
    return found[at:] + found[:at]
