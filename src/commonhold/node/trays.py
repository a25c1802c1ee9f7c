"""Trays: memory in which the node lays blocks for a caller to read. Each connection has at most one; its next call may
lay other blocks there. Nobody but the node can write to it.
"""

import asyncio
import fcntl
import mmap
import os
import weakref
from collections import Counter
from collections.abc import Sequence

from commonhold.blockstore.owned import OwnedStore
from commonhold.errors import HoldError, Kind
from commonhold.formats import keylist, tray
from commonhold.formats.multihash import Multihash
from commonhold.node.memory import refused

MOST = 16  # of one user's
_SEAL_FUTURE_WRITE = 0x10  # linux/fcntl.h: who maps it from now on cannot write
_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL | _SEAL_FUTURE_WRITE


class Tray:
    """A memfd of `tray.SIZE` bytes that stays as long as it is. UNSUPPORTED where the system makes none."""

    def __init__(self) -> None:
        try:
            self.fd = os.memfd_create("hold-tray", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        except OSError as error:
            raise refused(error) from error
        weakref.finalize(self, os.close, self.fd)
        try:
            os.ftruncate(self.fd, tray.SIZE)
            self._memory = memoryview(mmap.mmap(self.fd, tray.SIZE))
            fcntl.fcntl(self.fd, fcntl.F_ADD_SEALS, _SEALS)
        except OSError as error:
            raise refused(error) from error

    def lay(self, store: OwnedStore, keys: Sequence[Multihash]) -> tuple[bytes, bool]:
        """Lay blocks there, in the order asked, up to the first that has no room; the packed length of each, as far as
        it exists for the caller, and whether all of those do."""
        rows = store.rows(keys)
        lengths = [None if row is None else row.length for row in rows]
        there = list(tray.places(lengths))
        for key, row, start in zip(keys, rows, there, strict=False):
            if row is not None and start is not None:
                store.lay(key, row, self._memory[start : start + row.length])
        return keylist.pack_sizes(lengths[: len(there)]), None not in there


class Trays:
    """Whose trays there are: one for each connection that asked for it, for as long as that is open."""

    def __init__(self) -> None:
        self._trays: weakref.WeakKeyDictionary[asyncio.BaseTransport, tuple[int, Tray]] = weakref.WeakKeyDictionary()

    def of(self, transport: asyncio.BaseTransport) -> Tray | None:
        """A connection's."""
        found = self._trays.get(transport)
        return None if found is None else found[1]

    def make(self, transport: asyncio.BaseTransport, uid: int) -> Tray:
        """One for a connection of a user's. UNSUPPORTED where they have as many as they may."""
        if Counter(owner for other, (owner, _) in self._trays.items() if not other.is_closing())[uid] >= MOST:
            raise HoldError("share", Kind.UNSUPPORTED, "memory", f"you have {MOST} trays", hint="read over the socket")
        made = Tray()
        self._trays[transport] = uid, made
        return made
