"""Shares taken in, handed out, kept and let go: all that a storage server does with them. docs/spec/storage.md.

Uploads go in order, from any point that was reached, by one writer at a time. A share is there from the moment that its
bytes, its name and its row are on the disk, and not before. Knows accounts by number; who may call is the door's.
"""

import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO, Final

from commonhold.errors import HoldError, Kind, os_errors
from commonhold.formats.shareindex import ShareIndex
from commonhold.host import disk
from commonhold.storage.hashing import hash_of
from commonhold.storage.ledger import Account, Ledger, Row, Shelf
from commonhold.storage.moving import Mover, overdue
from commonhold.storage.shelving import NAME, Shelves, prepare
from commonhold.storage.underway import UPLOAD_SECONDS, Key, Underway, Upload

MAX_SHARE: Final = 128 << 20
MAX_LEASE: Final = 400 * 86_400  # seconds
GRACE: Final = 7 * 86_400  # seconds that a share is kept when its lease has ended
IDLE_SECONDS: Final = 60  # until an upload's file is closed
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
        self._leaving = ledger.leaving()
        self.mover = Mover(ledger, shelves, self._underway, self._placing, self._forget, now, randomness)

    def close(self) -> None:
        """Close the files of uploads, when nobody calls any more."""
        self._underway.close()

    # ── uploads ──

    def begin(self, account: Account, quota: int, index: ShareIndex, size: int, until: int) -> int:
        """Begin an upload, or go on with one; how many bytes are here. All of them: the share is whole.

        EXISTS for a share or an upload of another size; QUOTA, DISK_FULL, TOO_LARGE; BUSY for too many at once; DENIED
        where the server is being emptied.
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
            if self._leaving is not None:
                why = "this server is being emptied by its owner and takes nothing new: put it at another"
                raise HoldError("store share", Kind.DENIED, "server", why, hint="hold servers")
            upload = self._underway.get(key) or self._underway.open(
                key, lambda: self._opened(row) if row is not None else self._new(account, quota, index, size)
            )
            upload.until, upload.touched = until, self._now()
            return upload.received

    def _lease(self, until: int) -> int:
        """Until when a share may be kept. Where the server is being emptied no lease is for longer than one that it
        gave before: so that comes to an end, whatever anybody asks for."""
        begun = self._now() if self._leaving is None else min(self._now(), self._leaving)
        return min(until, begun + MAX_LEASE)

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
                return Upload(row, fd, row.until, received, hash_of(fd, received), self._now())
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
        return os.fdopen(self._file(row), "rb", buffering=0), row.size

    def _file(self, row: Row) -> int:
        """A share's file, also if it was moved just now."""
        while True:
            try:
                return self._shelves.open(row.shelf, row.file)
            except HoldError:
                found = self._ledger.own(row.account, row.index)
                if found is None or found.sha256 != row.sha256 or found.file == row.file:
                    raise
                row = found

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
        while not self._sound(row := self._row(index, copy)):
            if self._forget(row):
                return False
            now = self._ledger.own(row.account, index)
            if now is None or now.sha256 != row.sha256:
                raise HoldError("check share", Kind.NOT_FOUND, "share", "its owner has just let it go")
        return True  # perhaps where it was moved while it was looked at

    def _forget(self, row: Row) -> bool:
        """Let a share go that is damaged; False if what was seen is not there any more."""
        with self._underway.free([(row.account, row.index)]) as mine:
            now = self._ledger.own(row.account, row.index)
            if now is None or now.file != row.file:
                return False
            if mine:  # else its owner is at work on it, and the next check sees it
                self._remove(row.account, [row.index])
        return True

    def _sound(self, row: Row) -> bool:
        try:
            fd = self._file(row)
        except HoldError as error:
            if error.kind is Kind.NOT_FOUND:
                return False
            raise
        try:
            with os_errors("check share", "shelf"):
                return os.fstat(fd).st_size == row.size and hash_of(fd, row.size).digest() == row.sha256
        finally:
            os.close(fd)

    def sweep(self) -> int:
        """Let some of those go whose time is over, and files that nobody needs; how many. Call it until that is 0."""
        now = self._now()
        self._underway.close_idle(now - IDLE_SECONDS)
        done = self._expire(now - GRACE) + (0 if self._leaving is None else self._end_uploads(now))
        for shelf in self._ledger.shelves():
            gone = self._ledger.gone(shelf.id, _SWEEP)
            removed = self._shelves.remove(one for one in gone if not self.mover.coming(one))
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

    def _end_uploads(self, now: int) -> int:
        """Let go of uploads that nobody is at work on, or for too long: where nothing new comes they do not go on."""
        rows = {(row.account, row.index): row for row in self._ledger.uploads(now + UPLOAD_SECONDS + 1)}
        done = 0
        with self._underway.free(rows) as mine:
            for key in mine:
                if self._underway.get(key) is None or overdue(rows[key], now):
                    self._underway.end(key)
                    self._remove(key[0], [key[1]])
                    done += 1
        return done

    # ── shelves, and the server as a whole ──

    def add_shelf(self, path: Path, most: int) -> Shelf:
        """Have a directory take shares from now on, up to so many bytes; one that is there already stays, if it was
        being emptied."""
        with self._shelves.changing:
            there = next((one for one in self._ledger.shelves() if one.path == path), None)
            if there is None or not there.used:
                prepare(path)
            shelf = self._ledger.put_shelf(path, most)
            self._shelves.add(shelf)
            return shelf

    def empty_shelf(self, shelf: Shelf) -> None:
        """Have a shelf be emptied onto the others. DISK_FULL, with the numbers, if they have no room for that."""
        with self._placing:
            shelves = self._ledger.shelves()
            if all(one.id == shelf.id or one.leaving is not None for one in shelves):
                why = "there is no other that could take what is on it"
                raise HoldError("drain", Kind.DISK_FULL, str(shelf.path), why, hint="hold server add STATE PATH")
            wanted = sum(one.used for one in shelves if one.id == shelf.id or one.leaving is not None)
            room = self._shelves.room_without(shelf, shelves, self._underway.owed())
            if room < wanted:
                why = f"{wanted} bytes are to be moved, and the others have room for {room}"
                raise HoldError("drain", Kind.DISK_FULL, str(shelf.path), why, hint="hold server add STATE PATH")
            self._ledger.empty(shelf.id, self._now())

    def keep_shelf(self, shelf: Shelf) -> None:
        """Have a shelf stay, and take shares again."""
        self._ledger.empty(shelf.id, None)

    @property
    def leaving(self) -> int | None:
        """Since when the whole server is being emptied, if it is."""
        return self._leaving

    def leave(self, leaving: bool) -> None:
        """Have the server take nothing new, or take it again; what is there is read, renewed and let go as ever."""
        since = (self._leaving or self._now()) if leaving else None
        self._ledger.leave(since)
        self._leaving = since
