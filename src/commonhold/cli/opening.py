"""Opening the repository a command works on: found, locked, opened, and closed again."""

import argparse
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from commonhold.cli.output import Output
from commonhold.host.repository import Choice, Lock, find, require

if TYPE_CHECKING:
    from commonhold.agent.keystore import Keystore
    from commonhold.agent.naming import Found, Named
    from commonhold.blockstore.store import Store


def choose(args: argparse.Namespace) -> Choice:
    """Which repository this is about."""
    home = os.environ.get("HOME")
    return find(args.repo, os.environ.get("HOLD_REPO"), Path.cwd(), Path(home) if home else None, os.geteuid())


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
            yield Opened(choice.path, store)
    finally:
        lock.release()


def keystore(args: argparse.Namespace) -> "Keystore":
    """The keys of the repository that a command works on. Needs no lock: each change is whole."""
    from commonhold.agent.keystore import Keystore

    path = choose(args).path
    require(path)
    return Keystore(path, os.geteuid())


class Opened:
    """An open repository."""

    def __init__(self, path: Path, store: "Store") -> None:
        from commonhold.agent.blocks import Blocks

        self.path = path
        self.store = store
        self.blocks = Blocks(store)

    def find(self, named: "Named") -> "Found":
        """What a word of the command names, opened if it is sealed."""
        from commonhold.agent.naming import find

        return find(named, self.blocks)
