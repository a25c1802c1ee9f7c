"""Memory that the node shares with a caller, who puts blocks there. What is in it may change at any moment: it is
copied to the memory that goes to disk, and only then looked at.

The node makes it: a descriptor that a caller made could be of anything, also of what keeps waiting whoever closes it.
"""

import fcntl
import os
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Executor, Future

from commonhold.api import Slot
from commonhold.blockstore.owned import OwnedStore
from commonhold.blockstore.session import StoreSession
from commonhold.errors import HoldError, Kind
from commonhold.formats import multihash, spots
from commonhold.formats.multihash import Multihash, describe
from commonhold.formats.spots import Spot
from commonhold.node.blocks import HASH_APART, Taken

_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
_SIDE_BY_SIDE = 64  # bytes: the gap up to which a block is read together with the one before
_TOGETHER = 256  # blocks read at once; with the gaps half as many pieces as the kernel takes


class Memory:
    """A memfd of `spots.MEMORY` bytes, which stays as long as it is. It costs nothing until it is written to, and then
    whoever writes. UNSUPPORTED where the system makes none.
    """

    def __init__(self) -> None:
        try:
            self.fd = os.memfd_create("hold-blocks", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        except OSError as error:
            raise refused(error) from error
        try:
            os.ftruncate(self.fd, spots.MEMORY)
            fcntl.fcntl(self.fd, fcntl.F_ADD_SEALS, _SEALS)
        except OSError as error:
            self.close()
            raise refused(error) from error

    def close(self) -> None:
        """Let go of it; the caller may have it still."""
        os.close(self.fd)
        self.fd = -1

    def read(self, start: int, into: Sequence[memoryview]) -> None:
        """Copy what lies there now."""
        got = os.preadv(self.fd, into, start)
        assert got == sum(map(len, into)), "sealed memory has become shorter"


def refused(error: OSError) -> HoldError:
    """The error for memory that cannot be shared."""
    return HoldError(
        "share", Kind.UNSUPPORTED, "memory", error.strerror or str(error), hint="send the blocks in an archive"
    )


def take(store: OwnedStore, session: StoreSession, memory: Memory, where: Sequence[Spot], hashing: Executor) -> Taken:
    """Put every block, each checked against its name; those before one that is wrong are in the session."""
    try:
        known = sum(row is not None for row in store.rows([spot.key for spot in where]))
        filling = _Filling(session, memory, hashing)
        try:
            for spot in where:
                store.pause()
                filling.add(spot)
            filling.settle()
        finally:
            filling.abandon()
    finally:
        session.pause()  # the frames are few: nobody has one between calls
    return Taken(len(where), sum(spot.length for spot in where), known)


class _Run:
    """Blocks that lie side by side, to be read at once, each into its own place."""

    def __init__(self, memory: Memory, start: int) -> None:
        self._memory = memory
        self._start = start
        self._end = start
        self._parts: list[memoryview] = []
        self.slots: deque[tuple[Multihash, Slot]] = deque()

    def goes_on(self, spot: Spot) -> bool:
        """Whether a block is near enough."""
        return 0 <= spot.start - self._end < _SIDE_BY_SIDE and len(self.slots) < _TOGETHER

    def add(self, spot: Spot, slot: Slot) -> None:
        """Have a block read, too."""
        if spot.start > self._end:
            self._parts.append(memoryview(bytearray(spot.start - self._end)))
        self._parts.append(slot.into)
        self._end = spot.start + spot.length
        self.slots.append((spot.key, slot))

    def copy(self) -> list[bool]:
        """Read them; of each whether it is what its name says."""
        self._memory.read(self._start, self._parts)
        return [multihash.matches(key, slot.into) for key, slot in self.slots]


class _Filling:
    """Slots of a session being filled: large blocks in threads, small ones here; settled in the order given."""

    def __init__(self, session: StoreSession, memory: Memory, hashing: Executor) -> None:
        self._session = session
        self._memory = memory
        self._hashing = hashing
        self._run: _Run | None = None  # small blocks being gathered
        self._under_way: deque[tuple[_Run, Future[list[bool]] | None]] = deque()

    def add(self, spot: Spot) -> None:
        """Have one more block taken."""
        if spot.key[0] == multihash.IDENTITY:
            raise HoldError("put", Kind.INVALID, describe(spot.key), "an inline block is kept in its name")
        slot = self._slot(spot.length)
        if spot.length >= HASH_APART:
            self._run = None
            run = _Run(self._memory, spot.start)
            run.add(spot, slot)
            self._under_way.append((run, self._hashing.submit(run.copy)))
            return
        if self._run is None or not self._run.goes_on(spot):
            self._run = _Run(self._memory, spot.start)
            self._under_way.append((self._run, None))
        self._run.add(spot, slot)

    def _slot(self, length: int) -> Slot:
        slot = self._session.reserve(length, wait=not self._under_way)
        if slot is None:  # the frame is full, and all others are on their way to the disk
            self.settle()
            slot = self._session.reserve(length, wait=True)
        if slot is None:
            raise HoldError("put", Kind.FAILED, "session", "every frame has open slots")
        return slot

    def settle(self) -> None:
        """Take what was added, in order. CORRUPT at the first that is not what its name says."""
        self._run = None
        while self._under_way:
            run, task = self._under_way[0]
            for sound in task.result() if task is not None else run.copy():
                key, slot = run.slots[0]
                if not sound:
                    raise HoldError("put", Kind.CORRUPT, describe(key), "the bytes are not what the name says")
                run.slots.popleft()
                self._session.settle(slot, key)
            self._under_way.popleft()

    def abandon(self) -> None:
        """Give up what was not settled, once no thread writes there any more."""
        while self._under_way:
            run, task = self._under_way.popleft()
            if task is not None and not task.cancel():
                task.exception()
            while run.slots:
                self._session.abandon(run.slots.popleft()[1])
