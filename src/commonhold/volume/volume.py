"""A volume: `trees.Tree` over SQLite and a vault. The rooms are in the classes it is made of; this opens and closes."""

import os
import secrets
import time
from collections.abc import Callable
from pathlib import Path

from commonhold.errors import HoldError, Kind
from commonhold.trees import ROOT, Room
from commonhold.volume import tables
from commonhold.volume.clock import KernelClock
from commonhold.volume.realms import Realms
from commonhold.volume.tables import Object, Tables
from commonhold.volume.vault import Vault

_OBJECTS = 1 << 47  # as many as there are numbers for


def create(directory: Path, owner: str, node: str, clock: Callable[[], int] = time.time_ns) -> None:
    """Make a volume in a directory: empty, its root the owner's alone, its contents to be kept at that node. EXISTS."""
    now = clock()
    root = Object(ROOT, 0o040700, 2, 1, 1, 0, 0, now, now, now, now, 0, ROOT)
    meta: dict[str, str | int] = {"id": secrets.token_hex(16), "node": node, "next": ROOT + 1}
    tables.create(directory / tables.FILE, meta, root, owner)


class Volume(Realms):
    """A `trees.Tree`. `clock` gives nanoseconds since 1970, the kernel's if it is not given.

    Whoever has it calls `commit` a while after `dirty_since`, `settle` now and then, and `close`. Safe from many
    threads.
    """

    slow = frozenset({"read", "write", "copy", "sync"})

    def __init__(
        self,
        directory: Path,
        node: str,
        vault_of: Callable[[str], Vault],
        clock: Callable[[], int] | None = None,
        *,
        keep_orphans: bool = False,
    ) -> None:
        """Open the volume in a directory; `vault_of` gives the vault for its id. Objects that lost their names and were
        not forgotten are removed, unless somebody still knows them."""
        self._path = directory
        found = Tables(directory / tables.FILE)
        try:
            if found.meta("node") != node:
                why = f"its contents are kept by the node {found.meta('node')}, not by {node}"
                raise HoldError("open", Kind.DENIED, str(directory), why, hint="hold status says which node is used")
            self.id = str(found.meta("id"))
            vault = vault_of(self.id)
            there = vault.chapters()
            known = {number for number, *_ in found.extents.chapters()}
            if known - there:
                why = f"the node lacks its chapters {_listed(known - there)}: contents are lost"
                raise HoldError("open", Kind.CORRUPT, str(directory), why, hint="restore the node's store from a copy")
            super().__init__(found, vault, clock or KernelClock(), max(there | known, default=0) + 1)
            self._leaving = sorted(there - known)  # made for a commit that never was
            self._let_go()
            if not keep_orphans:
                self.forget(found.orphans())
        except BaseException:
            found.close()
            raise

    def close(self) -> None:
        """Commit, move all contents to the vault, end the threads. What could not be committed is the error."""
        try:
            self.settle()
        finally:
            self._end()

    def abandon(self) -> None:
        """End as a process that dies does: what was not committed is lost."""
        self._end()

    def _end(self) -> None:
        with self._held.freed:
            self._held.lost = self._held.lost or HoldError("open", Kind.FAILED, str(self._path), "it was closed")
            self._held.freed.notify_all()
        self._outbox.close()
        self._pool.shutdown()
        self._tables.close()

    def sync(self, number: int) -> None:
        """See `trees.Tree`. All of the volume is committed, whatever the object."""
        self.commit()

    def room(self) -> Room:
        """See `trees.Tree`."""
        disk = os.statvfs(self._path)
        with self._held:
            if self._objects is None:
                self._objects = self._tables.count()
            count = self._objects
        return Room(disk.f_blocks * disk.f_frsize, disk.f_bavail * disk.f_frsize, count, _OBJECTS - count)


def _listed(numbers: set[int]) -> str:
    first = ", ".join(map(str, sorted(numbers)[:8]))
    return first if len(numbers) <= 8 else f"{first} and {len(numbers) - 8} more"
