"""Where a storage server keeps what it has: its home, the ledger in it, and shelves."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from commonhold.errors import os_errors
from commonhold.host import disk
from commonhold.storage.ledger import FILE, Ledger, Shelf
from commonhold.transport.home import Home, Sort

SHARES: Final = "shares"
UNBOUNDED: Final = 1 << 60  # bytes: as much as its disk takes
_SORT: Final = Sort("a storage server", "server.toml", "hold server init")


def home(state: Path) -> Home:
    """A server's directory."""
    return Home(state, _SORT)


@contextlib.contextmanager
def opened(state: Path, command: str) -> Iterator[Ledger]:
    """The server's ledger, while no other process has it. BUSY."""
    with home(state).held(command), contextlib.closing(Ledger(state / FILE)) as book:
        yield book


def add_shelf(book: Ledger, path: Path, limit: int | None) -> Shelf:
    """Have a directory take shares; without a limit, as many as its disk does."""
    with os_errors("add shelf", str(path)):
        disk.make_directory(path, 0o700)
    return book.put_shelf(path, UNBOUNDED if limit is None else limit)


def bounded(shelf: Shelf) -> int | None:
    """How many bytes a shelf may take; None if nobody has said."""
    return None if shelf.most == UNBOUNDED else shelf.most
