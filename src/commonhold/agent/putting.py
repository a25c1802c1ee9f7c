"""Putting: files and directories of the file system into the caller's own tree, as `cp -a` would but for owners.

Each file takes the place of the one before in one step. What two names lead to is one file in the tree, too.
Directories that are there already stay, and take in what comes.
"""

import errno
import os
import stat
from typing import BinaryIO

from commonhold.agent.changing import Changes
from commonhold.agent.places import about
from commonhold.calls import Watcher
from commonhold.errors import HoldError, Kind, os_errors
from commonhold.host.names import shown
from commonhold.trees import MAX_XATTR, Attr, Change

_FILE = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW
_DIRECTORY = _FILE | os.O_DIRECTORY
_READ = 1 << 20
_USER = "user."


class _Open:
    """A directory that is being put, and what is left of it."""

    __slots__ = ("fd", "left", "number", "path", "status")

    def __init__(self, fd: int, path: str, number: int) -> None:
        self.fd = fd
        self.path = path
        self.number = number
        self.status = os.fstat(fd)
        self.left = sorted(os.listdir(fd), key=os.fsencode, reverse=True)


class Putter:
    """Puts what paths name into one tree. `own` is the directory of the caller's own things, which is left out."""

    def __init__(self, changes: Changes, watcher: Watcher, own: os.stat_result) -> None:
        self._changes = changes
        self._watcher = watcher
        self._own = own
        self._known: dict[tuple[int, int], int] = {}  # files with several names: device and inode to number
        self.files = 0

    def put(self, path: str, parent: int, name: bytes) -> None:
        """Put what a path names under a name; a symbolic link given by its own name is followed."""
        with os_errors("put", shown(path)):
            status = os.stat(path)
            if stat.S_ISDIR(status.st_mode):
                fd = os.open(path, _DIRECTORY & ~os.O_NOFOLLOW)
            elif stat.S_ISREG(status.st_mode):
                fd = os.open(path, _FILE & ~os.O_NOFOLLOW)
            else:
                self._special(path, status, parent, name)
                return
        if stat.S_ISREG(status.st_mode):
            with about("put", path):
                self._file(fd, path, parent, name)
        else:
            self._tree(fd, path, parent, name)

    def put_stream(self, source: BinaryIO, parent: int, name: bytes, mode: int) -> None:
        """Put what a stream gives, to its end."""
        with about("put", os.fsdecode(name)), self._changes.unnamed(parent, stat.S_IFREG | mode) as made:
            at = 0
            while data := source.read(_READ):
                self._write(made.number, at, data)
                at += len(data)
            self._changes.place(made.number, parent, name)
        self.files += 1

    # ── directories ──

    def _tree(self, fd: int, path: str, parent: int, name: bytes) -> None:
        stack: list[_Open] = []
        try:
            stack.append(self._enter(fd, path, parent, name))
            while stack:
                here = stack[-1]
                if here.left:
                    self._step(here, here.left.pop(), stack)
                else:
                    with about("put", here.path):
                        self._attributes(here.fd, here.status, here.number)
                    os.close(stack.pop().fd)
        finally:
            for left in stack:
                os.close(left.fd)

    def _enter(self, fd: int, path: str, parent: int, name: bytes) -> _Open:
        try:
            with about("put", path):
                return _Open(fd, path, self._directory(parent, name).number)
        except BaseException:
            os.close(fd)
            raise

    def _directory(self, parent: int, name: bytes) -> Attr:
        """The directory of that name, made if it is not there."""
        self.files += 1
        try:
            return self._changes.make(parent, name, stat.S_IFDIR | 0o700)
        except FileExistsError:
            found = self._changes.volume.lookup(parent, name)
            if not stat.S_ISDIR(found.mode):
                raise OSError(errno.ENOTDIR, "what has its name in the tree is no directory") from None
            return found

    def _step(self, here: _Open, name: str, stack: list[_Open]) -> None:
        path = f"{here.path}/{name}"
        with os_errors("put", shown(path)):
            status = os.stat(name, dir_fd=here.fd, follow_symlinks=False)
            kind = stat.S_IFMT(status.st_mode)
            fd = -1
            if kind in (stat.S_IFREG, stat.S_IFDIR):
                fd = os.open(name, _FILE if kind == stat.S_IFREG else _DIRECTORY, dir_fd=here.fd)
        encoded = os.fsencode(name)
        if kind == stat.S_IFDIR:
            if os.path.samestat(os.fstat(fd), self._own):
                os.close(fd)
                self._watcher.skipped(shown(path), "the repository itself")
            else:
                stack.append(self._enter(fd, path, here.number, encoded))
        elif kind == stat.S_IFREG:
            with about("put", path):
                self._file(fd, path, here.number, encoded)
        elif kind == stat.S_IFLNK:
            with about("put", path):
                self._link(os.readlink(name, dir_fd=here.fd), status, here.number, encoded)
        else:
            self._special(path, status, here.number, encoded)

    # ── what is in them ──

    def _file(self, fd: int, path: str, parent: int, name: bytes) -> None:
        try:
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode):
                raise HoldError("put", Kind.CHANGED, shown(path), "something else came in its place")
            key = (status.st_dev, status.st_ino)
            known = self._known.get(key)
            if known is not None:
                self._changes.place(known, parent, name)
            else:
                with self._changes.unnamed(parent, stat.S_IFREG | 0o600) as made:
                    os.set_blocking(fd, True)
                    self._content(fd, status.st_size, made.number)
                    self._attributes(fd, status, made.number)
                    self._changes.place(made.number, parent, name)
                    if status.st_nlink > 1:
                        self._known[key] = made.number
        finally:
            os.close(fd)
        self.files += 1

    def _content(self, fd: int, size: int, number: int) -> None:
        """Copy what is no hole. A size of 0 is not believed: the kernel's own files have it whatever is in them."""
        at = 0
        while True:
            try:
                start = os.lseek(fd, at, os.SEEK_DATA)
                stop = os.lseek(fd, start, os.SEEK_HOLE)
            except OSError as error:
                if error.errno == errno.ENXIO and (size or at):
                    break
                start, stop = at, 1 << 62  # there are no holes to be known, or nobody says how long it is
            at = start
            while at < stop and (data := os.pread(fd, min(_READ - at % _READ, stop - at), at)):
                self._write(number, at, data)
                at += len(data)
            if at < stop:
                break
        end = os.fstat(fd).st_size
        if end > at:
            self._changes.volume.change(number, Change(size=end))

    def _write(self, number: int, at: int, data: bytes) -> None:
        view = memoryview(data)
        while view:
            done = self._changes.volume.write(number, at, view, False, False)
            at, view = at + done, view[done:]
        self._watcher.bytes(len(data))

    def _attributes(self, fd: int, status: os.stat_result, number: int) -> None:
        volume = self._changes.volume
        try:
            names = [name for name in os.listxattr(fd) if name.startswith(_USER)]
        except OSError:  # a file system that has none
            names = []
        for name in names:
            volume.set_xattr(number, os.fsencode(name), os.getxattr(fd, name)[:MAX_XATTR], 0)
        times = Change(mode=stat.S_IMODE(status.st_mode), accessed=status.st_atime_ns, modified=status.st_mtime_ns)
        self._changes.change(number, times)

    def _link(self, target: str, status: os.stat_result, parent: int, name: bytes) -> None:
        made = self._changes.make_over(parent, name, stat.S_IFLNK | 0o777, os.fsencode(target))
        self._changes.change(made.number, Change(accessed=status.st_atime_ns, modified=status.st_mtime_ns))
        self.files += 1

    def _special(self, path: str, status: os.stat_result, parent: int, name: bytes) -> None:
        kind = stat.S_IFMT(status.st_mode)
        if kind not in (stat.S_IFIFO, stat.S_IFSOCK):
            self._watcher.skipped(shown(path), "a device")
            return
        with about("put", path):
            made = self._changes.make_over(parent, name, kind | 0o600)
            mode = stat.S_IMODE(status.st_mode)
            self._changes.change(made.number, Change(mode=mode, modified=status.st_mtime_ns))
        self._watcher.remark(f"note: {shown(path)} is a pipe or socket: its name is kept, and nothing that is in it")
        self.files += 1
