"""Commits: all that was done becomes one consistent point in time, on disk. docs/spec/volume.md, "Commits".

First contents are kept by the vault, then one transaction of SQLite says where they are; then what nothing uses any
more is let go. Little is kept in that transaction itself, and moved to the vault when there is much of it.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from commonhold.errors import HoldError, Kind, from_os
from commonhold.volume.faults import from_hold
from commonhold.volume.ground import Ground, packed
from commonhold.volume.journal import Journal
from commonhold.volume.outbox import Load, Place
from commonhold.volume.point import Point
from commonhold.volume.tables import Tables
from commonhold.volume.vault import Vault

INLINE = 256 << 10  # so many bytes go into the transaction
INLINE_ALL = 4 << 20  # with more than these there, they are moved
INLINE_MOST = 64 << 20  # where the vault takes nothing
FULL = (Kind.QUOTA, Kind.DISK_FULL)


class Committing(Ground):
    """The part of a volume that commits."""

    def __init__(
        self, tables: Tables, vault: Vault, clock: Callable[[], int], next_chapter: int, journal: Journal
    ) -> None:
        super().__init__(tables, vault, clock, next_chapter, journal)
        self._committing = threading.RLock()
        self._unused: list[int] = []  # chapters that the next commit will not need
        self._leaving: list[int] = []  # those that the last one needs no more
        self._points = 0  # that are open, and may need them

    @contextmanager
    def point(self) -> Iterator[Point]:
        """All that was done so far, on disk, as a point in time. Calls wait no longer than for a commit."""
        with self._committing:
            self._commit(INLINE)
            point = Point(self._tables.path, self._opened.get)
            self._points += 1
        try:
            yield point
        finally:
            point.close()
            with self._committing:
                self._points -= 1
                self._let_go()

    def _commit(self, inline: int) -> None:
        """Commit; so many bytes may go into the transaction. The second time round writes wait."""
        refusal: HoldError | None = None
        try:
            for turn in range(3):
                with self._held:
                    if not self._tables.changed:
                        return
                    self._gate = turn > 0
                    if refusal is not None and self._unstored.total + self._extents.inline > INLINE_MOST:
                        raise from_hold(refusal) from refusal
                    if self._unstored.total <= inline or refusal is not None or turn == 2:
                        self._finish()
                        break
                    loads = self._gather()
                refusal = self._send(loads)
        finally:
            with self._held.freed:
                self._gate = False
                self._held.freed.notify_all()
        self._let_go()

    @property
    def pressing(self) -> bool:
        """Whether a commit had better come at once: the journal has become long."""
        return self._journal.long

    def _catch_up(self, size: int) -> None:
        """Commit before so many bytes are written, if the journal is so long that nobody else seems to, or has no room
        for them."""
        if self._journal.too_long(size) and not self._journal.gathers and self._again is None:
            with self._committing:
                if self._journal.too_long(size):
                    self._commit(INLINE)

    def _send(self, loads: list[Load]) -> HoldError | None:
        """Have loads kept, and all that is on its way; what the vault says if it can't."""
        for load in loads:
            self._outbox.submit(load)
        try:
            self._outbox.flush()
        except HoldError as error:
            return error
        return None

    def _finish(self) -> None:
        """Put what is left into the transaction, and end it."""
        self._inline()
        self._unused += self._extents.settle_uses()
        try:
            self._tables.set_aside()
        except OSError as error:
            self._refusal, self._refused_at = from_os("commit", "", error), self._clock()
            raise
        self._tables.commit()
        self._journal.begin(self._tables.committed)
        self.dirty_since = None
        self._leaving += self._unused
        self._unused.clear()

    def _inline(self) -> None:
        """Put what is not stored into the tables, wherever it is on its way to."""
        for load in packed([Place(number, piece, 0) for number, piece in self._unstored.all()]):
            block = self._extents.add_inline(load.content)
            for place in load.places:
                self._unstored.take(place.number, place.piece)
            self._lay(block, load.places)

    def _let_go(self) -> None:
        """Have the vault keep no longer what no commit needs. What fails is left for the next time."""
        while self._leaving and not self._points:
            try:
                self._vault.drop(self._leaving[-1])
            except HoldError as error:
                if error.kind is not Kind.NOT_FOUND:
                    return
            self._leaving.pop()
