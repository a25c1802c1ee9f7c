"""What outlives a worker: which user's tree a node number of the kernel's is about, and what was agreed with it.

It lies in memory that the keeper made and hands to every worker in turn. A slot is never given to another user.
"""

import mmap
import os
import struct

from commonhold.ipc.treewords import Which

SHIFT = 48  # of a node number: above it the slot, below it the number that the agent knows
IPFS_SLOT, IPNS_SLOT, FIRST_SLOT = 1, 2, 3
MAX_SLOTS = 1 << 15  # the sign of a node number stays free
SIZE = 16 + 4 * MAX_SLOTS
_HEAD = struct.Struct("<III4x")  # workers so far, minor version, slots in use
_UID = struct.Struct("<I")


class Full(Exception):
    """As many users as there can be."""


class Slots:
    """The table. `public` is the user whose agent serves what is everybody's."""

    def __init__(self, fd: int, public: int) -> None:
        self._map = mmap.mmap(fd, SIZE)
        workers, minor, count = _HEAD.unpack_from(self._map)
        self.worker = workers + 1
        self._minor: int = minor
        uids: list[int] = [
            _UID.unpack_from(self._map, 16 + 4 * slot)[0] for slot in range(FIRST_SLOT, FIRST_SLOT + count)
        ]
        self._trees = {IPFS_SLOT: (public, Which.IPFS), IPNS_SLOT: (public, Which.IPNS)}
        self._trees |= {slot: (uid, Which.VOLUME) for slot, uid in enumerate(uids, FIRST_SLOT)}
        self._slots = {uid: slot for slot, uid in enumerate(uids, FIRST_SLOT)}
        self._write()

    def _write(self) -> None:
        _HEAD.pack_into(self._map, 0, self.worker, self._minor, len(self._slots))

    @property
    def minor(self) -> int:
        """The version of the protocol that was agreed on with the kernel; 0 before that."""
        return self._minor

    @minor.setter
    def minor(self, minor: int) -> None:
        self._minor = minor
        self._write()

    @property
    def users(self) -> list[int]:
        """Everyone who has a slot."""
        return list(self._slots)

    def tree(self, slot: int) -> tuple[int, Which] | None:
        """Whose agent serves a slot, and which of its trees."""
        return self._trees.get(slot)

    def of(self, uid: int, which: int) -> int | None:
        """The slot of one of a user's trees, if it has one."""
        if which == Which.VOLUME:
            return self._slots.get(uid)
        return next((slot for slot in (IPFS_SLOT, IPNS_SLOT) if self._trees[slot] == (uid, which)), None)

    def slot(self, uid: int) -> int:
        """A user's slot, a new one if need be. Full."""
        known = self._slots.get(uid)
        if known is not None:
            return known
        slot = FIRST_SLOT + len(self._slots)
        if slot >= MAX_SLOTS:
            raise Full
        _UID.pack_into(self._map, 16 + 4 * slot, uid)
        self._slots[uid] = slot
        self._trees[slot] = (uid, Which.VOLUME)
        self._write()  # last: a worker killed before has given none
        return slot


def create() -> int:
    """Make the memory; its descriptor."""
    fd = os.memfd_create("hold-mount", os.MFD_CLOEXEC)
    os.ftruncate(fd, SIZE)
    return fd
