"""Uploads under way: the files that are open for them, how many there may be, and whose turn each is. Knows no ledger.

Whoever changes what an account has under an index has the turn of that pair meanwhile: begins, writes, ends and lets go
of it one after another. So whoever has the turn finds row, file and upload in step, and they stay so.
"""

import os
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from commonhold.errors import HoldError, Kind
from commonhold.formats.shareindex import ShareIndex
from commonhold.storage.ledger import Account, Row

MAX_UPLOADS: Final = 64  # open ones of one account
MAX_ALL_UPLOADS: Final = 512  # open ones of everybody
UPLOAD_SECONDS: Final = 86_400  # from its begin, after which an upload is like a share whose lease has ended
_BLOCK = 512  # bytes, of which stat(2) counts a file's

Key = tuple[Account, ShareIndex]


@dataclass(slots=True)
class Upload:
    """One under way: what has come, and the hash of that. It is for who has its turn."""

    row: Row
    fd: int
    until: int  # the lease that was asked for
    received: int
    hashed: Any
    touched: int


class Underway:
    """See the module. Safe from many threads."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._taken: set[Key] = set()
        self._open: dict[Key, Upload | None] = {}  # None: its place, while it is being opened

    @contextmanager
    def turn(self, keys: Iterable[Key]) -> Iterator[None]:
        """Have the turn of all of these. BUSY if somebody else has that of one."""
        wanted = set(keys)
        with self.free(wanted) as mine:
            if mine != wanted:
                raise HoldError("store share", Kind.BUSY, "share", "another request is at work on it")
            yield

    @contextmanager
    def free(self, keys: Iterable[Key]) -> Iterator[set[Key]]:
        """Have the turn of those of these that nobody has; which they are."""
        with self._mutex:
            mine = set(keys) - self._taken
            self._taken |= mine
        try:
            yield mine
        finally:
            with self._mutex:
                self._taken -= mine

    # ── for who has the turn ──

    def get(self, key: Key) -> Upload | None:
        """The upload, if it is open."""
        with self._mutex:
            return self._open.get(key)

    def open(self, key: Key, opening: Callable[[], Upload]) -> Upload:
        """Open one that is not. BUSY for too many at once: then nothing was tried."""
        with self._mutex:
            if sum(owner == key[0] for owner, _ in self._open) >= MAX_UPLOADS:
                raise HoldError("store share", Kind.BUSY, "account", f"{MAX_UPLOADS} uploads are under way")
            if len(self._open) >= MAX_ALL_UPLOADS:
                raise HoldError("store share", Kind.BUSY, "server", "as many uploads as it takes are under way")
            self._open[key] = None
        try:
            upload = opening()
        except BaseException:
            with self._mutex:
                del self._open[key]
            raise
        with self._mutex:
            self._open[key] = upload
        return upload

    def end(self, key: Key) -> None:
        """Close the file of an upload, if it is open."""
        with self._mutex:
            upload = self._open.pop(key, None)
            if upload is not None:
                os.close(upload.fd)

    # ── for anybody ──

    def owed(self) -> Counter[int]:
        """The bytes, by shelf, that open uploads will need of their disks yet."""
        owed: Counter[int] = Counter()
        with self._mutex:
            for upload in self._open.values():
                if upload is not None:
                    owed[upload.row.shelf] += max(0, upload.row.size - os.fstat(upload.fd).st_blocks * _BLOCK)
        return owed

    def close_idle(self, before: int) -> None:
        """Close the files of uploads that nobody touched since a moment: whoever goes on has them opened again."""
        with self._mutex:
            idle = [key for key, upload in self._open.items() if upload is not None and upload.touched < before]
        with self.free(idle) as mine:
            for key in mine:
                self.end(key)

    def close(self) -> None:
        """Close all of them."""
        for key in list(self._open):
            self.end(key)
