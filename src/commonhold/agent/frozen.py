"""What all trees have in common in which nothing can be changed. docs/spec/mount.md, "The public tree"."""

import errno
import os
import stat
from typing import NoReturn

from commonhold.agent.numbers import Numbers, Object
from commonhold.trees import ROOT, SEEK_HOLE, Attr, Change, Room, Who

DIRECTORY = stat.S_IFDIR | 0o555


def refuse(number: int) -> NoReturn:
    """Fail with an errno."""
    raise OSError(number, os.strerror(number))


class Frozen:
    """The part of a `trees.Tree` that needs no more than numbers. Its root has nothing that can be listed."""

    def __init__(self, numbers: Numbers) -> None:
        self._numbers = numbers

    # ── what is ──

    def _object(self, number: int) -> Object:
        return self._numbers.object(number)

    def _sized(self, number: int) -> Object:
        """The same, with its size."""
        return self._object(number)

    def attr(self, number: int) -> Attr:
        """See `trees.Tree`."""
        if number == ROOT:
            return Attr(ROOT, DIRECTORY, 2, "", "", 0, 0, 0, 0, 0, 0, 0)
        return attr_of(number, self._sized(number))

    def target(self, number: int) -> bytes:
        """See `trees.Tree`."""
        if number == ROOT or not stat.S_ISLNK((one := self._object(number)).mode):
            refuse(errno.EINVAL)
        return one.target

    def parent(self, number: int) -> int:
        """See `trees.Tree`."""
        if number == ROOT:
            return ROOT
        one = self._object(number)
        if not stat.S_ISDIR(one.mode):
            refuse(errno.ENOTDIR)
        return one.place

    def forget(self, numbers: list[int]) -> None:
        """See `trees.Tree`."""
        self._numbers.forget([number for number in numbers if number != ROOT])

    def file(self, number: int) -> Object:
        """A file. EISDIR, EINVAL."""
        if number == ROOT:
            refuse(errno.EISDIR)
        one = self._object(number)
        if not stat.S_ISREG(one.mode):
            refuse(errno.EISDIR if stat.S_ISDIR(one.mode) else errno.EINVAL)
        return one

    def open(self, number: int, truncate: bool, kill: bool) -> None:
        """See `trees.Tree`."""
        self.file(number)
        if truncate:
            refuse(errno.EROFS)

    def seek(self, number: int, offset: int, whence: int) -> int:
        """See `trees.Tree`. There are no holes but the one at the end."""
        self.file(number)
        size = self.attr(number).size
        if offset >= size:
            refuse(errno.ENXIO)
        return size if whence == SEEK_HOLE else offset

    def xattr(self, number: int, name: bytes) -> bytes:
        """See `trees.Tree`. There are none."""
        refuse(errno.ENODATA)

    def xattrs(self, number: int) -> list[bytes]:
        """See `trees.Tree`. There are none."""
        return []

    def sync(self, number: int) -> None:
        """See `trees.Tree`. There is nothing to be done."""

    def room(self) -> Room:
        """See `trees.Tree`. Nobody can say how much there is."""
        return Room(0, 0, 0, 0)

    # ── what cannot be ──

    def make(self, parent: int, name: bytes, mode: int, device: int, target: bytes, who: Who, exclusive: bool) -> Attr:
        """EROFS."""
        refuse(errno.EROFS)

    def link(self, number: int, parent: int, name: bytes) -> Attr:
        """EROFS."""
        refuse(errno.EROFS)

    def unlink(self, parent: int, name: bytes) -> None:
        """EROFS."""
        refuse(errno.EROFS)

    def rmdir(self, parent: int, name: bytes) -> None:
        """EROFS."""
        refuse(errno.EROFS)

    def rename(self, parent: int, name: bytes, new_parent: int, new_name: bytes, flags: int) -> None:
        """EROFS."""
        refuse(errno.EROFS)

    def change(self, number: int, change: Change) -> Attr:
        """EROFS."""
        refuse(errno.EROFS)

    def set_xattr(self, number: int, name: bytes, value: bytes, flags: int) -> None:
        """EROFS."""
        refuse(errno.EROFS)

    def remove_xattr(self, number: int, name: bytes) -> None:
        """EROFS."""
        refuse(errno.EROFS)

    def write(self, number: int, offset: int, data: memoryview, kill: bool, late: bool) -> int:
        """EROFS."""
        refuse(errno.EROFS)

    def allocate(self, number: int, offset: int, length: int, mode: int) -> None:
        """EROFS."""
        refuse(errno.EROFS)

    def copy(self, source: int, start: int, number: int, offset: int, length: int) -> int:
        """EROFS."""
        refuse(errno.EROFS)


def attr_of(number: int, one: Object) -> Attr:
    """Return what stat(2) says of an object whose size is known: it is root's, whoever looks."""
    size = one.size or 0
    links = 2 if stat.S_ISDIR(one.mode) else 1
    return Attr(number, one.mode, links, "", "", size, -(-size // 512), *4 * (one.mtime,), 0)
