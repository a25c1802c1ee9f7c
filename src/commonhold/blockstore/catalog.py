"""The catalogue: an append-only log of retain sets and of what is gone, from which the index can be made anew.

It is the truth about pins; the index is a projection. A record is durable after `sync`.
"""

import os
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

from commonhold.blockstore import records
from commonhold.blockstore.records import HEADER_SIZE, RecordKind
from commonhold.host import disk
from commonhold.host.disk import PAGE
from commonhold.host.interruption import held_back

NAME = "catalog.log"
_SEARCH_STEP = 1 << 20
_LEAST_BLANK = 32  # bytes: records have shorter runs of zeros in them


class Catalog:
    """One catalogue file. Callers serialise what belongs together; single appends are safe from any thread."""

    def __init__(self, directory: Path, secret: bytes) -> None:
        self._directory = directory
        self._path = directory / NAME
        self._secret = secret
        self._key = records.file_key(secret, NAME)
        self._lock = threading.Lock()
        self._fd = -1
        self.unsure = False  # whether a sync failed: what the disk has of the last records nobody knows then
        self.missing = not self._path.exists()
        if self.missing:
            self.replace(0, ())
        else:
            self._fd = os.open(self._path, os.O_RDWR | os.O_CLOEXEC)
            self.end = os.fstat(self._fd).st_size
        self.damaged = 0  # bytes that the last scan passed over

    def append(self, kind: RecordKind, body: bytes) -> None:
        """Write a record after the last one."""
        record = records.pack(self._key, kind, body)
        with self._lock:
            try:
                disk.write_all(self._fd, [memoryview(record)], self.end)
            except OSError:
                os.ftruncate(self._fd, self.end)
                raise
            self.end += len(record)

    def sync(self) -> None:
        """Make every appended record durable."""
        try:
            os.fdatasync(self._fd)
        except OSError:
            self.unsure = True
            raise

    def generation(self) -> tuple[int, int]:
        """How often the file has been rewritten, and where its checkpoint ends."""
        head = os.pread(self._fd, HEADER_SIZE + 16, 0)
        header = records.unpack_header(self._key, head)
        if header is None or header.kind is not RecordKind.FILE:
            return 0, 0
        return int.from_bytes(head[64:72], "little"), int.from_bytes(head[72:80], "little")

    def cut(self, end: int) -> None:
        """Take back, durably, every record that was appended from an offset on."""
        if end < self.end:
            os.ftruncate(self._fd, end)
            self.end = end
            os.fsync(self._fd)

    def cut_torn(self, start: int = 0) -> None:
        """Take back a last record of which only a part was written. What is damaged in another way stays to be seen."""
        last = start
        for _, _, end in self.scan(start):
            last = end
        if last < self.end and self._is_torn(last):
            self.cut(last)

    def _is_torn(self, at: int) -> bool:
        """Whether what is from here on was cut short, or has a page that never reached the disk: it reads as zeros.

        A record that was acknowledged had all its pages there; damage seldom makes zeros of a part as long as this.
        """
        header = records.unpack_header(self._key, disk.read_at(self._fd, HEADER_SIZE, at))
        if header is not None and at + header.total > self.end:
            return True
        return self.end - at < HEADER_SIZE or self._has_blank_page(at)

    def _has_blank_page(self, at: int) -> bool:
        while at < self.end:
            part = disk.read_at(self._fd, min(PAGE - at % PAGE, self.end - at), at)
            if len(part) >= _LEAST_BLANK and not part.strip(b"\0"):
                return True
            at += len(part)
        return False

    def scan(self, start: int = 0) -> Iterator[tuple[RecordKind, bytes, int]]:
        """Yield (kind, body, end) of the sound records from an offset on; `damaged` counts what was passed over."""
        at, self.damaged = start, 0
        while at < self.end:
            found = self._record_at(at)
            if found is None:
                skipped = self._next_magic(at + 8)
                self.damaged += skipped - at
                at = skipped
                continue
            yield found
            at = found[2]

    def _record_at(self, at: int) -> tuple[RecordKind, bytes, int] | None:
        header = records.unpack_header(self._key, disk.read_at(self._fd, HEADER_SIZE, at))
        if header is None:
            return None
        body = disk.read_at(self._fd, header.body, at + HEADER_SIZE)
        if not records.body_is_sound(self._key, header, body):
            return None
        return header.kind, body, at + header.total

    def _next_magic(self, at: int) -> int:
        while at < self.end:
            data = disk.read_at(self._fd, _SEARCH_STEP + 3, at)
            hit = data.find(records.MAGIC)
            if hit >= 0:
                return at + hit
            at += _SEARCH_STEP
        return self.end

    def replace(self, generation: int, items: Iterable[tuple[RecordKind, bytes]]) -> None:
        """Write a new catalogue of these records in the place of the old one: a checkpoint."""
        temporary = self._path.with_suffix(".new")
        with open(temporary, "wb") as out:
            os.fchmod(out.fileno(), 0o600)
            out.write(bytes(HEADER_SIZE + 16))
            for kind, body in items:
                out.write(records.pack(self._key, kind, body))
            end = out.tell()
            out.seek(0)
            out.write(
                records.pack(self._key, RecordKind.FILE, generation.to_bytes(8, "little") + end.to_bytes(8, "little"))
            )
            out.flush()
            os.fsync(out.fileno())
        fd = os.open(temporary, os.O_RDWR | os.O_CLOEXEC)
        with held_back():
            os.replace(temporary, self._path)
            self.close()
            self._fd, self.end = fd, end
        disk.sync_directory(str(self._directory))

    def close(self) -> None:
        """Close the file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
