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

NAME = "catalog.log"
_SEARCH_STEP = 1 << 20


class Catalog:
    """One catalogue file. Callers serialise what belongs together; single appends are safe from any thread."""

    def __init__(self, directory: Path, secret: bytes) -> None:
        self._directory = directory
        self._path = directory / NAME
        self._secret = secret
        self._key = records.file_key(secret, NAME)
        self._lock = threading.Lock()
        if not self._path.exists():
            self.replace(0, ())
        self._fd = os.open(self._path, os.O_RDWR | os.O_CLOEXEC)
        self.end = os.fstat(self._fd).st_size
        self.damaged = 0  # bytes that the last replay passed over

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
        os.fdatasync(self._fd)

    def generation(self) -> tuple[int, int]:
        """How often the file has been rewritten, and where its checkpoint ends."""
        head = os.pread(self._fd, HEADER_SIZE + 16, 0)
        header = records.unpack_header(self._key, head)
        if header is None or header.kind is not RecordKind.FILE:
            return 0, 0
        return int.from_bytes(head[64:72], "little"), int.from_bytes(head[72:80], "little")

    def replay(self, start: int = 0) -> Iterator[tuple[RecordKind, bytes]]:
        """Yield the sound records from an offset on; cut what is after the last one, for the next to follow it."""
        last = start
        for kind, body, end in self.scan(start):
            last = end
            yield kind, body
        if last < self.end:
            os.ftruncate(self._fd, last)
            os.fsync(self._fd)
            self.end = last

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
        os.replace(temporary, self._path)
        disk.sync_directory(str(self._directory))
        if hasattr(self, "_fd"):
            os.close(self._fd)
            self._fd = os.open(self._path, os.O_RDWR | os.O_CLOEXEC)
            self.end = end

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)
