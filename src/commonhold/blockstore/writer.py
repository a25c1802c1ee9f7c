"""The writer: one thread that puts frames into segments and commits them in groups. A commit is one sync of the
segment and one transaction of the index; only then is a block acknowledged.

A write that fails ends every session under way: what they were told of is not there. After a full disk, what was not
acknowledged is taken back and new sessions may write; after any other failure nobody may until the store is opened
anew.
"""

import queue
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

from commonhold.blockstore.catalog import Catalog
from commonhold.blockstore.frame import Frame
from commonhold.blockstore.index import Index, Row
from commonhold.blockstore.layout import Place
from commonhold.blockstore.segments import Segments
from commonhold.errors import HoldError, Kind, from_os
from commonhold.formats.multihash import Multihash

RING = 3
GROUP_BYTES = 64 << 20
GROUP_SECONDS = 0.1


class Owner(Protocol):
    """Whoever a frame's blocks belong to: a session, or the compaction."""

    @property
    def since(self) -> int:
        """The writer's `failures` when it began."""
        ...

    def prepare(self, rows: list[tuple[Multihash, Row]]) -> None:
        """The blocks are on disk and not yet in the index: say in the catalogue what that makes obsolete."""
        ...

    def enter(self, txn: Any, rows: list[tuple[Multihash, Row]]) -> None:
        """Enter the blocks in the index."""
        ...

    def entered(self, rows: list[tuple[Multihash, Row]]) -> None:
        """The blocks are in the index, durably."""
        ...


@dataclass(slots=True)
class _Group:
    """What was written and is not yet acknowledged."""

    blocks: list[tuple[Owner, list[tuple[Multihash, Row]]]] = field(default_factory=list)
    size: int = 0
    since: float = 0.0


class Writer:
    """Takes full frames, gives back empty ones. `pending` has what is submitted and not yet in the index."""

    def __init__(
        self,
        segments: Segments,
        catalog: Catalog,
        index: Index,
        mutex: threading.RLock,
        change: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self._segments = segments
        self._catalog = catalog
        self._index = index
        self._mutex = mutex  # the store's: nobody may hold it and wait for the writer
        self._change = change  # the store's: catalogue and index change together
        self._queue: queue.SimpleQueue[tuple[Frame, Owner] | threading.Event | None] = queue.SimpleQueue()
        self._free: queue.SimpleQueue[Frame] = queue.SimpleQueue()
        self._made = 0
        self._group = _Group()
        self._thread: threading.Thread | None = None
        self._order = threading.Lock()  # whoever sees a block pending and flushes waits for that block
        self._error: HoldError | None = None  # the last failure
        self.usable = True  # by sessions that begin now
        self.failures = 0
        self.pending: set[Multihash] = set()
        self.holes: list[tuple[Place, int]] = []  # disk space to be given back when nobody waits

    # ── for sessions ──

    def check(self, since: int) -> None:
        """Raise what failed since somebody began, or for good."""
        if self._error is not None and (since != self.failures or not self.usable):
            raise self._error

    def fail(self, error: HoldError) -> None:
        """Write nothing more until the store is opened anew."""
        self._error = error
        self.usable = False

    def frame(self, *, wait: bool) -> Frame | None:
        """An empty frame; None if all are busy and the caller would rather not wait."""
        try:
            return self._free.get_nowait()
        except queue.Empty:
            if self._made < RING:
                self._made += 1
                return Frame()
            return self._free.get() if wait else None

    def give_back(self, frame: Frame) -> None:
        """Return a frame that has nothing to write."""
        frame.reset()
        self._free.put(frame)

    def submit(self, frame: Frame, owner: Owner, *, new: bool = True) -> None:
        """Have a frame written; it comes back to the ring by itself. `new`: its blocks may be nowhere else."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="hold-writer", daemon=True)
            self._thread.start()
        with self._order:
            if new:
                self.pending.update(frame.keys())
            self._queue.put((frame, owner))

    def flush(self) -> None:
        """Return when all that was submitted is acknowledged, or has failed: see `check`."""
        if self._thread is not None:
            done = threading.Event()
            with self._order:
                self._queue.put(done)
            done.wait()

    def close(self) -> None:
        """Acknowledge what is under way and end the thread."""
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join()
            self._thread = None

    # ── the thread ──

    def _run(self) -> None:
        while True:
            try:
                item = self._queue.get(timeout=self._patience())
            except queue.Empty:
                self._attempt(self._commit)
                self._attempt(self._punch)
                continue
            if isinstance(item, tuple):
                frame, owner = item
                self._attempt(lambda frame=frame, owner=owner: self._write(frame, owner))  # type: ignore[misc]
                self.give_back(frame)
                if self._due():
                    self._attempt(self._commit)
                continue
            self._attempt(self._commit)
            if item is None:
                self._attempt(self._punch)
                return
            item.set()

    def _attempt(self, step: Callable[[], None]) -> None:
        """Do a step unless one failed for good before. Whatever happens, whoever waits for this thread is answered."""
        if not self.usable:
            return
        try:
            step()
        except OSError as error:
            self._failed(from_os("write", "the block store", error))
        except HoldError as error:
            self._failed(error)
        except Exception as error:  # noqa: BLE001 a thread that ended would leave everybody waiting
            self._failed(HoldError("write", Kind.FAILED, "the block store", f"{type(error).__name__}: {error}"))

    def _failed(self, error: HoldError) -> None:
        """End the sessions under way, and take back what was not acknowledged if that is all there is to it."""
        self._group = _Group()
        with self._order:
            self.pending.clear()
            self._error = error
            self.failures += 1
        if error.kind not in (Kind.DISK_FULL, Kind.QUOTA):
            self.usable = False
            return
        try:
            self._segments.cut_back()
        except OSError:
            self.usable = False

    def _patience(self) -> float | None:
        if not self._group.blocks:
            return GROUP_SECONDS if self.holes else None
        return max(0.0, self._group.since + GROUP_SECONDS - time.monotonic())

    def _punch(self) -> None:
        holes, self.holes = self.holes, []
        self._segments.punch(holes)

    def _due(self) -> bool:
        group = self._group
        return bool(group.blocks) and (group.size >= GROUP_BYTES or time.monotonic() - group.since >= GROUP_SECONDS)

    def _write(self, frame: Frame, owner: Owner) -> None:
        if owner.since != self.failures:
            self.pending.difference_update(frame.keys())
            return
        self._segments.make_room(frame.size + (1 << 20))
        parts, size, blocks = frame.seal(self._segments.frame_key())
        place = self._segments.append(parts, size)
        if not self._group.blocks:
            self._group.since = time.monotonic()
        rows = [(key, Row(Place(place.segment, place.offset + offset), length, 1)) for key, offset, length in blocks]
        self._group.blocks.append((owner, rows))
        self._group.size += size

    def _commit(self) -> None:
        group = self._group
        if not group.blocks:
            return
        self._segments.sync()
        tail = self._segments.tail
        with self._mutex, self._change():
            for owner, rows in group.blocks:
                owner.prepare(rows)
            with self._index.write() as txn:
                for owner, rows in group.blocks:
                    owner.enter(txn, rows)
                self._index.update_mark(txn, segment=tail.segment, end=tail.offset, catalog=self._catalog.end)
        self._segments.acknowledged()
        for owner, rows in group.blocks:
            owner.entered(rows)
            self.pending.difference_update([key for key, _ in rows])
        self._group = _Group()
