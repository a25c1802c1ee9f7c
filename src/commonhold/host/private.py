"""Files that nobody but their owner may read: a directory of them, and whole, durable changes to it.

Refuses what others can read or could have planted. Knows modes and owners, not what is in a file.
"""

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from commonhold.errors import HoldError, Kind, os_errors
from commonhold.host import disk

MAX_FILE = 4096  # bytes: a secret is small

_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK  # a pipe that was planted must not hang us
_MAKE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


class PrivateDirectory:
    """A directory of mode 0700 and its files of mode 0600, all of one owner. Errors are about `op`."""

    def __init__(self, op: str, path: Path, owner: int) -> None:
        self.path = path
        self._op = op
        self._owner = owner

    def names(self) -> list[str]:
        """The names of everything in it, sorted; none where it is not there yet."""
        if not os.path.lexists(self.path):
            return []
        with self._opened() as directory, os_errors(self._op, str(self.path)):
            return sorted(os.listdir(directory))

    def read(self, name: str) -> bytes:
        """A file's bytes. NOT_FOUND; DENIED for what is not private; TOO_LARGE over MAX_FILE."""
        path = self.path / name
        with self._opened() as directory, os_errors(self._op, str(path)):
            with self._no_links(path):
                fd = os.open(name, _READ | os.O_NOFOLLOW, dir_fd=directory)
            return _read(self._op, fd, path, self._owner)

    def place(self, name: str, data: bytes) -> None:
        """Put a new file there, whole and on disk on return. EXISTS if the name is taken."""
        with os_errors(self._op, str(self.path)):
            with suppress(FileExistsError):
                os.mkdir(self.path, 0o700)
            disk.sync_directory(str(self.path.parent))  # whoever made it may not have come so far
        with self._opened() as directory, os_errors(self._op, str(self.path / name)):
            _place(directory, name, data)

    def rename(self, old: str, new: str) -> None:
        """Give a file another name. EXISTS if it is taken. After a crash it has one of them, or both."""
        with self._opened() as directory, os_errors(self._op, str(self.path / new)):
            os.link(old, new, src_dir_fd=directory, dst_dir_fd=directory, follow_symlinks=False)
            os.unlink(old, dir_fd=directory)
            os.fsync(directory)

    def remove(self, name: str) -> None:
        """Take a file away; gone from the disk's directory on return."""
        with self._opened() as directory, os_errors(self._op, str(self.path / name)):
            os.unlink(name, dir_fd=directory)
            os.fsync(directory)

    @contextmanager
    def _opened(self) -> Iterator[int]:
        with os_errors(self._op, str(self.path)), self._no_links(self.path):
            directory = os.open(self.path, _READ | os.O_NOFOLLOW)
        try:
            refuse_shared(self._op, os.fstat(directory), self.path, self._owner, stat.S_IFDIR)
            yield directory
        finally:
            os.close(directory)

    @contextmanager
    def _no_links(self, path: Path) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno != errno.ELOOP:
                raise
            why = "a symbolic link: what it leads to may be another's"
            raise HoldError(self._op, Kind.DENIED, str(path), why, hint=f"rm {path}") from error


def read(op: str, path: Path, owner: int) -> bytes:
    """A file's bytes, wherever it is and whatever links lead there. Errors as in `PrivateDirectory.read`."""
    with os_errors(op, str(path)):
        return _read(op, os.open(path, _READ), path, owner)


def place(op: str, path: Path, data: bytes) -> None:
    """Put a new file of mode 0600 anywhere, whole and on disk on return. EXISTS if the name is taken."""
    with os_errors(op, str(path)):
        directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            _place(directory, path.name, data)
        finally:
            os.close(directory)


def _read(op: str, fd: int, path: Path, owner: int) -> bytes:
    """The bytes of an open file, which is closed."""
    try:
        refuse_shared(op, os.fstat(fd), path, owner, stat.S_IFREG)
        data = disk.read_at(fd, MAX_FILE + 1, 0)
    finally:
        os.close(fd)
    if len(data) > MAX_FILE:
        raise HoldError(op, Kind.TOO_LARGE, str(path), f"over {MAX_FILE} bytes")
    return data


def refuse_shared(op: str, status: os.stat_result, path: Path, owner: int, kind: int) -> None:
    """DENIED, with the remedy, for what is not of this kind, not its owner's, or not that one's alone."""
    if stat.S_IFMT(status.st_mode) != kind:
        what = "file" if kind == stat.S_IFREG else "directory"
        raise HoldError(op, Kind.DENIED, str(path), f"not a {what}", hint=f"ls -ld {path}")
    if status.st_uid != owner:
        why = f"owned by uid {status.st_uid}, not by {owner}"
        raise HoldError(op, Kind.DENIED, str(path), why, hint=f"chown {owner} {path}")
    if status.st_mode & 0o077:
        mode = "600" if kind == stat.S_IFREG else "700"
        why = f"mode {stat.S_IMODE(status.st_mode):04o}: others than you can get at it"
        raise HoldError(op, Kind.DENIED, str(path), why, hint=f"chmod {mode} {path}")


def _place(directory: int, name: str, data: bytes) -> None:
    temporary = f".{secrets.token_hex(8)}.new"
    fd = os.open(temporary, _MAKE, 0o600, dir_fd=directory)
    try:
        disk.write_all(fd, [memoryview(data)], 0)
        os.fsync(fd)
        os.link(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
    finally:
        os.close(fd)
        os.unlink(temporary, dir_fd=directory)
    os.fsync(directory)
