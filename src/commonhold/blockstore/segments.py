"""Segments: files of frames that only grow, and shrink only by holes. Knows files and frames, not what is live.

A segment is synced before the next one is begun, so only the last can have a torn tail.
"""

import errno
import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from commonhold.blockstore import layout, records
from commonhold.blockstore.layout import Place
from commonhold.blockstore.records import HEADER_SIZE, RecordKind
from commonhold.formats.malformed import Malformed
from commonhold.formats.multihash import Multihash
from commonhold.host import disk

SEGMENT_SIZE = 512 << 20
_RESERVE_STEP = 128 << 20
_LARGE_FRAME = 8 << 20
_SEARCH_STEP = 1 << 20
_PUBLIC_KEY = bytes(32)  # of a segment's first record: it carries the secret that keys all others


class Found(NamedTuple):
    """A sound frame: where it starts and ends in its file, and its blocks' (key, offset in the file, length)."""

    start: int
    end: int
    blocks: list[tuple[Multihash, int, int]]


class _File:
    """A descriptor that is closed when nobody reads from it any more: a segment may be retired meanwhile."""

    __slots__ = ("fd",)

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def __del__(self) -> None:
        os.close(self.fd)


class Segments:
    """All segments of one store. Reads are safe from any thread; appends are one thread's."""

    def __init__(self, directory: Path, secret: bytes) -> None:
        self._directory = directory
        self._secret = secret
        self._readers: dict[int, _File] = {}
        self._direct: dict[int, _File] = {}
        self._lock = threading.Lock()
        self._least = 1  # the lowest number that a new segment may have
        self._number = 0  # of the segment being written; 0 when none is
        self._fd = -1
        self._end = 0
        self._reserved = 0
        self._safe = Place(0, 0)  # the tail when all was acknowledged
        self._begun: list[int] = []  # since then

    def path(self, number: int) -> Path:
        """Where a segment is."""
        return self._directory / f"{number:08}.seg"

    def numbers(self) -> list[int]:
        """The segments there are, oldest first."""
        return sorted(int(entry.stem) for entry in self._directory.glob("*.seg") if entry.stem.isdigit())

    @property
    def tail(self) -> Place:
        """Where the next frame goes."""
        return Place(self._number, self._end)

    def drop_unborn(self) -> None:
        """Delete a last segment whose making was cut short: its first page is synced before any frame is written."""
        numbers = self.numbers()
        if numbers and self.key_in(numbers[-1]) is None and next(self.frames(numbers[-1]), None) is None:
            self.retire(numbers[-1])

    # ── writing ──

    def resume(self, number: int, end: int) -> None:
        """Go on writing a segment at an offset when there is something to write; what is after it is cut off now."""
        if self.path(number).stat().st_size != end:
            fd = os.open(self.path(number), os.O_RDWR | os.O_CLOEXEC)
            try:
                os.ftruncate(fd, end)
                os.fsync(fd)
            finally:
                os.close(fd)
        self._number, self._end, self._reserved = number, end, end
        self._safe = self.tail

    def above(self, number: int) -> None:
        """Never use a number up to this one again."""
        self._least = number + 1

    def acknowledged(self) -> None:
        """Say that all that was appended is acknowledged."""
        self._safe = self.tail
        self._begun.clear()

    def cut_back(self) -> None:
        """Take back what was appended and not acknowledged."""
        self._close_tail()
        for number in self._begun:
            self.retire(number)
        self._begun.clear()
        self.resume(*self._safe) if self._safe.segment else self._forget_tail()

    def _forget_tail(self) -> None:
        self._number = self._end = self._reserved = 0

    def _close_tail(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def append(self, parts: Sequence[memoryview], size: int) -> Place:
        """Write a frame of whole pages, after `make_room` for it; where it starts. Not durable before `sync`."""
        start = self._end
        if size >= _LARGE_FRAME and start + size > self._reserved:
            step = max(min(_RESERVE_STEP, SEGMENT_SIZE - start), size)
            self._reserved = start + self._reserve(start, step, size)
        try:
            disk.write_all(self._fd, parts, start)
        except OSError:
            os.ftruncate(self._fd, start)
            raise
        self._end = start + size
        return Place(self._number, start)

    def _reserve(self, start: int, step: int, least: int) -> int:
        """Reserve a step, or the least if the disk has no room for that; what a failed try took is given back."""
        for size in (step, least):
            try:
                disk.reserve(self._fd, start, size)
            except OSError as error:
                os.ftruncate(self._fd, start)
                if error.errno != errno.ENOSPC or size == least:
                    raise
            else:
                return size
        raise AssertionError("the last try returns or raises")

    def _begin(self, number: int) -> None:
        self.finish()
        name = self.path(number).name
        fd, _ = disk.open_direct(str(self.path(number)), os.O_RDWR | os.O_CREAT | os.O_EXCL)
        page = disk.aligned(disk.PAGE)
        body = number.to_bytes(4, "little") + self._secret
        key = records.file_key(_PUBLIC_KEY, name)
        head = records.pack_header(key, RecordKind.FILE, body, payload=HEADER_SIZE + len(body), total=disk.PAGE)
        page[: len(head) + len(body)] = head + body
        try:
            disk.write_all(fd, [page], 0)
            os.fsync(fd)
            disk.sync_directory(str(self._directory))
        except OSError:
            os.close(fd)
            self.path(number).unlink()
            raise
        self._fd, self._number, self._end, self._reserved = fd, number, disk.PAGE, disk.PAGE
        self._begun.append(number)

    def sync(self) -> None:
        """Make every appended frame durable."""
        if self._fd >= 0:
            os.fdatasync(self._fd)

    def sync_whole(self, number: int) -> None:
        """Make durable what a process that died may have written to a segment and not synced."""
        fd = os.open(self.path(number), os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def finish(self) -> None:
        """Sync and close the segment being written, and give back what it reserved and did not use."""
        if self._fd < 0:
            return
        if self._reserved > self._end:
            os.ftruncate(self._fd, self._end)
        os.fsync(self._fd)
        self._close_tail()

    def retire(self, number: int) -> int:
        """Delete a segment in which nothing lives; bytes of disk given back."""
        freed = self.path(number).stat().st_blocks * 512
        self.path(number).unlink()
        disk.sync_directory(str(self._directory))
        with self._lock:
            for files in (self._readers, self._direct):
                files.pop(number, None)
        return freed

    def punch(self, dead: Iterable[tuple[Place, int]]) -> None:
        """Give back the disk space of dead blocks: (place, length) of each. Parts of pages stay for compaction."""
        by_segment: dict[int, list[tuple[int, int]]] = {}
        for place, length in dead:
            if length >= disk.PAGE:
                by_segment.setdefault(place.segment, []).append((place.offset, length))
        for number, ranges in by_segment.items():
            fd = os.open(self.path(number), os.O_RDWR | os.O_CLOEXEC)
            try:
                for offset, length in ranges:
                    disk.punch(fd, offset, length)
            finally:
                os.close(fd)

    def close(self) -> None:
        """Close every file."""
        self.finish()
        with self._lock:
            self._readers.clear()
            self._direct.clear()

    # ── reading ──

    def _open(self, number: int, files: dict[int, _File], *, direct: bool) -> _File:
        with self._lock:
            file = files.get(number)
            if file is None:
                path = str(self.path(number))
                fd = disk.open_direct(path, os.O_RDONLY)[0] if direct else os.open(path, os.O_RDONLY | os.O_CLOEXEC)
                file = files[number] = _File(fd)
            return file

    def read(self, place: Place, length: int) -> bytes:
        """Read a payload; fewer bytes where the file ends."""
        file = self._readers.get(place.segment) or self._open(place.segment, self._readers, direct=False)
        disk.expect(file.fd, length, place.offset)
        return disk.read_at(file.fd, length, place.offset)

    def read_into(self, place: Place, into: memoryview) -> int:
        """The same, into memory of its length; bytes read."""
        file = self._readers.get(place.segment) or self._open(place.segment, self._readers, direct=False)
        disk.expect(file.fd, len(into), place.offset)
        return disk.read_full(file.fd, into, place.offset)

    def read_direct(self, place: Place, into: memoryview) -> int:
        """Read whole pages past the page cache into aligned memory; bytes read."""
        file = self._direct.get(place.segment) or self._open(place.segment, self._direct, direct=True)
        return disk.read_full(file.fd, into, place.offset)

    def key_in(self, number: int) -> bytes | None:
        """Return the key of a segment's records as its first record gives it; None if that is damaged."""
        name = self.path(number).name
        page = self.read(Place(number, 0), disk.PAGE)
        public = records.file_key(_PUBLIC_KEY, name)
        header = records.unpack_header(public, page)
        body = page[HEADER_SIZE : HEADER_SIZE + (header.body if header else 0)]
        if header is None or not records.body_is_sound(public, header, body):
            return None
        return records.file_key(body[4:], name)

    def frame_key(self) -> bytes:
        """The key of the records of the segment that the next `append` of a frame goes to."""
        return records.file_key(self._secret, self.path(self._number).name)

    def make_room(self, size: int) -> None:
        """Open the segment to write to: the next one if this one has no room for a frame of that size."""
        if not self._number or self._end + size > SEGMENT_SIZE:
            self._begin(max([self._number + 1, self._least, *(number + 1 for number in self.numbers())]))
        elif self._fd < 0:
            self._fd, _ = disk.open_direct(str(self.path(self._number)), os.O_RDWR)

    def frame_at(self, number: int, key: bytes, start: int) -> Found | None:
        """Return the frame that starts at an offset, or None if there is no sound one."""
        head = self.read(Place(number, start), HEADER_SIZE)
        header = records.unpack_header(key, head)
        if header is None or header.kind is not RecordKind.BLOCKS:
            return None
        body = self.read(Place(number, start + HEADER_SIZE), header.body)
        if not records.body_is_sound(key, header, body):
            return None
        base = start + header.payload
        try:
            table = list(layout.unpack_table(body, header.total - header.payload))
        except Malformed:
            return None
        return Found(start, start + header.total, [(name, base + offset, length) for name, offset, length in table])

    def frames(self, number: int, start: int = 0) -> Iterator[Found]:
        """Yield the sound frames of a segment from an offset on; what is damaged is passed over."""
        key = self.key_in(number) or records.file_key(self._secret, self.path(number).name)
        size = self.path(number).stat().st_size
        at = max(start, disk.PAGE)
        while at < size:
            found = self.frame_at(number, key, at)
            if found is not None:
                yield found
                at = found.end
            else:
                at = self._next_magic(number, at + disk.PAGE, size)

    def _next_magic(self, number: int, at: int, size: int) -> int:
        while at < size:
            data = self.read(Place(number, at), _SEARCH_STEP)
            if not data:
                return size
            hit = data.find(records.MAGIC)
            while hit >= 0:
                if hit % disk.PAGE == 0:
                    return at + hit
                hit = data.find(records.MAGIC, hit + 1)
            at += _SEARCH_STEP
        return size
