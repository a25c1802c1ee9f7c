"""Shelves: the directories where shares lie as files. Which takes the next one, and that the disk keeps some room.

Knows files and how large they become, not whose they are. A file's name is random: nothing is to be read from it.
"""

import contextlib
import os
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from commonhold.errors import HoldError, Kind, os_errors
from commonhold.host import disk
from commonhold.storage.ledger import Gone, Shelf

NAME: Final = 16  # bytes of a file's name
_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_ROOMS = [f"{number:02x}" for number in range(256)]


class Shelves:
    """See the module. Safe from many threads."""

    def __init__(self, shelves: Iterable[Shelf], reserve: int) -> None:
        """`reserve` is how many bytes of each disk stay free."""
        self._paths: dict[int, Path] = {}
        self._reserve = reserve
        self._owed: dict[int, int] = {}  # bytes promised to uploads and not written yet
        self._mutex = threading.Lock()
        for shelf in shelves:
            self.add(shelf)

    def add(self, shelf: Shelf) -> None:
        """Have one more."""
        with os_errors("open shelf", str(shelf.path)):
            for room in _ROOMS:
                disk.make_directory(shelf.path / room, 0o700)
        with self._mutex:
            self._paths[shelf.id] = shelf.path
            self._owed.setdefault(shelf.id, 0)

    def choose(self, shelves: Iterable[Shelf], size: int) -> int:
        """The shelf for a share of this size: that which has the most room, by what it may keep and by its disk.
        DISK_FULL if none has enough."""
        rooms = [(min(shelf.most - shelf.used, self._free(shelf.id)), shelf.id) for shelf in shelves]
        room, chosen = max(rooms, default=(0, 0))
        if room < size:
            raise HoldError("store share", Kind.DISK_FULL, "server", f"it has room for {max(room, 0)} bytes")
        return chosen

    def _free(self, shelf: int) -> int:
        try:
            found = os.statvfs(self._paths[shelf])
        except (OSError, KeyError):  # a disk that is gone takes nothing
            return 0
        return found.f_bavail * found.f_frsize - self._reserve - self._owed[shelf]

    def owe(self, shelf: int, size: int) -> None:
        """So many bytes more, or fewer, are going to be written there."""
        with self._mutex:
            self._owed[shelf] += size

    def create(self, shelf: int, file: bytes, size: int) -> int:
        """Make a file that is going to have this size; its descriptor."""
        with os_errors("store share", "shelf"):
            fd = os.open(self._path(shelf, file), _NEW, 0o600)
            with contextlib.suppress(OSError):  # the room is there, or the write will say so
                disk.set_aside(fd, 0, size)
            return fd

    def open(self, shelf: int, file: bytes, *, write: bool = False) -> int:
        """Open a file that is there; NOT_FOUND, FAILED for a disk that does not give it."""
        with os_errors("read share", "shelf"):
            flags = (os.O_RDWR if write else os.O_RDONLY) | os.O_NOFOLLOW | os.O_CLOEXEC
            return os.open(self._path(shelf, file), flags)

    def settle(self, shelf: int, file: bytes, fd: int) -> None:
        """Have a file, and its name, on the disk."""
        with os_errors("store share", "shelf"):
            os.fsync(fd)
            disk.sync_directory(str(self._path(shelf, file).parent))

    def remove(self, gone: Iterable[Gone]) -> list[Gone]:
        """Remove files; those that are there no more, also if they were not before."""
        done = []
        for one in gone:
            try:
                self._path(one.shelf, one.file).unlink(missing_ok=True)
            except (OSError, HoldError):  # tried again with the next sweep
                continue
            done.append(one)
        return done

    def _path(self, shelf: int, file: bytes) -> Path:
        try:
            return self._paths[shelf] / file[:1].hex() / file.hex()
        except KeyError:
            raise HoldError("open", Kind.FAILED, "shelf", "a shelf that this server does not have now") from None
