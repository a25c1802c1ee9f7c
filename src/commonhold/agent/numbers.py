"""The numbers that a kernel knows objects by, which outlive the process that gave them: a table in SQLite.

It is written for kill -9, not for a power cut, which no mount survives. docs/spec/mount.md, "The public tree".
"""

import errno
import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple, TypeAlias

from commonhold.formats.cid import Cid

BY_CID, BY_TARGET = 0, -1  # places of what has its number wherever it is found; any other place is a directory's number
IDLE = 1 << 16
_TRIMMED_EVERY = 1024
_KEPT = 1 << 16  # objects in memory
_NO_TABLE = (sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_SCHEMA = """
create table objects (
  number integer primary key autoincrement, place integer not null, name blob not null, cid blob not null,
  mode integer not null, size integer, mtime integer not null, target blob not null, idle integer,
  unique (place, name));
create index idle on objects (idle) where idle is not null;
create table epoch (epoch blob not null);
insert into sqlite_sequence (name, seq) values ('objects', 1);
"""
_GIVE = """
insert into objects (place, name, cid, mode, size, mtime, target, idle) values (?, ?, ?, ?, ?, ?, ?, ?)
on conflict do update set size = coalesce(size, excluded.size), idle = iif(excluded.idle is null, null, idle)
returning number
"""
_TRIM = """
delete from objects where number in (
  select number from objects as one
  where idle is not null and not exists (select 1 from objects as other where other.place = one.number)
  order by idle limit max(0, (select count(*) from objects where idle is not null) - ?))
"""


_Row: TypeAlias = tuple[int, int, bytes, bytes, int, int | None, int, bytes, int | None]


class Object(NamedTuple):
    """What has a number: `name` at a `place`. `mode` is its type and permissions; a size of None was not asked for yet.

    `mtime` in nanoseconds since 1970.
    """

    place: int
    name: bytes
    cid: Cid
    mode: int
    size: int | None
    mtime: int
    target: bytes


class Numbers:
    """Objects by number, from 2 on, none used again in an epoch. Safe from many threads. Errors are OSError.

    What the kernel has no reference to is idle: known until `idle` others are. An answer may cross with word that the
    kernel has forgotten, so what it asks about is idle no longer.
    """

    def __init__(self, path: Path, idle: int = IDLE) -> None:
        self._path = path
        self._idle = idle
        self._lock = threading.Lock()
        self._kept: dict[int, Object] = {}
        self._db: sqlite3.Connection | None = None
        self._clock = 0
        self._until_trim = 1

    def begin(self, epoch: bytes) -> None:
        """Go on with an epoch's numbers; those of another are gone, and so is what is no such table."""
        with self._lock:
            self._close()
            with _told():
                if not self._open(epoch):
                    self._close()
                    for ending in ("", "-wal", "-shm"):
                        with suppress(FileNotFoundError):
                            os.unlink(f"{self._path}{ending}")
                    self._make(epoch)

    def close(self) -> None:
        """Close the table; its numbers stay."""
        with self._lock:
            self._close()

    def _close(self) -> None:
        self._kept.clear()
        if self._db is not None:
            self._db.close()
            self._db = None

    def _connect(self) -> sqlite3.Connection:
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
        self._db = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        return self._db

    def _open(self, epoch: bytes) -> bool:
        """Open what is there; whether it is a table of this epoch."""
        db = self._connect()
        try:
            self._prepare(db)
            if db.execute("select epoch from epoch").fetchone() != (epoch,):
                return False
            self._clock = db.execute("select coalesce(max(idle), 0) from objects").fetchone()[0]
        except sqlite3.DatabaseError as error:
            if error.sqlite_errorcode & 0xFF not in _NO_TABLE:
                raise
            return False
        return True

    def _prepare(self, db: sqlite3.Connection) -> None:
        db.execute("pragma journal_mode = wal")
        db.execute("pragma synchronous = off")

    def _make(self, epoch: bytes) -> None:
        db = self._connect()
        self._prepare(db)
        db.executescript(f"begin; {_SCHEMA}")
        db.execute("insert into epoch values (?)", (epoch,))
        db.execute("commit")
        self._clock = 0

    # ── giving and taking ──

    def give(self, objects: Sequence[Object], *, held: bool) -> list[int]:
        """The numbers of objects. `held`: the kernel gets a reference to each."""
        with self._using() as db:
            db.execute("begin")
            try:
                numbers = [self._give(db, one, held) for one in objects]
            finally:
                db.execute("commit")
            return numbers

    def _give(self, db: sqlite3.Connection, one: Object, held: bool) -> int:
        if not held:
            self._age(db)
        number: int = db.execute(_GIVE, (*one, None if held else self._clock)).fetchone()[0]
        if held:
            self._keep(number, one)
        return number

    def known(self, place: int, name: bytes) -> tuple[int, Object] | None:
        """What has a number at a place already. The kernel gets a reference to it."""
        with self._using() as db:
            found = db.execute("select * from objects where place = ? and name = ?", (place, name)).fetchone()
            return None if found is None else (found[0], self._held(db, found))

    def object(self, number: int) -> Object:
        """What has a number. ENOENT."""
        kept = self._kept.get(number)
        if kept is not None:
            return kept
        with self._using() as db:
            found = db.execute("select * from objects where number = ?", (number,)).fetchone()
            if found is None:
                raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
            return self._held(db, found)

    def forget(self, numbers: Sequence[int]) -> None:
        """The kernel has no reference to these left."""
        with self._using() as db:
            db.execute("begin")
            try:
                for number in numbers:
                    self._kept.pop(number, None)
                    self._age(db)
                    db.execute("update objects set idle = ? where number = ?", (self._clock, number))
            finally:
                db.execute("commit")

    def _age(self, db: sqlite3.Connection) -> None:
        """Count what becomes idle; from time to time let go of what has been so for longest.

        A directory stays while something is in it that does: the kernel forgets what is below first.
        """
        self._clock += 1
        self._until_trim -= 1
        if self._until_trim <= 0:
            self._until_trim = min(_TRIMMED_EVERY, self._idle)
            db.execute(_TRIM, (self._idle,))

    def _held(self, db: sqlite3.Connection, row: _Row) -> Object:
        number, place, name, cid, mode, size, mtime, target, idle = row
        if idle is not None:
            db.execute("update objects set idle = null where number = ?", (number,))
        one = Object(place, name, Cid(cid), mode, size, mtime, target)
        self._keep(number, one)
        return one

    def _keep(self, number: int, one: Object) -> None:
        if len(self._kept) >= _KEPT:
            self._kept.clear()
        self._kept[number] = one

    @contextmanager
    def _using(self) -> Iterator[sqlite3.Connection]:
        with self._lock, _told():
            if self._db is None:
                raise OSError(errno.EIO, "no epoch was begun")
            yield self._db


@contextmanager
def _told() -> Iterator[None]:
    """Run a block whose SQLite errors are a program's to know."""
    try:
        yield
    except sqlite3.Error as error:
        full = getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL
        raise OSError(errno.ENOSPC if full else errno.EIO, str(error)) from error
