"""A small SQLite file of one process: made where there is none; its transactions are on disk when they end.

Knows no tables: a schema and its version are given.
"""

import os
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from commonhold.errors import HoldError, Kind, os_errors
from commonhold.host import disk

_KINDS = {
    sqlite3.SQLITE_FULL: Kind.DISK_FULL,
    sqlite3.SQLITE_BUSY: Kind.BUSY,
    sqlite3.SQLITE_CORRUPT: Kind.CORRUPT,
    sqlite3.SQLITE_NOTADB: Kind.CORRUPT,
    sqlite3.SQLITE_READONLY: Kind.DENIED,
    sqlite3.SQLITE_CANTOPEN: Kind.DENIED,
}


class Database:
    """See the module; of mode 0600, WAL, full sync. Safe from many threads, of which one is in it at a time."""

    def __init__(
        self, path: Path, schema: str, version: int, what: str, upgrades: Mapping[int, str] | None = None
    ) -> None:
        """VERSION if the file is of another one; `what` says what is in it. `upgrades`: what makes this version of an
        older one."""
        self._path = str(path)
        self._mutex = threading.Lock()
        with os_errors("open", self._path):
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
            disk.sync_directory(str(path.parent))
        with self._errors("open"):
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            try:
                self._prepare(schema, version, what, upgrades or {})
            except BaseException:
                self._db.close()
                raise

    def _prepare(self, schema: str, version: int, what: str, upgrades: Mapping[int, str]) -> None:
        self._db.execute("pragma journal_mode = wal")
        self._db.execute("pragma synchronous = full")
        found = self._db.execute("pragma user_version").fetchone()[0]
        if found == 0:
            self._make(schema, version)
        elif found in upgrades:
            self._make(upgrades[found], version)
        elif found != version:
            why = f"{what} of format {found}; this program knows format {version}"
            raise HoldError("open", Kind.VERSION, self._path, why, hint="use a newer hold")

    def _make(self, tables: str, version: int) -> None:
        """Make this version, unless another process has just done so."""
        try:
            self._db.executescript(f"begin immediate; {tables} pragma user_version = {version}; commit;")
        except sqlite3.OperationalError:
            if self._db.in_transaction:
                self._db.execute("rollback")
            if self._db.execute("pragma user_version").fetchone()[0] != version:
                raise

    @contextmanager
    def reading(self, op: str) -> Iterator[sqlite3.Connection]:
        """Look, while nobody changes anything."""
        with self._mutex, self._errors(op):
            yield self._db

    @contextmanager
    def writing(self, op: str) -> Iterator[sqlite3.Connection]:
        """One transaction, on disk when the block has ended well."""
        with self._mutex, self._errors(op):
            self._db.execute("begin immediate")
            try:
                yield self._db
                self._db.execute("commit")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("rollback")
                raise

    def close(self) -> None:
        """Close the file."""
        with self._mutex:
            self._db.close()

    @contextmanager
    def _errors(self, op: str) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            raise HoldError(op, _KINDS.get(code, Kind.FAILED), self._path, str(error)) from error
