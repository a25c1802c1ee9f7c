"""Batches of blocks on their way to a node, and the few places in memory that they are gathered in.

That memory is ours alone: what is read, hashed and sealed there the node neither sees nor changes.
"""

import queue
from contextlib import suppress

from commonhold.api import MAX_BLOCK, Slot
from commonhold.formats import keylist
from commonhold.formats.multihash import Multihash
from commonhold.host import disk

_BYTES = 8 << 20  # from here on a batch is full
_ROOM = _BYTES + MAX_BLOCK
_COUNT = 3
_spare: list[memoryview] = []  # memory of sessions that have ended: that which was touched is quicker


class Batch:
    """Blocks to be sent: their bytes lie in one piece of memory, whose first byte has its place at `start` of what is
    shared."""

    def __init__(self, memory: memoryview, start: int) -> None:
        self.memory = memory
        self._start = start
        self.reset()

    def reset(self) -> None:
        """Empty it for another round."""
        self._used = 0
        self.open = 0  # slots reserved and not yet settled
        self.blocks: list[tuple[Multihash, Slot]] = []

    @property
    def full(self) -> bool:
        """Whether it is to be sent as soon as nothing in it is open."""
        return self._used >= _BYTES or len(self.blocks) + self.open >= keylist.MAX_KEYS

    def reserve(self, length: int) -> Slot | None:
        """Make a place; None where the batch is full."""
        if self.full or self._used + length > _ROOM:
            return None
        slot = Slot(self.memory[self._used : self._used + length], self._start + self._used, self)
        self._used += (length + 63) & ~63
        self.open += 1
        return slot


class Ring:
    """The batches of one session: at most so many."""

    def __init__(self) -> None:
        self._made = 0
        self._free: queue.SimpleQueue[Batch] = queue.SimpleQueue()

    def take(self, *, wait: bool) -> Batch | None:
        """An empty batch; None if all are busy and the caller would rather not wait."""
        try:
            return self._free.get_nowait()
        except queue.Empty:
            pass
        if self._made == _COUNT:
            return self._free.get() if wait else None
        start = self._made * _ROOM
        self._made += 1
        try:
            memory = _spare.pop()
        except IndexError:
            memory = disk.aligned(_ROOM)
        return Batch(memory, start)

    def give_back(self, batch: Batch) -> None:
        """Return one that was sent, or has nothing to send."""
        batch.reset()
        self._free.put(batch)

    def close(self) -> None:
        """Leave the memory to the next session, as far as nothing is open there."""
        with suppress(queue.Empty):
            while True:
                batch = self._free.get_nowait()
                if len(_spare) < _COUNT:
                    _spare.append(batch.memory)
