"""What all calls of a volume stand on: its lock, its tables, what is not stored yet, and the way to the vault."""

import errno
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any

from commonhold.errors import HoldError
from commonhold.formats.journal import Payload, Record
from commonhold.trees import Attr
from commonhold.volume.extents import Extent
from commonhold.volume.faults import fault
from commonhold.volume.journal import Did, Journal
from commonhold.volume.opened import Opened
from commonhold.volume.outbox import Batch, Load, Outbox, Place
from commonhold.volume.pieces import CHUNK, Unstored
from commonhold.volume.tables import Object, Tables
from commonhold.volume.vault import Vault

S_IFMT, S_IFDIR, S_IFREG = 0o170000, 0o040000, 0o100000
_FETCHERS = 4
_SCATTERED = 1 << 16


class Held:
    """The lock around a volume's metadata, as OSError tells of what went wrong within.

    Rooms refuse before they change anything. Whatever else ends a call half-way leaves nothing to build on: the volume
    answers EIO from then on, until it is opened anew. A thread that has it may take it once more.
    """

    def __init__(self) -> None:
        self.freed = threading.Condition(threading.RLock())  # something was stored, or could not be
        self.lost: BaseException | None = None

    def __enter__(self) -> None:
        self.freed.acquire()
        if self.lost is not None:
            self.freed.release()
            raise fault(errno.EIO) from self.lost

    def wait(self) -> None:
        """Let others have the lock until something has changed."""
        self.freed.wait()
        if self.lost is not None:
            raise fault(errno.EIO) from self.lost

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None or isinstance(error, OSError):
            self.freed.release()
            return
        self.lost = error
        self.freed.notify_all()
        self.freed.release()
        if isinstance(error, (sqlite3.Error, HoldError)):
            raise fault(errno.EIO) from error


class Ground:
    """See above. Its methods are for the rooms, which hold the lock."""

    def __init__(
        self, tables: Tables, vault: Vault, clock: Callable[[], int], next_chapter: int, journal: Journal
    ) -> None:
        self._held = Held()
        self._tables = tables
        self._journal = journal
        self._again: Record | None = None  # what is being done again
        self._extents = tables.extents
        self._vault = vault
        self._clock = clock
        self._unstored = Unstored()
        self._opened = Opened(vault.read)
        self._outbox = Outbox(vault, next_chapter, self._kept, self._failed)
        self._refusal: HoldError | None = None  # why the vault took nothing the last time
        self._refused_at = 0
        self._gate = False  # writes wait until a commit is done
        self._pool = ThreadPoolExecutor(_FETCHERS, thread_name_prefix="hold-ahead")
        self._reached: dict[int, tuple[int, int]] = {}  # how far files were read, and fetched ahead
        self._scattered: set[tuple[int, int]] = set()  # chunks of files that were added to
        self._objects: int | None = None  # how many there are, once somebody asked
        self.dirty_since: int | None = None  # when the first change was made that is not committed

    # ── objects ──

    def _now(self, did: Did, *given: Any, payload: Payload = b"") -> int:
        """The time of a change that is about to be made by a call: it is in the journal, and part of the next commit.
        ENOSPC if the journal can't have it."""
        again = self._again
        if again is None:
            now = self._clock()
            self._journal.note(did, now, self._tables.next, given, payload)
        else:
            now = again.time
            self._tables.number_from(again.next)
        if self._tables.begin():
            self.dirty_since = now
        return now

    def _rearrange(self) -> None:
        """The tables are about to say otherwise where contents are: it is part of the next commit."""
        if self._tables.begin():
            self.dirty_since = self._clock()

    def _object(self, number: int) -> Object:
        row = self._tables.object(number)
        if row is None:
            raise fault(errno.ENOENT)
        return row

    def _directory(self, number: int) -> Object:
        row = self._object(number)
        if row.mode & S_IFMT != S_IFDIR:
            raise fault(errno.ENOTDIR)
        return row

    def _file(self, number: int) -> Object:
        row = self._object(number)
        kind = row.mode & S_IFMT
        if kind != S_IFREG:
            raise fault(errno.EISDIR if kind == S_IFDIR else errno.EINVAL)
        return row

    def _attr(self, row: Object) -> Attr:
        number, mode, links, owner, group, size, held, accessed, modified, changed, born, device, _ = row
        names = self._tables.principal_name
        blocks = (held + self._unstored.size(number) + 511) // 512
        return Attr(
            number, mode, links, names(owner), names(group), size, blocks, accessed, modified, changed, born, device
        )

    # ── contents ──

    def _cut(self, row: Object, start: int, stop: int) -> Object:
        """Make a hole in a file; its row, not yet saved."""
        self._unstored.cut(row.number, start, stop)
        if not row.held:
            return row
        cut = self._extents.cut(row.number, start, stop)
        return row._replace(held=row.held - cut) if cut else row

    def _hold(self, number: int, change: int) -> None:
        row = self._tables.object(number)
        if row is not None and change:
            self._tables.save(row._replace(held=row.held + change))

    def _gather(self) -> list[Load]:
        """All that is not stored and not on its way: whole chunks by themselves, the rest side by side."""
        places: list[Place] = []
        for number, piece in self._unstored.unsent():
            piece.sent, piece.data = True, bytes(piece.data)
            places.append(Place(number, piece, 0))
        return packed(places)

    def _kept(self, batch: Batch) -> None:
        """A batch has come to be kept: its pieces are extents now. Those that were overwritten meanwhile are not."""
        with self._held:
            self._rearrange()
            self._extents.add_chapter(batch.number, sum(len(load.content) for load, _ in batch.stored))
            for load, sealed in batch.stored:
                here = [place for place in load.places if self._unstored.take(place.number, place.piece)]
                if here:
                    self._lay(self._extents.add_block(sealed, batch.number), here)
                    self._opened.add(sealed.digest, load.content)
            self._refusal = None
            self._held.freed.notify_all()

    def _lay(self, block: int, places: list[Place]) -> None:
        """Have pieces that were taken lie in a block from now on."""
        for number, piece, skip in places:
            self._extents.insert(number, Extent(piece.start, len(piece.data), block, skip))
            self._hold(number, len(piece.data))
            if piece.start % CHUNK and len(self._scattered) < _SCATTERED:
                self._scattered.add((number, piece.start // CHUNK))

    def _failed(self, batch: Batch) -> None:
        """A batch is not kept: its pieces are to be sent again."""
        with self._held:
            for load in batch.loads:
                for place in load.places:
                    place.piece.sent = False
            self._refusal, self._refused_at = batch.error, self._clock()
            self._held.freed.notify_all()


def packed(places: list[Place]) -> list[Load]:
    """Loads of up to a chunk that have all these pieces, in order. Whole chunks are by themselves."""
    loads: list[Load] = []
    pack: list[Place] = []
    filled = 0
    for number, piece, _ in places:
        if len(piece.data) == CHUNK:
            loads.append(Load(bytes(piece.data), [Place(number, piece, 0)]))
            continue
        if filled + len(piece.data) > CHUNK:
            loads.append(_pack(pack))
            pack, filled = [], 0
        pack.append(Place(number, piece, filled))
        filled += len(piece.data)
    return [*loads, _pack(pack)] if pack else loads


def _pack(places: list[Place]) -> Load:
    return Load(b"".join([place.piece.data for place in places]), places)
