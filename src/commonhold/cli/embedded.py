"""Node and agent of one user in this process: the repository is locked for as long as a command has it."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from commonhold.agent.local import LocalAgent
from commonhold.agent.opened import Opened
from commonhold.api import Reclaimed, Records, Report
from commonhold.blockstore.store import Store
from commonhold.cli.output import Output
from commonhold.errors import HoldError
from commonhold.host.repository import Lock, node_socket


@contextmanager
def locked(path: Path, words: str, out: Output, before: Callable[[Path], None] | None) -> Iterator[LocalAgent]:
    """An agent that has the repository to itself. `words` say who has it; `before` is done under the lock, before it
    opens.
    """
    lock = Lock(path, words[:200])
    try:
        if before is not None:
            before(path)
        with Store(path) as store:
            for note in store.notes:
                out.remark(f"note: {note}")
            with _closing(Embedded(path, store)) as repository:
                yield LocalAgent(repository)
    finally:
        lock.release()


@contextmanager
def _closing(repository: "Embedded") -> Iterator["Embedded"]:
    """Close it when a block ends. What ended the block early is the error then, whatever it keeps us from."""
    try:
        yield repository
    except BaseException:
        with suppress(HoldError, OSError):
            repository.close()
        raise
    repository.close()


class Embedded(Opened):
    """A store that this process has opened itself."""

    def __init__(self, path: Path, store: Store) -> None:
        super().__init__(path, store, os.geteuid())
        self._local = store
        self._records: Records | None = None

    @property
    def node(self) -> Path:
        """See `Opened`."""
        return node_socket(self.path).absolute()

    def records(self) -> Records:
        """See `Opened`."""
        from commonhold.node import records

        if self._records is None:
            self._records = records.RecordStore(self.path / records.FILE)
        return self._records

    def collect(self, *, despite_doubt: bool) -> Reclaimed:
        """See `Opened`."""
        from commonhold.blockstore.reclaim import collect

        return collect(self._local, despite_doubt=despite_doubt)

    def verify(self, tell: Callable[[int], None]) -> Report:
        """See `Opened`."""
        from commonhold.blockstore.verify import verify

        return verify(self._local, tell)

    def close(self) -> None:
        """See `Opened`."""
        try:
            super().close()
        finally:
            if self._records is not None:
                self._records.close()
