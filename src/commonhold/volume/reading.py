"""Reading a volume's files: what is not stored yet, what lies in the tables, what lies in blocks. See `trees.Tree`."""

import contextlib
import errno
from collections.abc import Callable
from typing import NamedTuple

from commonhold.errors import HoldError, Kind
from commonhold.trees import MAX_SIZE, SEEK_DATA, SEEK_HOLE
from commonhold.volume.attributes import Attributes
from commonhold.volume.extents import Extent, Lying
from commonhold.volume.faults import fault, from_hold
from commonhold.volume.journal import Did
from commonhold.volume.pieces import CHUNK
from commonhold.volume.tables import Object
from commonhold.volume.vault import Sealed

_AHEAD = 8 << 20  # bytes that are fetched before they are asked for, where a file is read in order
_DAY = 86_400_000_000_000
_FOLLOWED = 256  # files of which it is known how far they were read


class Part(NamedTuple):
    """Bytes of a file: they are here, or in a block."""

    start: int
    length: int
    data: bytes
    block: Sealed | None = None
    skip: int = 0


class Reading(Attributes):
    """The part of a volume that reads contents."""

    def cached(self, number: int, offset: int, size: int) -> bytes | None:
        """See `trees.Tree`."""
        with self._held:
            row, stop = self._span(number, offset, size)
            parts = [
                Part(part.start, part.length, self._opened.peek(part.block.digest) or b"", None, part.skip)
                if part.block is not None
                else part
                for part in self._parts(row, offset, stop)
            ]
            if not all(part.data for part in parts):
                return None
            self._accessed(row)
            ahead = self._ahead(row, offset, stop)
        self._fetch_ahead(ahead)
        return _joined(parts, offset, stop)

    def read(self, number: int, offset: int, size: int) -> bytes:
        """See `trees.Tree`."""
        before: list[Part] | None = None
        while True:
            with self._held:
                row, stop = self._span(number, offset, size)
                parts = self._parts(row, offset, stop)
                self._accessed(row)
                ahead = self._ahead(row, offset, stop)
            try:
                self._fetch_ahead(ahead)
                parts_here = [part._replace(data=self._content(part)) for part in parts]
                return _joined(parts_here, offset, stop)
            except HoldError as error:
                # What was overwritten meanwhile may be gone from the vault; then it lies elsewhere now.
                if error.kind is not Kind.NOT_FOUND or parts == before:
                    raise from_hold(error) from error
                before = parts

    def _content(self, part: Part) -> bytes:
        return part.data if part.block is None else self._opened.get(part.block)

    def _span(self, number: int, offset: int, size: int) -> tuple[Object, int]:
        """The file, and where a read of it ends."""
        row = self._file(number)
        if offset < 0 or size < 0:
            raise fault(errno.EINVAL)
        return row, max(offset, min(offset + size, row.size))

    def _parts(self, row: Object, start: int, stop: int) -> list[Part]:
        """What there is of a range, in order."""
        if start == stop:
            return []
        found: list[Part] = []
        pieces = self._unstored.of(row.number)
        if pieces is not None:
            found += [Part(at, len(data), data) for at, data in pieces.parts(start, stop)]
        if row.held:
            for (at, length, block, skip), sealed, inline in self._lying(row.number, start, stop):
                if inline:
                    found.append(Part(at, length, self._extents.data(block, skip, length)))
                else:
                    found.append(Part(at, length, b"", sealed, skip))
            if pieces is not None:
                found.sort()
        return found

    def _lying(self, number: int, start: int, stop: int) -> list[Lying]:
        """What is stored of a range, cut to it."""
        chunk = start // CHUNK
        near = self._extents.in_chunk(number, chunk) if stop <= (chunk + 1) * CHUNK else None
        if near is None:
            extents = self._extents.within(number, start, stop)
            return [Lying(extent, *self._extents.block(extent.block)) for extent in extents]
        found = []
        for extent, sealed, inline in near:
            first, last = max(start, extent.start), min(stop, extent.start + extent.length)
            if first < last:
                skip = extent.skip + first - extent.start
                found.append(Lying(Extent(first, last - first, extent.block, skip), sealed, inline))
        return found

    def access(self, number: int) -> None:
        """A file is read, as a mount with relatime has it."""
        with self._held:
            self._accessed(self._file(number))

    def _accessed(self, row: Object) -> None:
        again = self._again
        if is_old(row, self._clock if again is None else lambda: again.time):
            with contextlib.suppress(OSError):  # a full disk keeps nobody from reading
                self._tables.save(row._replace(accessed=self._now(Did.ACCESS, row.number)))

    # ── what comes next ──

    def _ahead(self, row: Object, start: int, stop: int) -> list[Sealed]:
        """The blocks that will be asked for soon, if this file is being read in order."""
        reached, asked = self._reached.pop(row.number, (-CHUNK, 0))
        in_order = abs(start - reached) < CHUNK
        begin = max(asked, stop) if in_order else stop
        wanted = in_order and row.held and begin < min(row.size, stop + _AHEAD // 2)
        self._reached[row.number] = stop, stop + _AHEAD if wanted else begin
        if len(self._reached) > _FOLLOWED:
            del self._reached[next(iter(self._reached))]
        if not wanted:
            return []
        numbers = dict.fromkeys(extent.block for extent in self._extents.over(row.number, begin, stop + _AHEAD))
        return [sealed for sealed, inline in map(self._extents.block, numbers) if not inline]

    def _fetch_ahead(self, blocks: list[Sealed]) -> None:
        if blocks:
            self._opened.fetch_ahead(blocks, self._pool, self._vault.expect)

    # ── holes ──

    def seek(self, number: int, offset: int, whence: int) -> int:
        """See `trees.Tree`."""
        if whence not in (SEEK_DATA, SEEK_HOLE):
            raise fault(errno.EINVAL)
        with self._held:
            row = self._file(number)
            if not 0 <= offset < row.size:
                raise fault(errno.ENXIO)
            if whence == SEEK_HOLE:
                return min(self._data_until(number, offset), row.size)
            found = self._data_from(number, offset)
            if found is None:
                raise fault(errno.ENXIO)
            return found

    def _data_from(self, number: int, offset: int) -> int | None:
        """Where the first byte at an offset or after it lies that is in no hole."""
        found = [extent.start for extent in self._extents.over(number, offset, offset + 1)]
        after = self._extents.next_after(number, offset)
        if after is not None:
            found.append(after)
        pieces = self._unstored.of(number)
        if pieces is not None:
            found += [start for start, _ in pieces.covered(offset, MAX_SIZE)[:1]]
        return max(offset, min(found)) if found else None

    def _data_until(self, number: int, offset: int) -> int:
        """Where the hole begins that is next after an offset, or there."""
        pieces = self._unstored.of(number)
        while True:
            before = offset
            for extent in self._extents.over(number, offset, offset + _AHEAD):
                if extent.start <= offset:
                    offset = max(offset, extent.start + extent.length)
            for start, stop in pieces.covered(offset, offset + _AHEAD) if pieces is not None else []:
                if start <= offset:
                    offset = max(offset, stop)
            if offset == before:
                return offset


def is_old(row: Object, clock: Callable[[], int]) -> bool:
    """Whether it is to be noted that a file was read. The time is seldom asked for."""
    return row.accessed <= max(row.modified, row.changed) or clock() - row.accessed >= _DAY


def _joined(parts: list[Part], start: int, stop: int) -> bytes:
    """The bytes of a range, with zeros where there is nothing."""
    at, found = start, []
    for part in parts:
        if part.start > at:
            found.append(bytes(part.start - at))
        found.append(part.data[part.skip : part.skip + part.length])
        at = part.start + part.length
    if at < stop:
        found.append(bytes(stop - at))
    return b"".join(found) if len(found) != 1 else found[0]
