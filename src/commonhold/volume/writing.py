"""Writing a volume's files: it stays in memory, and whole chunks go to the vault at once. See `trees.Tree`."""

import errno

from commonhold.trees import KEEP_SIZE, MAX_SIZE, PUNCH_HOLE, ZERO_RANGE
from commonhold.volume.attributes import without_set_id
from commonhold.volume.committing import FULL
from commonhold.volume.faults import fault, from_hold
from commonhold.volume.journal import Did
from commonhold.volume.outbox import Load, Place
from commonhold.volume.pieces import CHUNK
from commonhold.volume.reading import Reading, is_old
from commonhold.volume.tables import Object

MOST = 64 << 20  # bytes that are not stored yet
MOST_PIECES = 1 << 16
_PATIENCE = 5_000_000_000  # after so many nanoseconds a full vault is tried again
_WRITE_MOST = 16 << 20  # bytes of one write
_COPY_MOST = 256 << 20  # bytes of one copy


class Writing(Reading):
    """The part of a volume that writes contents."""

    def open(self, number: int, truncate: bool, kill: bool) -> None:
        """See `trees.Tree`."""
        with self._held:
            row = self._object(number)
            if truncate:
                row = self._file(number)
                now = self._now(Did.OPEN, number, truncate, kill)
                self._tables.save(self._resize(row, 0, now, kill))

    def write(self, number: int, offset: int, data: memoryview, kill: bool, late: bool) -> int:
        """See `trees.Tree`."""
        data = data[:_WRITE_MOST]
        self._catch_up(len(data))
        with self._held:
            self._room_for(len(data))
            row = self._file(number)
            if offset < 0:
                raise fault(errno.EINVAL)
            if offset + len(data) > MAX_SIZE:
                raise fault(errno.EFBIG)
            if not data:
                return 0
            now = self._now(Did.WRITE, number, offset, kill, late, payload=data)
            stop = offset + len(data)
            if row.held:
                row = row._replace(held=row.held - self._extents.cut(number, offset, stop))
            mode = without_set_id(row.mode) if kill else row.mode
            row = row._replace(mode=mode, size=max(row.size, stop))
            self._tables.save(row if late else row._replace(modified=now, changed=now))
            before = self._unstored.size(number)
            pieces = self._unstored.write(number, offset, data)
            if pieces.size > before and self._refusal is None:
                self._send_chunks(number, offset, stop)
            return len(data)

    def _send_chunks(self, number: int, start: int, stop: int) -> None:
        """Have chunks stored whose last missing bytes have come. What is written over again and again waits."""
        for chunk in range(start // CHUNK, -(-stop // CHUNK)):
            piece = self._unstored.whole(number, chunk)
            if piece is not None:
                piece.sent, piece.data = True, bytes(piece.data)
                self._outbox.submit(Load(piece.data, [Place(number, piece, 0)]))

    def _room_for(self, length: int) -> None:
        """Wait until there is memory for so many bytes more, and no commit has its turn; what a full vault said."""
        while True:
            full = self._unstored.total + length > MOST or self._unstored.count > MOST_PIECES
            if self._refusal is not None:
                if self._clock() - self._refused_at > _PATIENCE:
                    self._refusal = None
                elif self._again is not None:
                    return  # it has been answered, wherever it stays
                elif full or self._refusal.kind in FULL:
                    raise from_hold(self._refusal)
            if not full and not self._gate:
                return
            if full and not self._gate:
                for load in self._gather():
                    self._outbox.submit(load)
                self._outbox.push()
            self._held.wait()

    def allocate(self, number: int, offset: int, length: int, mode: int) -> None:
        """See `trees.Tree`. Nothing is reserved."""
        if offset < 0 or length <= 0:
            raise fault(errno.EINVAL)
        stop = offset + length
        if mode not in (0, KEEP_SIZE, PUNCH_HOLE | KEEP_SIZE, ZERO_RANGE, ZERO_RANGE | KEEP_SIZE):
            raise fault(errno.EOPNOTSUPP)
        if stop > MAX_SIZE:
            raise fault(errno.EFBIG)
        with self._held:
            row = self._file(number)
            now = self._now(Did.ALLOCATE, number, offset, length, mode)
            if mode & (PUNCH_HOLE | ZERO_RANGE):
                row = self._cut(row, offset, stop)._replace(modified=now)
            if not mode & KEEP_SIZE and stop > row.size:
                row = row._replace(size=stop, modified=now)
            self._tables.save(row._replace(mode=without_set_id(row.mode), changed=now))

    def copy(self, source: int, start: int, number: int, offset: int, length: int) -> int:
        """See `trees.Tree`. What is stored is shared, and not read."""
        if start < 0 or offset < 0 or length < 0:
            raise fault(errno.EINVAL)
        with self._held:
            giver = self._file(source)
            length = max(0, min(length, giver.size - start, _COPY_MOST))
            self._file(number)
            if source == number and start < offset + length and offset < start + length:
                raise fault(errno.EINVAL)
            if offset + length > MAX_SIZE:
                raise fault(errno.EFBIG)
            if not length:
                return 0
            self._room_for(self._bytes_here(source, start, start + length))
            giver = self._file(source)  # it may have changed while we waited
            length = max(0, min(length, giver.size - start))
            self._copy(giver, start, self._file(number), offset, length)
            return length

    def _bytes_here(self, number: int, start: int, stop: int) -> int:
        pieces = self._unstored.of(number)
        return sum(last - first for first, last in pieces.covered(start, stop)) if pieces is not None else 0

    def _copy(self, giver: Object, start: int, row: Object, offset: int, length: int) -> None:
        now = self._now(Did.COPY, giver.number, start, row.number, offset, length)
        if is_old(giver, lambda: now):
            self._tables.save(giver._replace(accessed=now))
        row = self._tables.object(row.number) or row
        row = self._cut(row, offset, offset + length)
        by = offset - start
        held = row.held
        for extent in self._extents.within(giver.number, start, start + length):
            self._extents.insert(row.number, extent._replace(start=extent.start + by))
            held += extent.length
        pieces = self._unstored.of(giver.number)
        for at, data in pieces.parts(start, start + length) if pieces is not None else []:
            self._unstored.write(row.number, at + by, data)
        size = max(row.size, offset + length)
        mode = without_set_id(row.mode)
        self._tables.save(row._replace(mode=mode, held=held, size=size, modified=now, changed=now))
