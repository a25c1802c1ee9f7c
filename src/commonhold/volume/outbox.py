"""Contents on their way into a vault: sealed and sent by a few threads, and handed back once a chapter keeps them.

Loads come in batches, one chapter each. A batch is closed when it is large enough or somebody asks for it; whoever puts
its last load then commits the chapter. Knows nothing of files.
"""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from commonhold.errors import HoldError, from_any
from commonhold.volume.pieces import Piece
from commonhold.volume.vault import Chapter, Sealed, Vault

THREADS = 3
_BATCH = 32 << 20


class Place(NamedTuple):
    """Whose bytes are in a load: a file's piece, and where it lies in the load."""

    number: int
    piece: Piece
    skip: int


class Load(NamedTuple):
    """What one block is to have in it."""

    content: bytes
    places: list[Place]


class Batch:
    """The loads of one chapter."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.loads: list[Load] = []
        self.stored: list[tuple[Load, Sealed]] = []
        self.error: HoldError | None = None
        self.chapter: Chapter | None = None
        self.begun = threading.Lock()
        self.size = 0
        self.left = 0  # loads that are not put yet
        self.closed = False


class Outbox:
    """The way to a vault. `kept` and `failed` are told of each batch, from any thread."""

    def __init__(
        self, vault: Vault, next_chapter: int, kept: Callable[[Batch], None], failed: Callable[[Batch], None]
    ) -> None:
        self._vault = vault
        self._next = next_chapter
        self._kept = kept
        self._failed = failed
        self._turn = threading.Condition()
        self._batches: list[Batch] = []
        self._batch: Batch | None = None  # the one that is open
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="hold-volume")

    def chapter_number(self) -> int:
        """A number for a chapter."""
        with self._turn:
            self._next += 1
            return self._next - 1

    def submit(self, load: Load) -> None:
        """Take a load. Never waits."""
        with self._turn:
            batch = self._batch
            if batch is None:
                batch = self._batch = Batch(self._next)
                self._next += 1
                self._batches.append(batch)
            batch.loads.append(load)
            batch.left += 1
            batch.size += len(load.content)
            if batch.size >= _BATCH:
                self._batch = None
                batch.closed = True
        self._pool.submit(self._put, batch, load)

    def push(self) -> None:
        """Have all that was submitted kept soon."""
        with self._turn:
            batch, self._batch = self._batch, None
            if batch is None:
                return
            batch.closed = True
            mine = not batch.left
        if mine:
            self._pool.submit(self._finish, batch)

    def flush(self) -> None:
        """Return when all that was submitted is kept, and was handed back; the first error of it."""
        self.push()
        with self._turn:
            waiting = list(self._batches)
            self._turn.wait_for(lambda: not any(batch in self._batches for batch in waiting))
        for batch in waiting:
            if batch.error is not None:
                raise batch.error

    def close(self) -> None:
        """End the threads, when all that was submitted is done with."""
        self.push()
        with self._turn:
            self._turn.wait_for(lambda: not self._batches)
        self._pool.shutdown()

    def _put(self, batch: Batch, load: Load) -> None:
        if batch.error is None:
            self._attempt(batch, lambda: batch.stored.append((load, self._chapter(batch).put(load.content))))
        with self._turn:
            batch.left -= 1
            mine = batch.closed and not batch.left
        if mine:
            self._finish(batch)

    def _chapter(self, batch: Batch) -> Chapter:
        with batch.begun:
            if batch.chapter is None:
                batch.chapter = self._vault.begin(batch.number)
            return batch.chapter

    def _finish(self, batch: Batch) -> None:
        self._attempt(batch, lambda: self._commit(batch))
        self._attempt(batch, lambda: (self._kept if batch.error is None else self._failed)(batch))
        with self._turn:
            self._batches.remove(batch)
            self._turn.notify_all()

    def _commit(self, batch: Batch) -> None:
        if batch.chapter is None:
            return
        try:
            if batch.error is None:
                batch.chapter.commit()
        finally:
            batch.chapter.close()

    def _attempt(self, batch: Batch, step: Callable[[], None]) -> None:
        try:
            step()
        except Exception as error:  # noqa: BLE001 whoever waits for the batch is told
            batch.error = batch.error or from_any("store", error)
