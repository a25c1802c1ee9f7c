"""A volume: `trees.Tree` over SQLite and a vault. The rooms are in the classes it is made of; this opens and closes."""

import os
import secrets
import time
from collections.abc import Callable
from pathlib import Path

from commonhold.errors import HoldError, Kind
from commonhold.host.boot import boot_id
from commonhold.trees import ROOT, Room
from commonhold.volume import journal, tables
from commonhold.volume.clock import KernelClock
from commonhold.volume.journal import Journal
from commonhold.volume.redoing import Broken, Redoing
from commonhold.volume.tables import Object, Tables
from commonhold.volume.vault import Vault

_OBJECTS = 1 << 47  # as many as there are numbers for


def create(directory: Path, owner: str, node: str, clock: Callable[[], int] = time.time_ns) -> None:
    """Make a volume in a directory: empty, its root the owner's alone, its contents to be kept at that node. EXISTS."""
    now = clock()
    root = Object(ROOT, 0o040700, 2, 1, 1, 0, 0, now, now, now, now, 0, ROOT)
    meta: dict[str, str | int] = {"id": secrets.token_hex(16), "node": node, "next": ROOT + 1}
    tables.create(directory / tables.FILE, meta, root, owner)


class Volume(Redoing):
    """A `trees.Tree`. `clock` gives nanoseconds since 1970, the kernel's if it is not given.

    Whoever has it calls `commit` a while after `dirty_since`, at once when it is `pressing`, `settle` now and then, and
    `close`. Safe from many threads.
    """

    slow = frozenset({"read", "write", "copy", "sync"})

    def __init__(
        self,
        directory: Path,
        node: str,
        vault_of: Callable[[str], Vault],
        clock: Callable[[], int] | None = None,
        *,
        boot: bytes | None = None,
        keep_orphans: bool = False,
    ) -> None:
        """Open the volume in a directory; `vault_of` gives the vault for its id, `boot` is the id of the machine's
        boot if the kernel is not to be asked. What a process did that died is done again. Objects that lost their names
        and were not forgotten are removed, but with `keep_orphans` not where such a process had it open last."""
        self._path = directory
        clock, boot = clock or KernelClock(), boot or boot_id()
        while True:
            try:
                self._open(node, vault_of, clock, boot)
                break
            except Broken:
                continue
        if not (keep_orphans and self._journal.left_open):
            self.forget(self.orphans())

    def _open(self, node: str, vault_of: Callable[[str], Vault], clock: Callable[[], int], boot: bytes) -> None:
        found = Tables(self._path / tables.FILE)
        try:
            self._check(found, node)
            self.id = str(found.meta("id"))
            vault = vault_of(self.id)
            there = vault.chapters()
            known = {number for number, *_ in found.extents.chapters()}
            if known - there:
                why = f"the node lacks its chapters {_listed(known - there)}: contents are lost"
                raise HoldError("open", Kind.CORRUPT, str(self._path), why, hint="restore the node's store from a copy")
            log = Journal(self._path / journal.FILE, bytes.fromhex(self.id), boot, found.committed)
        except BaseException:
            found.close()
            raise
        super().__init__(found, vault, clock, max(there | known, default=0) + 1, log)
        try:
            self._redo(there)
            with self._held:
                self._leaving = sorted(there - {number for number, *_ in found.extents.chapters()})
            self._let_go()  # what was made for a commit that never was
        except BaseException:
            self._end()
            raise

    def _check(self, found: Tables, node: str) -> None:
        """Refuse a volume whose contents another node has."""
        if found.meta("node") != node:
            why = f"its contents are kept by the node {found.meta('node')}, not by {node}"
            raise HoldError("open", Kind.DENIED, str(self._path), why, hint="hold status says which node is used")

    def close(self) -> None:
        """Commit, move all contents to the vault, end the threads. What could not be committed is the error."""
        try:
            self.settle()
            self._shut()
            if not self._tables.changed:  # by somebody who did not wait
                self._journal.end()
        finally:
            self._end()

    def abandon(self) -> None:
        """End as a process that dies does: what was not committed is in the journal."""
        self._end()

    def _shut(self) -> None:
        with self._held.freed:
            self._held.lost = self._held.lost or HoldError("open", Kind.FAILED, str(self._path), "it was closed")
            self._held.freed.notify_all()

    def _end(self) -> None:
        self._shut()
        self._outbox.close()
        self._pool.shutdown()
        self._journal.close()
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
