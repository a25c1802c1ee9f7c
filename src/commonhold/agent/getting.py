"""Getting: a file or a tree out of the store into the file system, never outside the target.

What is made appears under its name only when it is whole. Links are made as they were added and never followed.
"""

import os
from collections.abc import Iterator
from itertools import islice
from typing import Protocol

from commonhold.agent.blocks import Blocks, malformed
from commonhold.agent.streaming import Piece, Reader
from commonhold.errors import HoldError, Kind, from_os, os_errors
from commonhold.formats.cid import Cid
from commonhold.formats.unixfs import Mtime, Type
from commonhold.host import disk
from commonhold.host.disk import PAGE
from commonhold.host.names import shown
from commonhold.host.placing import NEW_FILE, Place, placed
from commonhold.unixfs import read, run

_EXPECTED = 256  # entries of a directory whose blocks are asked for at once, while those before them are written
_DIRECT_FROM = 64 << 20  # files from here on are written past the page cache
MAX_DEPTH = 2048  # what a path of the file system can hold at all


class Watcher(Protocol):
    """Whoever wants to know how it goes."""

    def bytes(self, count: int) -> None:
        """So many more bytes were written."""

    def file(self, path: str) -> None:
        """One more thing is there."""


class Getter:
    """Writes files and trees of one store."""

    def __init__(self, blocks: Blocks, watcher: Watcher) -> None:
        self._blocks = blocks
        self._watcher = watcher
        self._reader = Reader(blocks)

    def close(self) -> None:
        """End what runs beside it."""
        self._reader.close()

    def get(self, cid: Cid, target: str) -> None:
        """Make the file, link or tree at a path where there is nothing yet."""
        with placed("get", target) as place:
            self._tree(cid, place, target)

    def _tree(self, cid: Cid, place: Place, target: str) -> None:
        """Make a node and all below it, without recursion."""
        stack: list[_Open] = []
        try:
            self._node(cid, place.directory, place.partial, target, stack)
            while stack:
                here = stack[-1]
                entry = next(here.entries, None)
                if entry is None:
                    with os_errors("get", shown(here.path)):
                        _set_attributes(here.fd, here.info)
                    os.close(stack.pop().fd)
                    continue
                if len(stack) >= MAX_DEPTH:
                    why = f"nested deeper than {MAX_DEPTH} directories"
                    raise HoldError("get", Kind.TOO_LARGE, shown(here.path)[:200], why, hint="get a part of it")
                self._node(entry.cid, here.fd, entry.name, f"{here.path}/{entry.name}", stack)
        finally:
            for left in stack:
                os.close(left.fd)

    def _node(self, cid: Cid, parent: int, name: str, path: str, stack: list["_Open"]) -> None:
        info = self._blocks.stat(cid)
        try:
            if info.type in (Type.DIRECTORY, Type.HAMT):
                os.mkdir(name, 0o755, dir_fd=parent)
                fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
                stack.append(_Open(fd, path, info, self._entries(cid)))
            elif info.type is Type.SYMLINK:
                os.symlink(info.target or "", name, dir_fd=parent)
                if info.mtime is not None:
                    _set_mtime(name, info.mtime, parent)
            else:
                self._file(cid, info, parent, name)
        except OSError as error:
            raise from_os("get", shown(path), error) from error
        except ValueError as error:  # a NUL in a name or a target
            raise HoldError("get", Kind.INVALID, shown(path)[:200], str(error)) from error
        self._watcher.file(path)

    def _entries(self, cid: Cid) -> Iterator[read.Entry]:
        with malformed("get", cid):
            entries = run.items(read.listing(cid), self._blocks.fetch)
            batch = list(islice(entries, _EXPECTED))
            self._blocks.expect([entry.cid for entry in batch])
            while batch:
                following = list(islice(entries, _EXPECTED))
                coming = self._reader.expect([entry.cid for entry in following])
                yield from batch
                coming.result()
                batch = following

    def _file(self, cid: Cid, info: read.Info, parent: int, name: str) -> None:
        fd = os.open(name, NEW_FILE, 0o644, dir_fd=parent)
        try:
            if info.size >= _DIRECT_FROM:
                self._large(cid, info.size, fd, f"/proc/self/fd/{fd}")
            else:
                for piece in self._reader.pieces(cid):
                    disk.write_all(fd, [piece.data], piece.offset)
                    self._watcher.bytes(len(piece.data))
                    self._reader.give_back(piece)
            _set_attributes(fd, info)
        finally:
            os.close(fd)

    def _large(self, cid: Cid, size: int, fd: int, path: str) -> None:
        """Write a large file by several threads at once, whole pages past the page cache."""
        disk.reserve(fd, 0, size)
        direct, _ = disk.open_direct(path, os.O_WRONLY)

        def write(piece: Piece) -> None:
            data = piece.data
            aligned = piece.aligned and piece.offset % PAGE == 0 and len(data) % PAGE == 0
            disk.write_all(direct if aligned else fd, [data], piece.offset)
            self._watcher.bytes(len(data))

        try:
            self._reader.in_parallel(cid, write)
        finally:
            os.close(direct)
        if os.fstat(fd).st_size != size:
            os.ftruncate(fd, size)


class _Open:
    """A directory being made."""

    __slots__ = ("entries", "fd", "info", "path")

    def __init__(self, fd: int, path: str, info: read.Info, entries: Iterator[read.Entry]) -> None:
        self.fd = fd
        self.path = path
        self.info = info
        self.entries = entries


def _set_attributes(fd: int, info: read.Info) -> None:
    if info.mode is not None:
        os.fchmod(fd, info.mode & 0o777)  # set-uid bits are a stranger's word
    if info.mtime is not None:
        _set_mtime(fd, info.mtime, None)


def _set_mtime(what: int | str, mtime: Mtime, parent: int | None) -> None:
    moment = mtime.seconds * 1_000_000_000 + mtime.nanos
    if isinstance(what, int):
        os.utime(what, ns=(moment, moment))
    else:
        os.utime(what, ns=(moment, moment), dir_fd=parent, follow_symlinks=False)
