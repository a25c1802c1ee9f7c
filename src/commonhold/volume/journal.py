"""The journal of a volume: what was done since its last commit, in a file. docs/spec/volume.md, "Journal".

What was noted outlives the process, as the kernel has it; nothing is synced. Not safe from several threads: whoever
owns it has a lock.
"""

import contextlib
import errno
import os
import stat
from collections.abc import Iterator, Sequence
from enum import IntEnum
from pathlib import Path
from typing import Any

import msgspec

from commonhold.errors import HoldError, Kind, os_errors
from commonhold.formats import journal as format_
from commonhold.formats.journal import Group, Header, Payload, Record
from commonhold.formats.malformed import Malformed
from commonhold.host import disk
from commonhold.trees import Change, Who
from commonhold.volume.extents import Adoption
from commonhold.volume.faults import fault

FILE = "volume.log"
LONG = 128 << 20  # bytes after which a commit had better come at once; they stay, as new pages are slower to write to
MOST = 4 * LONG
_LEFT = 32 << 20  # bytes that it leaves free on its disk: a commit needs some, and ends it
_STEP = 1 << 20  # by which it looks for room
_SPARE = 1 << 20  # bytes that stay always: who removes something from a full disk is not refused


class Did(IntEnum):
    """What changes a tree, by its number in a journal: calls of `trees.Tree`, and two more."""

    END = 0  # of what counts together
    MAKE = 1
    LINK = 2
    UNLINK = 3
    RMDIR = 4
    RENAME = 5
    FORGET = 6
    CHANGE = 7
    SET_XATTR = 8
    REMOVE_XATTR = 9
    OPEN = 10
    WRITE = 11  # the bytes are the payload
    ALLOCATE = 12
    COPY = 13
    ACCESS = 14  # [number]: it was read
    TAKE_IN = 15  # [chapter, blocks]: they are contents of files


_GIVEN: dict[Did, Any] = {
    Did.END: tuple[()],
    Did.MAKE: tuple[int, bytes, int, int, bytes, Who, bool],
    Did.LINK: tuple[int, int, bytes],
    Did.UNLINK: tuple[int, bytes],
    Did.RMDIR: tuple[int, bytes],
    Did.RENAME: tuple[int, bytes, int, bytes, int],
    Did.FORGET: tuple[list[int]],
    Did.CHANGE: tuple[int, Change],
    Did.SET_XATTR: tuple[int, bytes, bytes, int],
    Did.REMOVE_XATTR: tuple[int, bytes],
    Did.OPEN: tuple[int, bool, bool],
    Did.WRITE: tuple[int, int, bool, bool],
    Did.ALLOCATE: tuple[int, int, int, int],
    Did.COPY: tuple[int, int, int, int, int],
    Did.ACCESS: tuple[int],
    Did.TAKE_IN: tuple[int, list[Adoption]],
}
_DECODERS = {did: msgspec.msgpack.Decoder(given) for did, given in _GIVEN.items()}
_encode = msgspec.msgpack.Encoder().encode


def given(record: Record) -> tuple[Did, tuple[Any, ...]]:
    """What a record says was done, and what the call was given but for its payload."""
    try:
        did = Did(record.call)
        found: tuple[Any, ...] = _DECODERS[did].decode(record.body)
    except (ValueError, msgspec.MsgspecError) as error:
        raise Malformed("journal", str(error)) from error
    return did, found


class Journal:
    """The journal of the volume with an id of 16 bytes, in this boot of the machine.

    `left_open`: who had the volume last did not close it, and the machine was not started again since.
    """

    def __init__(self, path: Path, volume: bytes, boot: bytes, commit: int) -> None:
        """Open it, behind that commit. What follows another one, or is of another boot, is not there."""
        self._volume = volume
        self._boot = boot
        self._more = False
        self._at = 0
        with os_errors("open", str(path)):
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, 0o600)
            try:
                status = os.fstat(self._fd)
                if not stat.S_ISREG(status.st_mode):
                    raise HoldError("open", Kind.DENIED, str(path), "not a file", hint=f"ls -ld {path}")
                self._length = status.st_size
                with contextlib.suppress(OSError):  # a full disk: it is as good as it is
                    disk.reserve(self._fd, 0, _SPARE)
                    self._length = max(self._length, _SPARE)
                self._resume(disk.read_at(self._fd, format_.HEADER_SIZE, 0), commit)
            except BaseException:
                os.close(self._fd)
                raise

    def _resume(self, header: bytes, commit: int) -> None:
        try:
            found = format_.parse_header(header)
        except Malformed:
            found = None
        self.left_open = found is not None and (found.volume, found.boot) == (self._volume, self._boot)
        if found is None or not self.left_open or found.commit != commit:
            self.begin(commit)
            return
        self._first = b""
        self._header, self._chain, self._at = header, header[: format_.SUM], format_.HEADER_SIZE

    def close(self) -> None:
        """Close the file, as a process does that dies."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    # ── what is in it ──

    def groups(self) -> Iterator[Group]:
        """What was done since the commit, in order. Each is to be kept, or it and all that follows to be cut off."""
        with open(self._fd, "rb", 1 << 20, closefd=False) as file:
            file.seek(format_.HEADER_SIZE)
            yield from format_.groups(self._header, file.read) if self._at == format_.HEADER_SIZE else ()

    def keep(self, group: Group) -> None:
        """A group was done again: what comes next follows it."""
        self._at, self._chain = group.stop, group.chain

    def cut(self) -> None:
        """There is no more than what was kept."""
        os.ftruncate(self._fd, self._at)
        self._length = self._at

    # ── what comes in ──

    @property
    def long(self) -> bool:
        """Whether a commit had better not wait."""
        return self._at > LONG

    def too_long(self, size: int) -> bool:
        """Whether whoever writes so many bytes had better wait for one."""
        return self._at > 2 * LONG or not self.has_room(size + _STEP)

    def has_room(self, size: int) -> bool:
        """Whether so many bytes more have room in the file, or on its disk beside what a commit needs."""
        stop = self._at + size
        if stop <= self._length:
            return True
        free = os.fstatvfs(self._fd)
        if stop > MOST or free.f_bavail * free.f_frsize < _LEFT + size:
            return False
        self._length = -(-stop // _STEP) * _STEP
        return True

    def begin(self, commit: int) -> None:
        """All that was done is in that commit: begin anew behind it."""
        self._length = max(self._length, self._at)
        header = format_.pack_header(Header(self._volume, self._boot, commit, os.urandom(8)))
        self._header = self._first = header
        self._chain, self._at = header[: format_.SUM], 0
        self._cut_to(LONG)
        self._write_first()

    def note(self, did: Did, time: int, next_: int, given: Sequence[Any], payload: Payload = b"") -> None:
        """Note what is about to be done. ENOSPC: nothing is noted."""
        said = format_.pack(self._chain, did, time, next_, _encode(given), payload, more=self._more)
        chain = said[: format_.SUM]
        if not self.has_room(len(said) + len(payload)):
            raise fault(errno.ENOSPC)
        if len(payload) > format_.SMALL or self._first:
            self._write(said, payload)
        else:
            if payload:
                said += payload
            if os.pwrite(self._fd, said, self._at) < len(said):
                raise fault(errno.ENOSPC)
            self._at += len(said)
        self._chain = chain

    def _write(self, said: bytes, payload: Payload) -> None:
        """Write, after what had to wait; a payload before what says that it is there, as it may have no sum. What is
        cut short is none, and is written over."""
        parts = [memoryview(part) for part in (self._first, said) if part]
        size = sum(map(len, parts))
        if payload:
            disk.write_all(self._fd, [memoryview(payload)], self._at + size)
        self._at += disk.write_all(self._fd, parts, self._at) + len(payload)
        self._first = b""

    def _write_first(self) -> None:
        """Write what comes before the next record. If that fails it is written with that one, or refused with it."""
        with contextlib.suppress(OSError):
            self._write(b"", b"")

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """What is noted in a block counts together: if the process dies within, not at all."""
        self._more, before = True, self._at
        try:
            yield
        finally:
            self._more = False
            if self._at != before:
                end = format_.pack(self._chain, Did.END, 0, 0, _encode(()))
                self._first, self._chain = self._first + end, end[: format_.SUM]
                self._write_first()

    @property
    def gathers(self) -> bool:
        """Whether what is noted now counts together with what comes."""
        return self._more

    # ── its end ──

    def rest(self) -> None:
        """Nothing has been done for a while: give disk space back."""
        self._cut_to(_SPARE)

    def _cut_to(self, length: int) -> None:
        """Have the file no longer than that, if what is in it is not."""
        self._length = max(self._length, self._at)
        if self._length > max(length, self._at):
            with contextlib.suppress(OSError):  # it is only longer than need be
                os.ftruncate(self._fd, max(length, self._at))
                self._length = max(length, self._at)

    def end(self) -> None:
        """All is committed, and whoever opens the volume next need not think of those who had it open."""
        with contextlib.suppress(OSError):
            os.pwrite(self._fd, bytes(format_.HEADER_SIZE), 0)
