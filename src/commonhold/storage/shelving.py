"""Shelves: the directories where shares lie as files. Which takes the next one, and that the disk keeps some room.

Knows files and how large they become, not whose they are. A file's name is random: nothing is to be read from it.
A shelf has rooms, directories that are made while nothing is promised on it. One without them is a disk that is not
there now: it takes nothing, and what is on it is neither there nor missing.
"""

import contextlib
import os
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from commonhold.errors import HoldError, Kind, os_errors
from commonhold.host import disk
from commonhold.storage.ledger import Gone, Shelf

NAME: Final = 16  # bytes of a file's name
_FLAGS = os.O_NOFOLLOW | os.O_CLOEXEC
_ROOMS = [f"{number:02x}" for number in range(256)]


class Shelves:
    """See the module. Safe from many threads."""

    def __init__(self, shelves: Iterable[Shelf], reserve: int) -> None:
        """`reserve` is how many bytes of each disk stay free."""
        self.changing = threading.Lock()  # while a shelf comes or goes: one that goes takes its rooms with it
        self._reserve = reserve
        self._paths: dict[int, Path] = {}
        for shelf in shelves:
            if not shelf.used:
                prepare(shelf.path)
            self._paths[shelf.id] = shelf.path

    def add(self, shelf: Shelf) -> None:
        """Have one more, whose rooms are there."""
        self._paths[shelf.id] = shelf.path

    def forget(self, shelf: Shelf) -> None:
        """Have one less, which is empty: its rooms go, too."""
        self._paths.pop(shelf.id, None)
        for room in _ROOMS:
            with contextlib.suppress(OSError):  # something else is in it: that is not ours to remove
                (shelf.path / room).rmdir()

    def choose(self, shelves: Iterable[Shelf], size: int, owed: Mapping[int, int]) -> int:
        """The shelf for a share of this size: that which has the most room, by what it may keep and by its disk, where
        so many bytes are owed to uploads. None that is being emptied. DISK_FULL if none has enough."""
        rooms = [
            (min(shelf.most - shelf.used, self._free(shelf.id) - owed.get(shelf.id, 0)), shelf.id)
            for shelf in shelves
            if shelf.leaving is None
        ]
        room, chosen = max(rooms, default=(0, 0))
        if room < size:
            raise HoldError("store share", Kind.DISK_FULL, "server", f"it has room for {max(room, 0)} bytes")
        return chosen

    def room_without(self, shelf: Shelf, shelves: Iterable[Shelf], owed: Mapping[int, int]) -> int:
        """How many bytes the others have room for, if one were emptied onto them. Those of one disk share its room; on
        its own disk an emptied one gives back what it takes."""
        disks: dict[int, list[int]] = {}
        for one in shelves:
            device = self._device(one.id)
            if one.id != shelf.id and one.leaving is None and device is not None:
                free, may, owes = disks.setdefault(device, [self._free(one.id), 0, 0])
                disks[device] = [free, may + max(0, one.most - one.used), owes + owed.get(one.id, 0)]
        own = self._device(shelf.id)
        return sum(
            max(0, min(may, free - owes + (shelf.used if device == own else 0)))
            for device, (free, may, owes) in disks.items()
        )

    def _device(self, shelf: int) -> int | None:
        """The disk that a shelf is on, if that is there now."""
        try:
            return (self._paths[shelf] / _ROOMS[0]).stat().st_dev
        except (OSError, KeyError):
            return None

    def _free(self, shelf: int) -> int:
        try:
            found = os.statvfs(self._paths[shelf] / _ROOMS[0])
        except (OSError, KeyError):  # a disk that is gone takes nothing
            return 0
        return found.f_bavail * found.f_frsize - self._reserve

    def write(self, shelf: int, file: bytes, size: int) -> int:
        """Open a file of this size, with room for what is not written yet; its descriptor. It may be there already."""
        with os_errors("store share", "shelf"):
            fd = os.open(self._path(shelf, file), os.O_RDWR | os.O_CREAT | _FLAGS, 0o600)
            try:
                os.ftruncate(fd, size)
                disk.reserve(fd, 0, size)
            except BaseException:
                os.close(fd)
                raise
            return fd

    def open(self, shelf: int, file: bytes) -> int:
        """Open a file for reading; NOT_FOUND, FAILED for a disk that does not give it."""
        path = self._path(shelf, file)
        with os_errors("read share", "shelf"):
            try:
                return os.open(path, os.O_RDONLY | _FLAGS)
            except FileNotFoundError:
                if path.parent.is_dir():
                    raise
        raise HoldError("read share", Kind.FAILED, "shelf", "its disk is not there now")

    def settle(self, shelf: int, file: bytes, fd: int) -> None:
        """Have a file, and its name, on the disk."""
        with os_errors("store share", "shelf"):
            os.fsync(fd)
            disk.sync_directory(str(self._path(shelf, file).parent))

    def unlink(self, gone: Iterable[Gone]) -> None:
        """Remove files as far as that goes, for the room they take: `remove` makes sure of it."""
        for one in gone:
            with contextlib.suppress(OSError, HoldError):
                self._path(one.shelf, one.file).unlink(missing_ok=True)

    def remove(self, gone: Iterable[Gone]) -> list[Gone]:
        """Remove files, also if they were not there; those that do not come back when the power goes."""
        rooms: dict[Path, list[Gone]] = {}
        for one in gone:
            with contextlib.suppress(OSError, HoldError):  # tried again with the next sweep
                path = self._path(one.shelf, one.file)
                path.unlink(missing_ok=True)
                rooms.setdefault(path.parent, []).append(one)
        done = []
        for room, removed in rooms.items():
            with contextlib.suppress(OSError):  # a room that is not there, too: its disk may come back
                disk.sync_directory(str(room))
                done += removed
        return done

    def _path(self, shelf: int, file: bytes) -> Path:
        try:
            return self._paths[shelf] / file[:1].hex() / file.hex()
        except KeyError:
            raise HoldError("open", Kind.FAILED, "shelf", "a shelf that this server does not have now") from None


def prepare(path: Path) -> None:
    """Make a shelf's rooms. Only as long as nothing was promised on it: else its disk is not the one that is there."""
    with os_errors("open shelf", str(path)):
        disk.make_directory(path, 0o700)
        for room in _ROOMS:
            (path / room).mkdir(0o700, exist_ok=True)
        disk.sync_directory(str(path))
