"""Opening the repository a command works on: found, locked, opened, and closed again."""

import argparse
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from commonhold.cli.output import Output
from commonhold.errors import os_errors
from commonhold.host.repository import Choice, Lock, find, require

if TYPE_CHECKING:
    from commonhold.agent.keystore import Keystore
    from commonhold.agent.names import Names
    from commonhold.agent.naming import Found, Named
    from commonhold.blockstore.store import Store
    from commonhold.formats.cid import Cid
    from commonhold.node.records import RecordStore


def choose(args: argparse.Namespace) -> Choice:
    """Which repository this is about."""
    home = os.environ.get("HOME")
    with os_errors("find", "the working directory"):
        here = Path.cwd()
    return find(args.repo, os.environ.get("HOLD_REPO"), here, Path(home) if home else None, os.geteuid())


@contextmanager
def opened(args: argparse.Namespace, out: Output, before: Callable[[Path], None] | None = None) -> Iterator["Opened"]:
    """The repository's store, for as long as the block runs. `before` is done under the lock, before it opens."""
    from commonhold.blockstore.store import Store

    choice = choose(args)
    for path, why in choice.passed_over:
        out.remark(f"note: passed over {path}: {why}")
    lock = Lock(choice.path, " ".join(args.argv)[:200])
    try:
        if before is not None:
            before(choice.path)
        with Store(choice.path) as store:
            for note in store.notes:
                out.remark(f"note: {note}")
            repository = Opened(choice.path, store)
            try:
                yield repository
            finally:
                repository.close()
    finally:
        lock.release()


def keystore(args: argparse.Namespace) -> "Keystore":
    """The keys of the repository that a command works on. Needs no lock: each change is whole."""
    from commonhold.agent.keystore import Keystore

    path = choose(args).path
    require(path)
    return Keystore(path, os.geteuid())


class Opened:
    """An open repository: the node and the agent of one user, in this process."""

    def __init__(self, path: Path, store: "Store") -> None:
        from commonhold.agent.blocks import Blocks

        self.path = path
        self.store = store
        self.blocks = Blocks(store, self._follow)
        self._records: RecordStore | None = None

    def find(self, named: "Named") -> "Found":
        """What a word of the command names, opened if it is sealed."""
        from commonhold.agent.naming import find

        return find(named, self.blocks)

    @property
    def names(self) -> "Names":
        """The names that the records kept here tell of."""
        from commonhold.agent.names import Names
        from commonhold.node import records

        if self._records is None:
            self._records = records.RecordStore(self.path / records.FILE)
        return Names(self._records, os.geteuid())

    def _follow(self, cid: "Cid", path: "Sequence[str]") -> "tuple[Cid, Sequence[str]]":
        from commonhold.formats import ipns

        return self.names.resolve(ipns.name_of_cid(cid), path, time.time_ns())

    def close(self) -> None:
        """Close what was opened beside the store."""
        if self._records is not None:
            self._records.close()
