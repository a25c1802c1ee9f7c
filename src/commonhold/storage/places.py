"""Where a storage server keeps what it has: one directory, its owner's alone, in which one process works at a time."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from commonhold.crypto import sign
from commonhold.errors import HoldError, Kind, os_errors
from commonhold.formats import pin
from commonhold.formats.keys import Seed, decode_pem, encode_pem, seed_of
from commonhold.formats.pin import SpkiPin
from commonhold.host import disk, private
from commonhold.host.locked import DirectoryLock
from commonhold.storage.ledger import FILE, Ledger, Shelf

CONFIG: Final = "server.toml"
SHARES: Final = "shares"
_KEY: Final = "server.pem"
UNBOUNDED: Final = 1 << 60  # bytes: as much as its disk takes


def prepare(state: Path) -> None:
    """Make a server's directory, and its key, where there are none: the key is who the server is, for good."""
    with os_errors("make server", str(state)):
        disk.make_directory(state, 0o700)
    directory = _directory(state)
    if _KEY not in directory.names():
        directory.place(_KEY, encode_pem(seed_of(os.urandom(32))))


def key(state: Path) -> Seed:
    """The server's key. NOT_FOUND where there is no server."""
    try:
        return decode_pem(_directory(state).read(_KEY)).seed
    except HoldError as error:
        if error.kind is Kind.NOT_FOUND:
            raise _no_server(state) from error
        raise


def pin_of(state: Path) -> SpkiPin:
    """Who the server is."""
    return pin.pin_of(sign.public_key(key(state)))


@contextlib.contextmanager
def opened(state: Path, command: str) -> Iterator[Ledger]:
    """The server's ledger, while no other process has it. BUSY."""
    if not (state / CONFIG).exists():
        raise _no_server(state)
    lock = DirectoryLock(state, command)
    try:
        with contextlib.closing(Ledger(state / FILE)) as book:
            yield book
    finally:
        lock.release()


def add_shelf(book: Ledger, path: Path, limit: int | None) -> Shelf:
    """Have a directory take shares; without a limit, as many as its disk does."""
    with os_errors("add shelf", str(path)):
        disk.make_directory(path, 0o700)
    return book.put_shelf(path, UNBOUNDED if limit is None else limit)


def bounded(shelf: Shelf) -> int | None:
    """How many bytes a shelf may take; None if nobody has said."""
    return None if shelf.most == UNBOUNDED else shelf.most


def _directory(state: Path) -> private.PrivateDirectory:
    return private.PrivateDirectory("open server", state, os.geteuid())


def _no_server(state: Path) -> HoldError:
    return HoldError("open server", Kind.NOT_FOUND, str(state), "there is no server", hint="hold server init")
