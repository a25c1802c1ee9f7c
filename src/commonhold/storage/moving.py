"""A shelf emptied onto the others: each share is copied, read back and synced before its row says that it is there.

One file after another, in small steps. A copy is among the files to be removed until its share's row is moved to it, in
one transaction with the file that it was in: so whatever ends the process, each share has its bytes in one file, and
what is left over goes with the next sweep. docs/spec/storage.md.
"""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from commonhold.errors import HoldError, Kind, os_errors
from commonhold.host import disk
from commonhold.storage.hashing import hash_of
from commonhold.storage.ledger import Gone, Ledger, Row, Shelf
from commonhold.storage.shelving import NAME, Shelves
from commonhold.storage.underway import UPLOAD_SECONDS, Underway

PATIENCE: Final = 3600  # seconds that an upload has to end in, where its shelf or its server is being emptied
PAUSE: Final = 10  # seconds until what could not be moved is tried again
_START: Final = (0, b"")
_PIECE: Final = 1 << 20
_SWEEP: Final = 256


@dataclass(frozen=True, slots=True)
class Waiting:
    """What of a shelf could not be moved when it was tried last: how many, and why the last of them."""

    count: int
    why: str


@dataclass(slots=True)
class _Round:
    """How far a shelf has been gone through."""

    after: tuple[int, bytes] = _START
    moved: int = 0
    waiting: int = 0
    why: str = ""


class Mover:
    """See the module. For one thread at a time, beside all that a `Keeper` does; `placing` is its lock, under which a
    place is chosen. `forget` lets a share go that is damaged."""

    def __init__(
        self, ledger: Ledger, shelves: Shelves, underway: Underway, placing: threading.Lock,
        forget: Callable[[Row], object], now: Callable[[], int], randomness: Callable[[int], bytes],
    ) -> None:  # fmt: skip
        self._ledger = ledger
        self._shelves = shelves
        self._underway = underway
        self._placing = placing
        self._forget = forget
        self._now = now
        self._randomness = randomness
        self._rounds: dict[int, _Round] = {}
        self._again: dict[int, int] = {}
        self._waiting: dict[int, Waiting] = {}
        self._coming: set[Gone] = set()
        self._room = disk.aligned(_PIECE)

    def coming(self, file: Gone) -> bool:
        """Whether a file without a share is one that is being made."""
        return file in self._coming

    def waiting(self, shelf: int) -> Waiting | None:
        """What could not be moved of a shelf in the last round through it."""
        return self._waiting.get(shelf)

    def step(self) -> bool:
        """Move one share of a shelf that is being emptied, or take the shelf off; whether more can be done at once."""
        moved = [self._step(shelf) for shelf in self._ledger.shelves() if shelf.leaving is not None]
        return any(moved)

    def _step(self, shelf: Shelf) -> bool:
        if self._now() < self._again.get(shelf.id, 0):
            return False
        found = self._rounds.setdefault(shelf.id, _Round())
        row = self._ledger.on_shelf(shelf.id, found.after)
        if row is None:
            return self._ended(shelf, self._rounds.pop(shelf.id))
        found.after = row.account, row.index
        try:
            moved = self._upload(row) if row.sha256 is None else self._share(row)
            why = "" if moved else "uploads are under way"
        except HoldError as error:
            moved, why = False, error.why
        if moved:
            found.moved += 1
        else:
            found.waiting, found.why = found.waiting + 1, why
        return True

    def _ended(self, shelf: Shelf, found: _Round) -> bool:
        self._waiting.pop(shelf.id, None)
        if found.waiting:
            self._waiting[shelf.id] = Waiting(found.waiting, found.why)
        else:
            removed = self._shelves.remove(self._ledger.gone(shelf.id, _SWEEP))
            self._ledger.removed(removed)
            if removed:
                return True
            with self._shelves.changing:
                if self._ledger.take_off(shelf.id):
                    self._shelves.forget(shelf)
                    return False
        if not found.moved:
            self._again[shelf.id] = self._now() + PAUSE
        return bool(found.moved)

    def _share(self, row: Row) -> bool:
        """Move one that is whole. Nobody waits for it: its bytes do not change, and where it is let go or moved
        meanwhile the copy is of no use. One that is damaged is of use to nobody, as with a check: it is let go."""
        fd = self._open(row)
        if fd is None:
            self._forget(row)
            return True
        try:
            with self._copying(row) as (to, copy):
                if self._copied(fd, copy, row.size) != row.sha256:
                    self._forget(row)
                else:
                    self._settled(to, copy, row)
                    self._moved(row, to)
        finally:
            os.close(fd)
        return True

    def _upload(self, row: Row) -> bool:
        """Move what has come of one, but for its last block; who goes on with it begins there. False while its owner is
        at work on it."""
        key = row.account, row.index
        with self._underway.free([key]) as mine:
            if not mine or (self._underway.get(key) is not None and not overdue(row, self._now())):
                return False
            self._underway.end(key)
            fd = self._open(row)
            try:
                with self._copying(row) as (to, copy):
                    if fd is not None:
                        self._copied(fd, copy, disk.written(fd))
                    self._shelves.settle(to.shelf, to.file, copy)
                    self._moved(row, to)
            finally:
                if fd is not None:
                    os.close(fd)
        return True

    def _open(self, row: Row) -> int | None:
        """Its file; None if that is lost. FAILED where its disk is not there."""
        try:
            return self._shelves.open(row.shelf, row.file)
        except HoldError as error:
            if error.kind is not Kind.NOT_FOUND:
                raise
            return None

    @contextmanager
    def _copying(self, row: Row) -> Iterator[tuple[Gone, int]]:
        """A new file with room for it, on a shelf that stays. It goes again if nothing was moved to it."""
        to, fd = None, None
        try:
            with self._placing:  # each sees what room those before it have left
                shelf = self._shelves.choose(self._ledger.shelves(), row.size, self._underway.owed())
                to = Gone(shelf, self._randomness(NAME))
                self._coming.add(to)
                self._ledger.expect(to)
                fd = self._shelves.write(to.shelf, to.file, row.size)
            yield to, fd
        finally:
            if fd is not None:
                os.close(fd)
            if to in self._coming:
                self._shelves.unlink([to])
                self._coming.discard(to)

    def _copied(self, fd: int, copy: int, size: int) -> bytes:
        """Copy up to so many bytes; the hash of what came."""
        found = hash_of(fd, 0)
        at = 0
        while at < size:
            with os_errors("read share", "shelf"):
                got = disk.read_full(fd, self._room[: min(_PIECE, size - at)], at)
            if not got:
                break
            with os_errors("move share", "shelf"):
                disk.write_past_cache(copy, self._room[:got], at)
            found.update(self._room[:got])
            at += got
        digest: bytes = found.digest()
        return digest

    def _settled(self, to: Gone, copy: int, row: Row) -> None:
        """Have a copy on its disk, and see that it is what was to be there: the other one goes. FAILED."""
        self._shelves.settle(to.shelf, to.file, copy)
        with os_errors("move share", "shelf"):
            os.posix_fadvise(copy, 0, 0, os.POSIX_FADV_DONTNEED)  # or memory would be read, not the disk
            if hash_of(copy, row.size).digest() != row.sha256:
                raise HoldError("move share", Kind.FAILED, "shelf", "a disk does not give back what was written to it")

    def _moved(self, row: Row, to: Gone) -> None:
        if self._ledger.move(row, to):
            self._coming.discard(to)
            self._shelves.unlink([Gone(row.shelf, row.file)])


def overdue(row: Row, now: int) -> bool:
    """Whether an upload has had its time, where what it is on is being emptied."""
    return now - (row.until - UPLOAD_SECONDS) > PATIENCE
