"""What a storage server's owner tells it to do, as JSON: the same whether it runs, by its control socket, or not.

docs/spec/storage.md, "The owner's orders". What is said here is the owner's, and checked all the same.
"""

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from commonhold.errors import HoldError, Kind
from commonhold.ipc.control import Order, Told
from commonhold.storage import config, places
from commonhold.storage.keeping import Keeper
from commonhold.storage.ledger import Ledger, Shelf
from commonhold.storage.places import UNBOUNDED, bounded
from commonhold.storage.shelving import Shelves

_MAX_PATH: Final = 4095


@dataclass(frozen=True, slots=True)
class Orders:
    """See the module. `keeper` is the one that runs, or makes one for who asks; `runs`: whether the server does."""

    ledger: Ledger
    keeper: Callable[[], Keeper]
    runs: bool

    def do(self, order: Order) -> Told:
        """Do what an order says; how all is then. USAGE for what is none."""
        match order.get("do"):
            case "show":
                return self._shown()
            case "add":
                return self._added(_path(order), _limit(order))
            case "drain" if order.get("path") is None:
                self.keeper().leave(True)
            case "drain":
                self.keeper().empty_shelf(self._shelf(_path(order)))
            case "cancel" if order.get("path") is None:
                self.keeper().leave(False)
            case "cancel":
                self.keeper().keep_shelf(self._shelf(_path(order)))
            case other:
                raise HoldError("order", Kind.USAGE, str(other)[:40], "no such order")
        return self._shown()

    def _shown(self) -> Told:
        left = self.ledger.left()
        return {
            "runs": self.runs,
            "leaving": self.ledger.leaving(),
            "accounts": left.accounts,
            "shares": left.shares,
            "bytes": left.bytes,
            "until": left.until,
            "shelves": [self._row(shelf) for shelf in self.ledger.shelves()],
        }

    def _row(self, shelf: Shelf) -> dict[str, Any]:
        waiting = self.keeper().mover.waiting(shelf.id) if shelf.leaving is not None else None
        return {
            "path": str(shelf.path),
            "bytes": shelf.used,
            "limit": bounded(shelf),
            "leaving": shelf.leaving,
            "waiting": waiting.count if waiting else 0,
            "why": waiting.why if waiting else None,
        }

    def _added(self, path: Path, limit: int | None) -> Told:
        if self.runs:
            return self._row(self.keeper().add_shelf(path, UNBOUNDED if limit is None else limit))
        return self._row(places.add_shelf(self.ledger, path, limit))

    def _shelf(self, path: Path) -> Shelf:
        for shelf in self.ledger.shelves():
            if shelf.path == path:
                return shelf
        why = "this server keeps no shares there"
        raise HoldError("drain", Kind.NOT_FOUND, str(path), why, hint="hold server show STATE")


@contextlib.contextmanager
def offline(state: Path, command: str) -> Iterator[Orders]:
    """The orders of a server that does not run, while no other process has it. BUSY."""
    with places.opened(state, command) as book, contextlib.ExitStack() as stack:
        made: list[Keeper] = []

        def keeper() -> Keeper:
            if not made:
                reserve = config.read(places.home(state).config).reserve
                made.append(Keeper(book, Shelves(book.shelves(), reserve), lambda: int(time.time()), os.urandom))
                stack.callback(made[0].close)
            return made[0]

        yield Orders(book, keeper, False)


def _path(order: Order) -> Path:
    said = order.get("path")
    if not isinstance(said, str) or not said.startswith("/") or "\0" in said or len(os.fsencode(said)) > _MAX_PATH:
        raise HoldError("order", Kind.USAGE, "path", "not the path of a directory, from /")
    return Path(said)


def _limit(order: Order) -> int | None:
    said = order.get("limit")
    if said is not None and (not isinstance(said, int) or isinstance(said, bool) or not 0 <= said <= UNBOUNDED):
        raise HoldError("order", Kind.USAGE, "limit", f"not a number of bytes from 0 to {UNBOUNDED}")
    return said
