"""Shares taken in, handed out, kept and let go: all that a storage server does with them. docs/spec/storage.md.

Uploads go in order, from any point that was reached, by one writer at a time. A share is there from the moment that its
bytes, its name and its row are on the disk, and not before. Knows accounts by number; who may call is the door's.
"""

import hashlib
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from commonhold.errors import HoldError, Kind, os_errors
from commonhold.formats.shareindex import ShareIndex
from commonhold.host import disk
from commonhold.storage.ledger import Account, Ledger, Row
from commonhold.storage.shelving import NAME, Shelves

MAX_SHARE: Final = 128 << 20
MAX_LEASE: Final = 400 * 86_400  # seconds
UPLOAD_SECONDS: Final = 86_400  # that an upload is kept while nothing comes
GRACE: Final = 7 * 86_400  # seconds that a share is kept when its lease has ended
MAX_UPLOADS: Final = 64  # open ones of one account
MAX_ALL_UPLOADS: Final = 512  # open ones of everybody
IDLE_SECONDS: Final = 60  # until an upload's file is closed
_PIECE = 1 << 20
_SWEEP = 256


@dataclass(slots=True)
class _Upload:
    """One under way: what has come, and the hash of that."""

    row: Row
    fd: int
    until: int  # the lease that was asked for
    received: int
    hashed: Any
    touched: int
    turn: threading.Lock = field(default_factory=threading.Lock)


class Keeper:
    """See the module. Safe from many threads. `now` gives seconds since 1970, `randomness` so many random bytes."""

    def __init__(
        self, ledger: Ledger, shelves: Shelves, now: Callable[[], int], randomness: Callable[[int], bytes]
    ) -> None:
        self._ledger = ledger
        self._shelves = shelves
        self._now = now
        self._randomness = randomness
        self._mutex = threading.Lock()
        self._uploads: dict[tuple[Account, ShareIndex], _Upload] = {}

    # ── uploads ──

    def begin(self, account: Account, quota: int, index: ShareIndex, size: int, until: int) -> int:
        """Begin an upload, or go on with one; how many bytes are here. All of them: the share is whole.

        EXISTS for a share or an upload of another size; QUOTA, DISK_FULL, TOO_LARGE; BUSY for too many at once.
        """
        if not 0 < size <= MAX_SHARE:
            raise HoldError("store share", Kind.TOO_LARGE, "share", f"{size} bytes, 1 to {MAX_SHARE} are allowed")
        until = self._lease(until)
        with self._mutex:
            upload = self._uploads.get((account, index))
            if upload is not None and upload.row.size == size:
                return upload.received
            if sum(owner == account for owner, _ in self._uploads) >= MAX_UPLOADS:
                raise HoldError("store share", Kind.BUSY, "account", f"{MAX_UPLOADS} uploads are under way")
            if len(self._uploads) >= MAX_ALL_UPLOADS:
                raise HoldError("store share", Kind.BUSY, "server", "as many uploads as it takes are under way")
        row = self._ledger.own(account, index)
        if row is not None and row.size != size:
            raise HoldError("store share", Kind.EXISTS, "share", f"there is one of {row.size} bytes under this index")
        if row is not None and row.sha256 is not None:
            self._ledger.renew(account, [index], until)
            return size
        return self._new(account, quota, index, size, until) if row is None else self._again(row, until)

    def _lease(self, until: int) -> int:
        return min(until, self._now() + MAX_LEASE)

    def _new(self, account: Account, quota: int, index: ShareIndex, size: int, until: int) -> int:
        shelf = self._shelves.choose(self._ledger.shelves(), size)
        row = Row(account, index, shelf, self._randomness(NAME), size, None, self._now() + UPLOAD_SECONDS)
        self._ledger.promise(row, quota)  # first: what has no row is never found again
        fd = self._shelves.create(shelf, row.file, size)
        return self._start(_Upload(row, fd, until, 0, hashlib.sha256(), self._now()))

    def _again(self, row: Row, until: int) -> int:
        """Go on with an upload that this process does not have open: another one began it, or it was idle."""
        try:
            fd = self._shelves.open(row.shelf, row.file, write=True)
        except HoldError as error:
            if error.kind is not Kind.NOT_FOUND:
                raise
            fd = self._shelves.create(row.shelf, row.file, row.size)  # its row was written, and then the power went
        received = min(os.fstat(fd).st_size, row.size)
        return self._start(_Upload(row, fd, until, received, _hash_of(fd, received), self._now()))

    def _start(self, upload: _Upload) -> int:
        key = upload.row.account, upload.row.index
        with self._mutex:
            before = self._uploads.setdefault(key, upload)
            if before is not upload:
                os.close(upload.fd)
                return before.received
        self._shelves.owe(upload.row.shelf, upload.row.size - upload.received)
        return upload.received

    def append(self, account: Account, index: ShareIndex, at: int, parts: Sequence[memoryview]) -> int:
        """Take in what comes next, from offset `at`; how many bytes are here then.

        CHANGED if `at` is not where it goes on; TOO_LARGE if more comes than was said; NOT_FOUND, BUSY.
        """
        with self._turn(account, index) as upload:
            size = sum(len(part) for part in parts)
            if at != upload.received:
                why = f"it goes on at {upload.received}, not at {at}"
                raise HoldError("store share", Kind.CHANGED, "upload", why, hint="ask how far it has come")
            if at + size > upload.row.size:
                raise HoldError("store share", Kind.TOO_LARGE, "upload", f"more than the {upload.row.size} bytes said")
            with os_errors("store share", "shelf"):
                disk.write_all(upload.fd, parts, at)
            for part in parts:
                upload.hashed.update(part)
            upload.received += size
            self._shelves.owe(upload.row.shelf, -size)
            return upload.received

    def finish(self, account: Account, index: ShareIndex, sha256: bytes) -> None:
        """All has come: the share is whole, on the disk, on return. CHANGED if bytes are missing; CORRUPT if they are
        not those of the hash: then nothing is kept of them."""
        row = self._ledger.own(account, index)
        if row is not None and row.sha256 == sha256:
            return  # said once more, as the answer was lost
        with self._turn(account, index) as upload:
            row = upload.row
            if upload.received != row.size:
                why = f"{upload.received} of {row.size} bytes have come"
                raise HoldError("store share", Kind.CHANGED, "upload", why, hint="send the rest")
            if upload.hashed.digest() != sha256:
                self._end(upload)
                self._remove(account, [index])
                raise HoldError("store share", Kind.CORRUPT, "upload", "its bytes are not those of the hash")
            self._shelves.settle(row.shelf, row.file, upload.fd)
            self._ledger.complete(account, index, sha256, upload.until)
            self._end(upload)

    @contextmanager
    def _turn(self, account: Account, index: ShareIndex) -> Iterator[_Upload]:
        """An upload, for one writer."""
        with self._mutex:
            upload = self._uploads.get((account, index))
        if upload is None:
            raise HoldError("store share", Kind.NOT_FOUND, "upload", "none is under way", hint="begin it")
        if not upload.turn.acquire(blocking=False):
            raise HoldError("store share", Kind.BUSY, "upload", "another request writes to it")
        try:
            if self._uploads.get((account, index)) is not upload:
                raise HoldError("store share", Kind.NOT_FOUND, "upload", "it has ended", hint="begin it")
            upload.touched = self._now()
            yield upload
        finally:
            upload.turn.release()

    def _end(self, upload: _Upload) -> None:
        with self._mutex:
            self._uploads.pop((upload.row.account, upload.row.index), None)
        self._shelves.owe(upload.row.shelf, upload.received - upload.row.size)
        os.close(upload.fd)

    # ── what is kept ──

    def open(self, index: ShareIndex, asker: Account | None, copy: int = 0) -> tuple[int, int]:
        """A share's file, for the caller to close, and its size. NOT_FOUND."""
        row = self._ledger.find(index, asker, copy)
        if row is None:
            raise HoldError("read share", Kind.NOT_FOUND, "share", "there is none under this index")
        return self._shelves.open(row.shelf, row.file), row.size

    def sizes(self, indexes: Sequence[ShareIndex]) -> list[int]:
        """How large the shares under these indexes are, 0 where there is none."""
        return self._ledger.sizes(indexes)

    def renew(self, account: Account, indexes: Sequence[ShareIndex], until: int) -> list[bool]:
        """Keep an account's shares until then at least; which of them there are."""
        return self._ledger.renew(account, indexes, self._lease(until))

    def drop(self, account: Account, indexes: Sequence[ShareIndex]) -> None:
        """Let an account's shares and uploads go; what is not there is gone already. BUSY for an upload in use."""
        for index in indexes:
            with self._mutex:
                under_way = (account, index) in self._uploads
            if under_way:
                with self._turn(account, index) as upload:
                    self._end(upload)
        self._remove(account, indexes)

    def _remove(self, account: Account, indexes: Sequence[ShareIndex]) -> None:
        self._ledger.removed(self._shelves.remove(self._ledger.drop(account, indexes)))

    def check(self, index: ShareIndex, copy: int = 0) -> bool:
        """Whether a share is still what was taken in; one that is not is let go, as it is of use to nobody.
        NOT_FOUND."""
        row = self._ledger.find(index, None, copy)
        if row is None or row.sha256 is None:
            raise HoldError("check share", Kind.NOT_FOUND, "share", "there is none under this index")
        if self._sound(row):
            return True
        self._remove(row.account, [index])
        return False

    def _sound(self, row: Row) -> bool:
        try:
            fd = self._shelves.open(row.shelf, row.file)
        except HoldError as error:
            if error.kind is Kind.NOT_FOUND:
                return False
            raise
        try:
            with os_errors("check share", "shelf"):
                return os.fstat(fd).st_size == row.size and _hash_of(fd, row.size).digest() == row.sha256
        finally:
            os.close(fd)

    def sweep(self) -> int:
        """Let some of those go whose time is over, and files that nobody needs; how many. Call it until that is 0."""
        now = self._now()
        self._close_idle(now - IDLE_SECONDS)
        self._ledger.expire(now - GRACE, _SWEEP)
        done = self._shelves.remove(self._ledger.gone(_SWEEP))
        self._ledger.removed(done)
        return len(done)

    def _close_idle(self, before: int) -> None:
        """Close the files of uploads that nobody touched lately: whoever goes on has them opened again."""
        with self._mutex:
            idle = [one for one in self._uploads.values() if one.touched < before]
        for upload in idle:
            if upload.turn.acquire(blocking=False):
                self._end(upload)
                upload.turn.release()


def _hash_of(fd: int, size: int) -> Any:
    """The SHA-256, to be gone on with, of a file's first bytes."""
    found = hashlib.sha256()
    room = memoryview(bytearray(min(_PIECE, size)))
    at = 0
    while at < size:
        got = disk.read_full(fd, room[: min(len(room), size - at)], at)
        if not got:
            break
        found.update(room[:got])
        at += got
    return found
