"""Shares taken in, handed out, kept and let go: all that a storage server does with them. docs/spec/storage.md.

Uploads go in order, from any point that was reached, by one writer at a time. A share is there from the moment that its
bytes, its name and its row are on the disk, and not before. Knows accounts by number; who may call is the door's.
"""

import hashlib
import os
import threading
from collections.abc import Callable, Sequence
from typing import Any, BinaryIO, Final

from commonhold.errors import HoldError, Kind, os_errors
from commonhold.formats.shareindex import ShareIndex
from commonhold.host import disk
from commonhold.storage.ledger import Account, Ledger, Row
from commonhold.storage.shelving import NAME, Shelves
from commonhold.storage.underway import Key, Underway, Upload

MAX_SHARE: Final = 128 << 20
MAX_LEASE: Final = 400 * 86_400  # seconds
UPLOAD_SECONDS: Final = 86_400  # from its begin, after which an upload is like a share whose lease has ended
GRACE: Final = 7 * 86_400  # seconds that a share is kept when its lease has ended
IDLE_SECONDS: Final = 60  # until an upload's file is closed
_PIECE = 1 << 20
_SWEEP = 256


class Keeper:
    """See the module. Safe from many threads. `now` gives seconds since 1970, `randomness` so many random bytes."""

    def __init__(
        self, ledger: Ledger, shelves: Shelves, now: Callable[[], int], randomness: Callable[[int], bytes]
    ) -> None:
        self._ledger = ledger
        self._shelves = shelves
        self._now = now
        self._randomness = randomness
        self._underway = Underway()
        self._placing = threading.Lock()

    def close(self) -> None:
        """Close the files of uploads, when nobody calls any more."""
        self._underway.close()

    # ── uploads ──

    def begin(self, account: Account, quota: int, index: ShareIndex, size: int, until: int) -> int:
        """Begin an upload, or go on with one; how many bytes are here. All of them: the share is whole.

        EXISTS for a share or an upload of another size; QUOTA, DISK_FULL, TOO_LARGE; BUSY for too many at once.
        """
        if not 0 < size <= MAX_SHARE:
            raise HoldError("store share", Kind.TOO_LARGE, "share", f"{size} bytes, 1 to {MAX_SHARE} are allowed")
        key, until = (account, index), self._lease(until)
        with self._underway.turn([key]):
            row = self._ledger.own(account, index)
            if row is not None and row.size != size:
                why = f"there is one of {row.size} bytes under this index"
                raise HoldError("store share", Kind.EXISTS, "share", why)
            if row is not None and row.sha256 is not None:
                self._ledger.renew(account, [index], until)
                return size
            upload = self._underway.get(key) or self._underway.open(
                key, lambda: self._opened(row) if row is not None else self._new(account, quota, index, size)
            )
            upload.until, upload.touched = until, self._now()
            return upload.received

    def _lease(self, until: int) -> int:
        return min(until, self._now() + MAX_LEASE)

    def _new(self, account: Account, quota: int, index: ShareIndex, size: int) -> Upload:
        with self._placing:  # each sees what room those before it have left
            shelf = self._shelves.choose(self._ledger.shelves(), size, self._underway.owed())
            row = Row(account, index, shelf, self._randomness(NAME), size, None, self._now() + UPLOAD_SECONDS)
            self._ledger.promise(row, quota)  # first: what has no row is never found again
            try:
                return self._opened(row)
            except HoldError:
                self._remove(account, [index])
                raise

    def _opened(self, row: Row) -> Upload:
        """An upload whose row is there. Its file has what came so far, perhaps but for the last block; that may be
        none, also if it was begun long ago: its row was written, and then the power went."""
        fd = self._shelves.write(row.shelf, row.file, row.size)
        try:
            with os_errors("store share", "shelf"):
                received = disk.written(fd)
                return Upload(row, fd, row.until, received, _hash_of(fd, received), self._now())
        except BaseException:
            os.close(fd)
            raise

    def append(self, account: Account, index: ShareIndex, at: int, data: bytes | memoryview) -> int:
        """Take in what comes next, from offset `at`; how many bytes are here then. Page-aligned memory goes quickest.

        CHANGED if `at` is not where it goes on; TOO_LARGE if more comes than was said; NOT_FOUND, BUSY.
        """
        key = account, index
        with self._underway.turn([key]):
            upload = self._upload(key)
            if at != upload.received:
                why = f"it goes on at {upload.received}, not at {at}"
                raise HoldError("store share", Kind.CHANGED, "upload", why, hint="ask how far it has come")
            if at + len(data) > upload.row.size:
                raise HoldError("store share", Kind.TOO_LARGE, "upload", f"more than the {upload.row.size} bytes said")
            with os_errors("store share", "shelf"):
                disk.write_past_cache(upload.fd, memoryview(data), at)
            upload.hashed.update(data)
            upload.received += len(data)
            return upload.received

    def finish(self, account: Account, index: ShareIndex, sha256: bytes) -> None:
        """All has come: the share is whole, on the disk, on return. CHANGED if bytes are missing. CORRUPT if they are
        not those of the hash, FAILED if the disk did not take them: then nothing is kept of them."""
        key = account, index
        with self._underway.turn([key]):
            row = self._ledger.own(account, index)
            if row is not None and row.sha256 == sha256:
                return  # said once more, as the answer was lost
            upload = self._upload(key)
            row = upload.row
            if upload.received != row.size:
                why = f"{upload.received} of {row.size} bytes have come"
                raise HoldError("store share", Kind.CHANGED, "upload", why, hint="send the rest")
            try:
                if upload.hashed.digest() != sha256:
                    raise HoldError("store share", Kind.CORRUPT, "upload", "its bytes are not those of the hash")
                self._shelves.settle(row.shelf, row.file, upload.fd)
            except HoldError:  # a sync fails once: the next one of the same file would say that all is well
                self._underway.end(key)
                self._remove(account, [index])
                raise
            self._ledger.complete(account, index, sha256, upload.until)
            self._underway.end(key)

    def _upload(self, key: Key) -> Upload:
        """An upload whose turn the caller has."""
        upload = self._underway.get(key)
        if upload is None:
            raise HoldError("store share", Kind.NOT_FOUND, "upload", "none is under way", hint="begin it")
        upload.touched = self._now()
        return upload

    # ── what is kept ──

    def open(self, index: ShareIndex, copy: int = 0) -> tuple[BinaryIO, int]:
        """A share's file, for the caller to close, and its size. NOT_FOUND."""
        row = self._row(index, copy)
        return os.fdopen(self._shelves.open(row.shelf, row.file), "rb", buffering=0), row.size

    def _row(self, index: ShareIndex, copy: int) -> Row:
        row = self._ledger.find(index, copy)
        if row is None:
            raise HoldError("read share", Kind.NOT_FOUND, "share", "there is none under this index")
        return row

    def sizes(self, indexes: Sequence[ShareIndex]) -> list[int]:
        """How large the shares under these indexes are, 0 where there is none."""
        return self._ledger.sizes(indexes)

    def renew(self, account: Account, indexes: Sequence[ShareIndex], until: int) -> list[bool]:
        """Keep an account's shares until then at least; which of them there are."""
        return self._ledger.renew(account, indexes, self._lease(until))

    def drop(self, account: Account, indexes: Sequence[ShareIndex]) -> None:
        """Let an account's shares and uploads go; what is not there is gone already. BUSY, and all are there still, if
        another request is at work on one."""
        keys = [(account, index) for index in indexes]
        with self._underway.turn(keys):
            for key in keys:
                self._underway.end(key)
            self._remove(account, indexes)

    def give_up(self, account: Account, indexes: Sequence[ShareIndex]) -> None:
        """Let an account's uploads go that are not whole. DENIED, and all are there still, if one is a share; BUSY."""
        keys = [(account, index) for index in indexes]
        with self._underway.turn(keys):
            rows = [self._ledger.own(account, index) for index in indexes]
            if any(row is not None and row.sha256 is not None for row in rows):
                why = "who comes by a warrant lets no share go, only uploads that are not whole"
                raise HoldError("drop share", Kind.DENIED, "share", why)
            for key in keys:
                self._underway.end(key)
            self._remove(account, indexes)

    def _remove(self, account: Account, indexes: Sequence[ShareIndex]) -> None:
        self._shelves.unlink(self._ledger.drop(account, indexes))

    def check(self, index: ShareIndex, copy: int = 0) -> bool:
        """Whether a share is still what was taken in; one that is not is let go, as it is of use to nobody.
        NOT_FOUND; FAILED where its disk does not say."""
        row = self._row(index, copy)
        if self._sound(row):
            return True
        with self._underway.free([(row.account, index)]) as mine:
            now = self._ledger.own(row.account, index)
            if now is None or now.file != row.file:
                raise HoldError("check share", Kind.NOT_FOUND, "share", "its owner has just let it go")
            if mine:  # else its owner is at work on it, and the next check sees it
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
        self._underway.close_idle(now - IDLE_SECONDS)
        done = self._expire(now - GRACE)
        for shelf in self._ledger.shelves():
            removed = self._shelves.remove(self._ledger.gone(shelf.id, _SWEEP))
            self._ledger.removed(removed)
            done += len(removed)
        return done

    def _expire(self, before: int) -> int:
        ended = [(row.account, row.index) for row in self._ledger.ended(before, _SWEEP)]
        with self._underway.free(ended) as mine:
            for key in mine:
                self._underway.end(key)
            gone = self._ledger.expire(before, mine)
        self._shelves.unlink(gone)
        return len(gone)


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
