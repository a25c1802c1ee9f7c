"""What files were when they were last added, so that `--reuse` may trust size and times instead of reading again.

A cache: losing it costs time only. A file is noted only if it had been left alone for a moment before it was read.
"""

import contextlib
import hashlib
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from commonhold.formats import cid as cids
from commonhold.formats.malformed import Malformed
from commonhold.unixfs.build import Built

_SETTLED_NS = 50_000_000  # beyond the kernel's tick: within it two writes can leave the same time
_TABLE = """create table if not exists {} (path blob not null, label text not null, state blob not null,
  cid blob not null, size int not null, tsize int not null, primary key (path, label)) without rowid"""


class Seen(NamedTuple):
    """What tells one state of a file from another. Times in nanoseconds."""

    device: int
    inode: int
    size: int
    mtime: int
    ctime: int

    @classmethod
    def of(cls, status: os.stat_result) -> "Seen":
        """The state that a stat shows."""
        return cls(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)

    def digits(self) -> bytes:
        """The same for no other state. Numbers have no limit: file systems make up inodes, and times after 2262."""
        return b"%d %d %d %d %d" % self


class Signature:
    """What a whole tree looked like: every name and state in the order of an add."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._latest = 0

    def take(self, name: str, seen: Seen) -> None:
        """One more name."""
        self._parts.append(os.fsencode(name) + b"/" + seen.digits())
        self._latest = max(self._latest, seen.mtime, seen.ctime)

    def leave(self) -> None:
        """The end of a directory."""
        self._parts.append(b"/")

    def digest(self) -> bytes:
        """A short name for all that was taken."""
        return hashlib.blake2b(b"\0".join(self._parts), digest_size=32).digest()

    def settled(self, start: int) -> bool:
        """Whether all of it had been left alone for a moment before a time in nanoseconds."""
        return self._latest < start - _SETTLED_NS


class Reuse:
    """The notes of one repository. `trust` says whether they are asked, `present` whether a file's blocks are here.

    Notes that cannot be read or written are said to `remark`, once, and done without.
    """

    def __init__(
        self, path: Path, label: str, present: Callable[[Built], bool], remark: Callable[[str], None], *, trust: bool
    ) -> None:
        self._path = path
        self._label = label
        self._trust = trust
        self._present = present
        self._remark = remark
        self._start = time.time_ns()
        self._here = _here()
        self._new: list[tuple[object, ...]] = []
        self._db: sqlite3.Connection | None = None
        with self._doing_without():
            self._db = sqlite3.connect(path, isolation_level=None)
            self._db.execute("pragma journal_mode=wal")
            self._db.execute("pragma synchronous=off")
            for table in ("files", "trees"):
                self._db.execute(_TABLE.format(table))

    @contextmanager
    def _doing_without(self) -> Iterator[None]:
        """Run a block that asks or writes notes; where that fails, give them up, and let the next add begin anew."""
        try:
            yield
        except sqlite3.Error as error:
            self._remark(f"note: {self._path} cannot be used: {error}")
            db, self._db = self._db, None
            if db is not None:
                db.close()
            with contextlib.suppress(OSError):
                self._path.unlink()

    def _key(self, path: str) -> bytes:
        return os.fsencode(path if path.startswith("/") else f"{self._here}/{path}")

    def _noted(self, table: str, path: str, state: Callable[[], bytes]) -> Built | None:
        """What a path was added as, if it was in this state."""
        if not self._trust or self._db is None:
            return None
        asked = f"select state, cid, size, tsize from {table} where path=? and label=?"
        with self._doing_without():
            row = self._db.execute(asked, (self._key(path), self._label)).fetchone()
            if row is not None and row[0] == state():
                with contextlib.suppress(Malformed):
                    return Built(cids.parse(row[1]), row[2], row[3])
        return None

    def tree(self, path: str, signature: Signature) -> Built | None:
        """What the tree was added as, if nothing in it has changed since. Whether it is still here is not said."""
        return self._noted("trees", path, signature.digest)

    def note_tree(self, path: str, signature: Signature, built: Built) -> None:
        """Note what a tree was added as."""
        if signature.settled(self._start):
            self._save("trees", [self._row(path, signature.digest(), built)])

    def file(self, path: str, seen: Seen) -> Built | None:
        """What the file was added as, if it has not changed since and is still here."""
        built = self._noted("files", path, seen.digits)
        return built if built is not None and self._present(built) else None

    def note_file(self, path: str, seen: Seen, built: Built) -> None:
        """Note what a file was added as."""
        if max(seen.mtime, seen.ctime) > self._start - _SETTLED_NS:
            return
        self._new.append(self._row(path, seen.digits(), built))
        if len(self._new) >= 10_000:
            self._save_files()

    def _row(self, path: str, state: bytes, built: Built) -> tuple[object, ...]:
        return self._key(path), self._label, state, bytes(built.cid), built.size, built.tsize

    def _save_files(self) -> None:
        self._save("files", self._new)
        self._new.clear()

    def _save(self, table: str, rows: list[tuple[object, ...]]) -> None:
        if self._db is None or not rows:
            return
        with self._doing_without():
            self._db.execute("begin")
            self._db.executemany(f"insert or replace into {table} values (?,?,?,?,?,?)", rows)
            self._db.execute("commit")

    def close(self) -> None:
        """Write the notes of an add that went well."""
        self._save_files()
        if self._db is not None:
            with self._doing_without():
                self._db.close()
            self._db = None


def _here() -> str:
    """The working directory; nothing below one that was deleted can be named."""
    try:
        return os.getcwd()
    except FileNotFoundError:
        return ""
