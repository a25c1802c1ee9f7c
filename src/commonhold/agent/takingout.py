"""Taking out: a part of the caller's own tree into the file system, never outside the target, never over anything.

Modes (without set-ID bits), times, symbolic links, hard links and holes are kept; owners are the caller's.
"""

import os
import stat

from commonhold.agent.places import about
from commonhold.calls import Watcher
from commonhold.errors import HoldError, Kind, from_os, os_errors
from commonhold.host import disk
from commonhold.host.names import shown
from commonhold.host.placing import NEW_FILE, Place, placed
from commonhold.trees import SEEK_DATA, SEEK_HOLE, Attr, Item
from commonhold.volume.volume import Volume

_READ = 1 << 20
_MAX_DEPTH = 2048  # what a path of the file system can hold at all
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class _Open:
    """A directory that is being made."""

    __slots__ = ("attr", "fd", "items", "path", "position")

    def __init__(self, fd: int, path: str, attr: Attr) -> None:
        self.fd = fd
        self.path = path
        self.attr = attr
        self.items: list[Item] = []  # to be made next, the last first
        self.position = 0


class Taker:
    """Writes objects of one volume out."""

    def __init__(self, volume: Volume, watcher: Watcher) -> None:
        self._volume = volume
        self._watcher = watcher
        self._known: dict[int, tuple[int, str]] = {}  # files with several names: where the first was made
        self._kept: list[int] = []  # directories that may be linked from
        self.files = 0

    def take(self, attr: Attr, target: str) -> None:
        """Make an object, and all that is below it, at a path where there is nothing yet."""
        try:
            with placed("get", target) as place:
                self._tree(attr, place, target)
        finally:
            for fd in self._kept:
                os.close(fd)

    def _tree(self, attr: Attr, place: Place, target: str) -> None:
        stack: list[_Open] = []
        try:
            self._make(attr, place.directory, place.partial, target, stack)
            while stack:
                here = stack[-1]
                item = self._next(here)
                if item is None:
                    with os_errors("get", shown(here.path)):
                        _finish(here.fd, here.attr)
                    os.close(stack.pop().fd)
                    continue
                if len(stack) >= _MAX_DEPTH:
                    why = f"nested deeper than {_MAX_DEPTH} directories"
                    raise HoldError("get", Kind.TOO_LARGE, shown(here.path)[:200], why, hint="get a part of it")
                name = os.fsdecode(item.name)
                assert item.attr is not None
                self._make(item.attr, here.fd, name, f"{here.path}/{name}", stack)
        finally:
            for left in stack:
                os.close(left.fd)

    def _next(self, here: _Open) -> Item | None:
        if not here.items:
            with about("get", here.path):
                here.items = self._volume.listing(here.attr.number, here.position, 256, True)[::-1]
            if not here.items:
                return None
            here.position = here.items[0].position
        return here.items.pop()

    def _make(self, attr: Attr, parent: int, name: str, path: str, stack: list[_Open]) -> None:
        kind = stat.S_IFMT(attr.mode)
        try:
            if kind == stat.S_IFDIR:
                os.mkdir(name, 0o700, dir_fd=parent)
                stack.append(_Open(os.open(name, _DIRECTORY, dir_fd=parent), path, attr))
            elif kind == stat.S_IFLNK:
                os.symlink(self._volume.target(attr.number), os.fsencode(name), dir_fd=parent)
                times = (attr.accessed, attr.modified)
                os.utime(name, ns=times, dir_fd=parent, follow_symlinks=False)
            elif kind == stat.S_IFREG:
                self._file(attr, parent, name)
            else:
                self._watcher.skipped(shown(path), "neither a file, directory nor link")
                return
        except OSError as error:
            raise from_os("get", shown(path), error) from error
        self.files += 1

    def _file(self, attr: Attr, parent: int, name: str) -> None:
        known = self._known.get(attr.number)
        if known is not None:
            os.link(known[1], name, src_dir_fd=known[0], dst_dir_fd=parent)
            return
        fd = os.open(name, NEW_FILE, 0o600, dir_fd=parent)
        try:
            self._content(attr, fd)
            _finish(fd, attr)
        finally:
            os.close(fd)
        if attr.links > 1:
            self._known[attr.number] = (self._remembered(parent), name)

    def _remembered(self, parent: int) -> int:
        """A directory that stays open for links from it."""
        if not self._kept or not os.path.samestat(os.fstat(self._kept[-1]), os.fstat(parent)):
            self._kept.append(os.dup(parent))
        return self._kept[-1]

    def _content(self, attr: Attr, fd: int) -> None:
        volume, at = self._volume, 0
        while at < attr.size:
            try:
                start = volume.seek(attr.number, at, SEEK_DATA)
            except OSError:  # a hole to the end
                break
            stop = min(volume.seek(attr.number, start, SEEK_HOLE), attr.size)
            for at in range(start, stop, _READ):
                data = volume.read(attr.number, at, min(_READ, stop - at))
                disk.write_all(fd, [memoryview(data)], at)
                self._watcher.bytes(len(data))
            at = stop
        os.ftruncate(fd, attr.size)


def _finish(fd: int, attr: Attr) -> None:
    os.fchmod(fd, stat.S_IMODE(attr.mode) & 0o1777)
    os.utime(fd, ns=(attr.accessed, attr.modified))
