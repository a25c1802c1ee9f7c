"""What the kernel has of ours: nodes that it was given, files that it has open, nodes on which there may be locks.

A worker that came after another does not know what that one gave, and supposes what does no harm.
"""

import os
from collections.abc import Sequence

from commonhold.formats.fuseflags import OpenFlag
from commonhold.formats.fusereplies import Opened
from commonhold.mount.slots import SHIFT, Slots
from commonhold.trees import MAX_NUMBER

_KEEP_CACHE = int(OpenFlag.KEEP_CACHE)
_MOST_LOCKED = 1 << 20  # nodes on which there may be locks


class Known:
    """See the module. `given` is how often the kernel was given a node, and has not given it back."""

    def __init__(self, slots: Slots) -> None:
        self._later = slots.worker > 1
        self.given: dict[int, int] = {}
        self._handles = slots.worker << 40
        self._written: dict[int, int] = {}  # how many have a node open for writing
        self._locked: set[int] = set()

    # ── nodes ──

    def never_given(self, nodeid: int) -> bool:
        """Whether the kernel surely does not know a node."""
        return nodeid not in self.given and not self._later

    def returned(self, items: Sequence[tuple[int, int]]) -> dict[int, list[int]]:
        """The kernel has so many references to these nodes less: the numbers to which it has none left, by their slots.

        What a worker before this one gave out is not counted: to that the first that is forgotten is the last.
        """
        given = self.given
        gone: dict[int, list[int]] = {}
        for nodeid, count in items:
            left = given.get(nodeid, 0) - count
            if left > 0:
                given[nodeid] = left
                continue
            given.pop(nodeid, None)
            self._locked.discard(nodeid)
            gone.setdefault(nodeid >> SHIFT, []).append(nodeid & MAX_NUMBER)
        return gone

    # ── open files ──

    def opened(self, nodeid: int, flags: int) -> Opened:
        """A handle for a file that was opened with these flags of open(2)."""
        if flags & os.O_ACCMODE != os.O_RDONLY:
            self._written[nodeid] = self._written.get(nodeid, 0) + 1
        self._handles += 1
        return Opened(self._handles, _KEEP_CACHE)

    def closed(self, nodeid: int) -> None:
        """A handle for writing is gone."""
        left = self._written.pop(nodeid, 0) - 1
        if left > 0:  # less: it was opened before this worker was
            self._written[nodeid] = left

    def may_be_written(self, nodeid: int) -> bool:
        """Whether somebody may have it open for writing."""
        return self._later or nodeid in self._written

    # ── locks ──

    def lock(self, nodeid: int) -> bool:
        """There may be locks on it from now on, until it is returned. False for too many of these."""
        if len(self._locked) >= _MOST_LOCKED:
            return False
        self._locked.add(nodeid)
        return True

    def may_be_locked(self, nodeid: int) -> bool:
        """Whether there may be locks on it."""
        return self._later or nodeid in self._locked
