"""Batches of blocks on their way to a node, and the few places in memory that they are gathered in."""

import queue

from commonhold.api import MAX_BLOCK, Slot
from commonhold.formats import keylist
from commonhold.formats.multihash import Multihash
from commonhold.host import disk

_BYTES = 8 << 20  # from here on a batch is full
_ROOM = _BYTES + MAX_BLOCK
_COUNT = 3


class Batch:
    """Blocks to be sent: their bytes lie in one piece of memory, which begins at `start` of what is shared."""

    def __init__(self, memory: memoryview, start: int) -> None:
        self._memory = memory
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
        slot = Slot(self._memory[self._used : self._used + length], self._start + self._used, self)
        self._used += (length + 63) & ~63
        self.open += 1
        return slot


class Ring:
    """The batches of one session: at most so many, each in a part of `shared` or, without, in memory of its own."""

    def __init__(self, shared: memoryview | None) -> None:
        self._shared = shared
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
        if self._shared is None:
            return Batch(disk.aligned(_ROOM), 0)
        return Batch(self._shared[start : start + _ROOM], start)

    def give_back(self, batch: Batch) -> None:
        """Return one that was sent, or has nothing to send."""
        batch.reset()
        self._free.put(batch)
