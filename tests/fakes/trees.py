"""A tree in memory: what a mount's tests need of `trees.Tree`, without a node. Nothing is on disk, ever."""

import errno
import os
import stat
from dataclasses import dataclass, field

from commonhold.trees import NOW, ROOT, Attr, Change, Item, Room, Who


@dataclass
class _Object:
    mode: int
    who: Who
    device: int = 0
    target: bytes = b""
    links: int = 1
    parent: int = ROOT
    data: bytearray = field(default_factory=bytearray)
    entries: dict[bytes, int] = field(default_factory=dict)
    xattrs: dict[bytes, bytes] = field(default_factory=dict)
    times: list[int] = field(default_factory=lambda: [1, 1, 1, 1])


def _error(number: int) -> OSError:
    return OSError(number, os.strerror(number))


class MemoryTree:
    """See `trees.Tree`. Times are a count of changes."""

    slow: frozenset[str] = frozenset({"sync"})

    def __init__(self, owner: Who) -> None:
        self._objects = {ROOT: _Object(stat.S_IFDIR | 0o755, owner, links=2)}
        self._next = ROOT
        self._now = 1
        self.synced = 0

    def _of(self, number: int) -> _Object:
        if number not in self._objects:
            raise _error(errno.ENOENT)
        return self._objects[number]

    def _directory(self, number: int) -> _Object:
        found = self._of(number)
        if not stat.S_ISDIR(found.mode):
            raise _error(errno.ENOTDIR)
        return found

    def _named(self, parent: int, name: bytes) -> int:
        entries = self._directory(parent).entries
        if name not in entries:
            raise _error(errno.ENOENT)
        return entries[name]

    def lookup(self, parent: int, name: bytes) -> Attr:
        return self.attr(self._named(parent, name))

    def attr(self, number: int) -> Attr:
        one = self._of(number)
        size = len(one.target) if stat.S_ISLNK(one.mode) else len(one.data)
        times = one.times
        return Attr(
            number,
            one.mode,
            one.links,
            *one.who[:2],
            size,
            (size + 511) // 512,
            times[0],
            times[1],
            times[2],
            times[3],
            one.device,
        )

    def make(self, parent: int, name: bytes, mode: int, device: int, target: bytes, who: Who, exclusive: bool) -> Attr:
        above = self._directory(parent)
        if name in above.entries:
            raise _error(errno.EEXIST if exclusive else errno.ESTALE)
        self._next += 1
        made = _Object(mode, who, device, target, 2 if stat.S_ISDIR(mode) else 1, parent)
        self._objects[self._next] = made
        if name:
            above.entries[name] = self._next
        else:
            made.links = 0
        above.links += stat.S_ISDIR(mode)
        return self.attr(self._next)

    def link(self, number: int, parent: int, name: bytes) -> Attr:
        if name in self._directory(parent).entries:
            raise _error(errno.EEXIST)
        self._of(number).links += 1
        self._directory(parent).entries[name] = number
        return self.attr(number)

    def unlink(self, parent: int, name: bytes) -> None:
        self._of(self._named(parent, name)).links -= 1
        del self._directory(parent).entries[name]

    def rmdir(self, parent: int, name: bytes) -> None:
        gone = self._directory(self._named(parent, name))
        if gone.entries:
            raise _error(errno.ENOTEMPTY)
        gone.links = 0
        above = self._directory(parent)
        above.links -= 1
        del above.entries[name]

    def rename(self, parent: int, name: bytes, new_parent: int, new_name: bytes, flags: int) -> None:
        number = self._named(parent, name)
        old = self._directory(new_parent).entries.get(new_name)
        if old is not None:
            self._of(old).links -= 1
        del self._directory(parent).entries[name]
        self._directory(new_parent).entries[new_name] = number

    def listing(self, number: int, position: int, most: int, attributes: bool) -> list[Item]:
        found = list(self._directory(number).entries.items())[position : position + most]
        return [
            Item(name, at, one, self._of(one).mode, self.attr(one) if attributes else None)
            for at, (name, one) in enumerate(found, position + 1)
        ]

    def parent(self, number: int) -> int:
        return self._directory(number).parent

    def forget(self, numbers: list[int]) -> None:
        for number in numbers:
            if number in self._objects and self._objects[number].links == 0:
                del self._objects[number]

    def change(self, number: int, change: Change) -> Attr:
        one = self._of(number)
        self._now += 1
        if change.mode is not None:
            one.mode = stat.S_IFMT(one.mode) | change.mode
        one.who = Who(change.owner or one.who.owner, change.group or one.who.group)
        if change.size is not None:
            del one.data[change.size :]
            one.data += bytes(change.size - len(one.data))
        for at, to in enumerate((change.accessed, change.modified, change.changed)):
            if to is not None:
                one.times[at] = self._now if to == NOW else to
        return self.attr(number)

    def target(self, number: int) -> bytes:
        return self._of(number).target

    def xattr(self, number: int, name: bytes) -> bytes:
        if name not in self._of(number).xattrs:
            raise _error(errno.ENODATA)
        return self._of(number).xattrs[name]

    def xattrs(self, number: int) -> list[bytes]:
        return list(self._of(number).xattrs)

    def set_xattr(self, number: int, name: bytes, value: bytes, flags: int) -> None:
        self._of(number).xattrs[name] = value

    def remove_xattr(self, number: int, name: bytes) -> None:
        self.xattr(number, name)
        del self._of(number).xattrs[name]

    def open(self, number: int, truncate: bool, kill: bool) -> None:
        if truncate:
            self._of(number).data.clear()

    def cached(self, number: int, offset: int, size: int) -> bytes | None:
        return self.read(number, offset, size)

    def read(self, number: int, offset: int, size: int) -> bytes:
        return bytes(self._of(number).data[offset : offset + size])

    def write(self, number: int, offset: int, data: memoryview, kill: bool, late: bool) -> int:
        content = self._of(number).data
        content += bytes(max(0, offset - len(content)))
        content[offset : offset + len(data)] = data
        return len(data)

    def allocate(self, number: int, offset: int, length: int, mode: int) -> None:
        raise _error(errno.EOPNOTSUPP)

    def seek(self, number: int, offset: int, whence: int) -> int:
        size = len(self._of(number).data)
        if offset >= size:
            raise _error(errno.ENXIO)
        return offset if whence == os.SEEK_DATA else size

    def copy(self, source: int, start: int, number: int, offset: int, length: int) -> int:
        return self.write(number, offset, memoryview(self.read(source, start, length)), False, False)

    def sync(self, number: int) -> None:
        self.synced += 1

    def room(self) -> Room:
        return Room(1 << 40, 1 << 39, 1000, 999)
