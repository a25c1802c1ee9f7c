"""A volume's metadata in SQLite: rows in, rows out. Knows no rule of POSIX. docs/spec/volume.md.

All that was changed since the last `commit` is one open transaction, which stays in memory until then. Not safe from
several threads: whoever owns it has a lock. Errors are sqlite3's, but of opening and committing HoldError.
"""

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from commonhold.errors import HoldError, Kind, os_errors
from commonhold.host import disk
from commonhold.host.repository import VOLUME
from commonhold.trees import MAX_NUMBER
from commonhold.volume.extents import Extents

VERSION = 1
FILE = VOLUME
_SPARE = 1 << 24  # numbers passed over at every opening: those of what a crash undid are never used again
_ROWS = 4096  # of objects that are remembered
_PAGES = 8  # that a change of one row changes, but for new ones
_FRAME = 4096 + 24
_STEP = 1 << 20
_LOG = 32 << 20  # bytes of the log that are kept when it is begun anew
_SCHEMA = """
create table meta (name text primary key, value not null) without rowid;
create table principal (number integer primary key, name text not null unique);
create table object (
  number integer primary key, mode integer not null, links integer not null, owner integer not null,
  grp integer not null, size integer not null, held integer not null, accessed integer not null,
  modified integer not null, changed integer not null, born integer not null, device integer not null,
  parent integer not null, target blob not null);
create index orphan on object (number) where links = 0;
create table entry (
  parent integer not null, name blob not null, number integer not null, position integer not null,
  primary key (parent, name)) without rowid;
create index listing on entry (parent, position, number);
create table xattr (object integer not null, name blob not null, value blob not null, primary key (object, name));
create table extent (
  object integer not null, start integer not null, length integer not null, block integer not null,
  skip integer not null, primary key (object, start)) without rowid;
create index user on extent (block);
create table block (
  number integer primary key, length integer not null, live integer not null, chapter integer not null,
  digest blob not null, key blob not null, plain blob not null, data blob);
create index member on block (chapter);
create index thin on block (number) where live * 2 < length;
create table chapter (number integer primary key, total integer not null, live integer not null);
"""
_KINDS = {
    sqlite3.SQLITE_FULL: Kind.DISK_FULL,
    sqlite3.SQLITE_NOMEM: Kind.NO_MEMORY,
    sqlite3.SQLITE_BUSY: Kind.BUSY,
    sqlite3.SQLITE_CORRUPT: Kind.CORRUPT,
    sqlite3.SQLITE_NOTADB: Kind.CORRUPT,
    sqlite3.SQLITE_READONLY: Kind.DENIED,
    sqlite3.SQLITE_CANTOPEN: Kind.DENIED,
}
_OBJECT = "number, mode, links, owner, grp, size, held, accessed, modified, changed, born, device, parent"


class Object(NamedTuple):
    """A row of an object. `held` are its bytes in extents; `parent` is a directory's own, else 0."""

    number: int
    mode: int
    links: int
    owner: int
    group: int
    size: int
    held: int
    accessed: int
    modified: int
    changed: int
    born: int
    device: int
    parent: int


class Entry(NamedTuple):
    """A row of a directory."""

    number: int
    position: int


class Tables:
    """The tables of one volume."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._path = str(path)
        self._turn = -1
        with self._errors("open"):
            self.db = sqlite3.connect(f"file:{_quoted(path)}?mode=rw", uri=True, isolation_level=None, timeout=0.5,
                                      check_same_thread=False, cached_statements=256)  # fmt: skip
            try:
                self._prepare()
            except BaseException:
                self.close()
                raise
        self._before = (0, 0, 0)  # when the transaction began
        self._aside = self._size = 0  # bytes of the log that there is disk space for, and its own
        self._rows: dict[int, Object] = {}  # as they are in the tables, some of them
        self._principals: dict[str, int] = {}
        self._names: dict[int, str] = {}
        for number, name in self.db.execute("select number, name from principal"):
            self._remember(number, name)
        self.committed = int(self.meta("next"))  # which no two commits have the same
        self.next = self.committed + _SPARE
        self._again: int | None = None  # while calls are done again: the next number, as it was then
        self.extents = Extents(self.db, self.ticket)

    def _prepare(self) -> None:
        self._sole()
        execute = self.db.execute
        version = execute("pragma user_version").fetchone()[0]
        if version != VERSION:
            why = f"a volume of format {version}; this program knows format {VERSION}"
            raise HoldError(
                "open", Kind.VERSION, self._path, why, hint="use a newer hold" if version > VERSION else None
            )
        execute("pragma journal_mode = wal")
        execute("pragma synchronous = full")
        execute("pragma cache_spill = off")
        execute("pragma cache_size = -32768")
        execute("pragma wal_autocheckpoint = 4096")
        execute(f"pragma journal_size_limit = {_LOG}")

    def _sole(self) -> None:
        """Be the only process that has it open. SQLite's own lock for that would keep out a `Point` of ours, too."""
        with os_errors("open", self._path):
            self._turn = os.open(f"{self._path}-lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(self._turn, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise HoldError("open", Kind.BUSY, self._path, "another process has it open") from None

    def close(self) -> None:
        """Close the file; what was not committed is gone."""
        self.db.close()
        if self._turn >= 0:
            os.close(self._turn)
            self._turn = -1

    # ── transactions ──

    def begin(self) -> bool:
        """Begin a transaction unless there is one; whether there was none."""
        if self.db.in_transaction:
            return False
        self.db.execute("begin immediate")
        self._before = self._measure()
        return True

    @property
    def changed(self) -> bool:
        """Whether there is something to commit."""
        return self.db.in_transaction

    def _measure(self) -> tuple[int, int, int]:
        """Rows that were changed so far, pages, and pages that are free."""
        pages = self.db.execute("pragma page_count").fetchone()[0]
        return self.db.total_changes, pages, self.db.execute("pragma freelist_count").fetchone()[0]

    def set_aside(self) -> None:
        """Give the log the disk space that a commit will need at most; OSError if there is none.

        A commit that finds the disk full undoes what was done. Each row that was changed has changed a few pages.
        """
        (rows, pages, free), (rows_before, pages_before, free_before) = self._measure(), self._before
        changed = _PAGES * (rows - rows_before) + pages - pages_before + max(0, free_before - free)
        size = os.stat(f"{self._path}-wal").st_size
        if size < self._size:  # it was begun anew, and cut
            self._aside = 0
        self._size = size
        need = size + (min(pages, changed) + _PAGES) * _FRAME
        if need > self._aside:
            need = -(-need // _STEP) * _STEP
            with open(f"{self._path}-wal", "rb+", buffering=0) as log:
                disk.set_aside(log.fileno(), 0, need)
            self._aside = need

    def commit(self) -> None:
        """All changes are on disk on return."""
        with self._errors("commit"):
            self.set_meta("next", self.ticket() + 1)
            self.db.execute("commit")
        self.committed = self.next

    @contextmanager
    def _errors(self, op: str) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise translated(op, self._path, error) from error

    def ticket(self) -> int:
        """A number that was never given out before: of objects, of positions in directories, of blocks."""
        self.next += 1
        return self.next - 1

    def number(self) -> int:
        """One for an object or a position; where a call is done again, the one that it had given out."""
        if self._again is None:
            return self.ticket()
        self._again += 1
        return self._again - 1

    def number_from(self, next_: int) -> None:
        """A call is about to be done again, before which that was the next number."""
        self._again = next_

    def may_number_from(self, next_: int) -> bool:
        """Whether that can have been the next number, after what was done again so far."""
        return max(self.committed, self._again or 0) <= next_ <= MAX_NUMBER - _SPARE

    def number_anew(self) -> None:
        """All was done again: what comes has numbers that were never given out before."""
        if self._again is not None:
            self.next, self._again = max(self.next, self._again + _SPARE), None

    # ── meta and principals ──

    def meta(self, name: str) -> Any:
        """What is noted under a name."""
        return self.db.execute("select value from meta where name = ?", (name,)).fetchone()[0]

    def set_meta(self, name: str, value: str | int) -> None:
        """Note something."""
        self.db.execute("update meta set value = ? where name = ?", (value, name))

    def principal(self, name: str) -> int:
        """A principal's number here."""
        number = self._principals.get(name)
        if number is None:
            number = len(self._principals) + 1
            self.db.execute("insert into principal values (?, ?)", (number, name))
            self._remember(number, name)
        return number

    def _remember(self, number: int, name: str) -> None:
        self._principals[name] = number
        self._names[number] = name

    def principal_name(self, number: int) -> str:
        """Who has a number."""
        return self._names[number]

    def principals(self) -> list[str]:
        """All that are known."""
        return list(self._principals)

    def rename_principal(self, old: str, new: str) -> None:
        """Have a principal be another one from now on. What both of them have is the other's, if that is known."""
        number, other = self._principals[old], self._principals.get(new)
        if other is None:
            self.db.execute("update principal set name = ? where number = ?", (new, number))
            del self._principals[old]
            self._remember(number, new)
            return
        for column in ("owner", "grp"):
            self.db.execute(f"update object set {column} = ? where {column} = ?", (other, number))
        self._rows.clear()

    # ── objects ──

    def object(self, number: int) -> Object | None:
        """An object's row. Any number may be asked for."""
        known = self._rows.get(number)
        if known is not None:
            return known
        if not 0 < number <= MAX_NUMBER:
            return None
        row = self.db.execute(f"select {_OBJECT} from object where number = ?", (number,)).fetchone()
        return None if row is None else self._known(Object._make(row))

    def _known(self, row: Object) -> Object:
        """Remember a row; those before it are forgotten when they are many."""
        if len(self._rows) >= _ROWS:
            self._rows.clear()
        self._rows[row.number] = row
        return row

    def add(self, row: Object, target: bytes) -> None:
        """Add an object."""
        self.db.execute("insert into object values (?,?,?,?,?,?,?,?,?,?,?,?,?,?)", (*row, target))
        self._known(row)

    def save(self, row: Object) -> None:
        """Change an object to this."""
        self.db.execute(
            "update object set mode=?, links=?, owner=?, grp=?, size=?, held=?, accessed=?, modified=?, changed=?,"
            " parent=? where number=?",
            (*row[1:10], row.parent, row.number),
        )
        if row.number in self._rows:
            self._rows[row.number] = row

    def remove(self, number: int) -> None:
        """Remove an object, its extended attributes and its extents."""
        self.extents.cut(number, 0, 1 << 63)
        self.db.execute("delete from xattr where object = ?", (number,))
        self.db.execute("delete from object where number = ?", (number,))
        self._rows.pop(number, None)

    def target(self, number: int) -> bytes:
        """A symbolic link's target."""
        found: bytes = self.db.execute("select target from object where number = ?", (number,)).fetchone()[0]
        return found

    def orphans(self) -> list[int]:
        """Objects without a name."""
        return [number for (number,) in self.db.execute("select number from object where links = 0")]

    def count(self) -> int:
        """How many objects there are."""
        found: int = self.db.execute("select count(*) from object").fetchone()[0]
        return found

    # ── entries ──

    def found(self, parent: int, name: bytes) -> Object | None:
        """The object that a name leads to; any numbers may be asked for."""
        if not 0 < parent <= MAX_NUMBER:
            return None
        row = self.db.execute(
            "select o.number, mode, links, owner, grp, size, held, accessed, modified, changed, born, device, o.parent"
            " from entry e join object o on o.number = e.number where e.parent = ? and e.name = ?",
            (parent, name),
        ).fetchone()
        return None if row is None else self._known(Object._make(row))

    def enter(self, parent: int, name: bytes, number: int) -> None:
        """Add an entry at a directory's end."""
        self.db.execute("insert into entry values (?, ?, ?, ?)", (parent, name, number, self.number()))

    def lead(self, parent: int, name: bytes, number: int) -> None:
        """Have an entry lead to another object, in its place."""
        self.db.execute("update entry set number = ? where parent = ? and name = ?", (number, parent, name))

    def leave(self, parent: int, name: bytes) -> None:
        """Remove an entry."""
        self.db.execute("delete from entry where parent = ? and name = ?", (parent, name))

    def is_empty(self, parent: int) -> bool:
        """Whether a directory has no entry."""
        return self.db.execute("select 1 from entry where parent = ? limit 1", (parent,)).fetchone() is None

    def listing(self, parent: int, position: int, most: int) -> list[tuple[Any, ...]]:
        """Entries after a position: name and position, then the object's row."""
        return self.db.execute(
            "select name, position, o.number, mode, links, owner, grp, size, held, accessed, modified, changed, born,"
            " device, o.parent from entry e join object o on o.number = e.number"
            " where e.parent = ? and e.position > ? order by e.position limit ?",
            (parent, position, most),
        ).fetchall()

    # ── extended attributes ──

    def xattr(self, number: int, name: bytes) -> bytes | None:
        """A value."""
        row = self.db.execute("select value from xattr where object = ? and name = ?", (number, name)).fetchone()
        return None if row is None else row[0]

    def xattrs(self, number: int) -> list[tuple[bytes, int]]:
        """Names, and the lengths of the values."""
        return self.db.execute("select name, length(value) from xattr where object = ?", (number,)).fetchall()

    def all_of(self, name: bytes) -> list[tuple[int, bytes]]:
        """The objects that have an attribute, and its values."""
        return self.db.execute("select object, value from xattr where name = ?", (name,)).fetchall()

    def set_xattr(self, number: int, name: bytes, value: bytes) -> None:
        """Set a value."""
        self.db.execute("insert or replace into xattr values (?, ?, ?)", (number, name, value))

    def remove_xattr(self, number: int, name: bytes) -> None:
        """Remove a value."""
        self.db.execute("delete from xattr where object = ? and name = ?", (number, name))


def create(path: Path, meta: dict[str, str | int], root: Object, owner: str) -> None:
    """Make the file of a new volume, whole and on disk on return. EXISTS."""
    new = path.with_name(path.name + ".new")
    with os_errors("make volume", str(path)):
        if path.exists():
            raise HoldError("make volume", Kind.EXISTS, str(path), "there is a volume already")
        new.unlink(missing_ok=True)
        os.close(os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    try:
        with closing(sqlite3.connect(new, isolation_level=None)) as db:
            db.execute("pragma synchronous = full")
            db.execute("begin")
            for statement in _SCHEMA.split(";")[:-1]:
                db.execute(statement)
            db.execute("insert into principal values (1, ?)", (owner,))
            db.execute("insert into object values (?,?,?,?,?,?,?,?,?,?,?,?,?,x'')", root)
            db.executemany("insert into meta values (?, ?)", meta.items())
            db.execute(f"pragma user_version = {VERSION}")
            db.execute("commit")
    except sqlite3.Error as error:
        raise translated("make volume", str(path), error) from error
    with os_errors("make volume", str(path)):
        new.rename(path)
        disk.sync_directory(str(path.parent))


def translated(op: str, path: str, error: sqlite3.Error) -> HoldError:
    """What an error of SQLite is here."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return HoldError(op, _KINDS.get(code, Kind.FAILED), path, str(error))


def _quoted(path: Path) -> str:
    return quote(os.fsencode(path.absolute()))
