"""What files were when they were last added, so that `--reuse` may trust size and times instead of reading again.

A cache: losing it costs time only. A file is noted only if it had been left alone for a moment before it was read.
"""

import hashlib
import os
import sqlite3
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from commonhold.formats import cid as cids
from commonhold.formats.malformed import Malformed
from commonhold.unixfs.build import Built

_SETTLED_NS = 50_000_000  # beyond the kernel's tick: within it two writes can leave the same time
_SCHEMA = """create table if not exists files (
  path blob not null, label text not null, device int, inode int, size int, mtime int, ctime int,
  cid blob not null, tsize int not null, primary key (path, label)) without rowid;
create table if not exists trees (
  path blob not null, label text not null, digest blob not null, cid blob not null, size int, tsize int,
  primary key (path, label)) without rowid;"""
_STATE = struct.Struct("<QQQqq")


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


class Signature:
    """What a whole tree looked like: every name and state in the order of an add."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._latest = 0

    def take(self, name: str, seen: Seen) -> None:
        """One more name."""
        self._parts.append(os.fsencode(name) + b"/" + _STATE.pack(*seen))
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
    """The notes of one repository. `trust` says whether they are asked, `present` whether a file's blocks are here."""

    def __init__(self, path: Path, label: str, present: Callable[[Built], bool], *, trust: bool) -> None:
        self._label = label
        self._trust = trust
        self._present = present
        self._start = time.time_ns()
        self._here = os.getcwd()
        self._new: list[tuple[object, ...]] = []
        self._db: sqlite3.Connection | None = sqlite3.connect(path, isolation_level=None)
        try:
            self._db.execute("pragma journal_mode=wal")
            self._db.execute("pragma synchronous=off")
            self._db.executescript(_SCHEMA)
        except sqlite3.DatabaseError:  # a cache that cannot be read is no cache
            self._db.close()
            self._db = None
            path.unlink(missing_ok=True)

    def _key(self, path: str) -> bytes:
        return os.fsencode(path if path.startswith("/") else f"{self._here}/{path}")

    def tree(self, path: str, signature: Signature) -> Built | None:
        """What the tree was added as, if nothing in it has changed since. Whether it is still here is not said."""
        if not self._trust or self._db is None:
            return None
        row = self._db.execute(
            "select digest, cid, size, tsize from trees where path=? and label=?", (self._key(path), self._label)
        ).fetchone()
        if row is None or row[0] != signature.digest():
            return None
        try:
            return Built(cids.parse(row[1]), row[2], row[3])
        except Malformed:
            return None

    def note_tree(self, path: str, signature: Signature, built: Built) -> None:
        """Note what a tree was added as."""
        if self._db is not None and signature.settled(self._start):
            row = (self._key(path), self._label, signature.digest(), bytes(built.cid), built.size, built.tsize)
            self._db.execute("insert or replace into trees values (?,?,?,?,?,?)", row)

    def file(self, path: str, seen: Seen) -> Built | None:
        """What the file was added as, if it has not changed since and is still here."""
        if not self._trust or self._db is None:
            return None
        row = self._db.execute(
            "select device, inode, size, mtime, ctime, cid, tsize from files where path=? and label=?",
            (self._key(path), self._label),
        ).fetchone()
        if row is None or Seen(*row[:5]) != seen:
            return None
        try:
            built = Built(cids.parse(row[5]), seen.size, row[6])
        except Malformed:
            return None
        return built if self._present(built) else None

    def note_file(self, path: str, seen: Seen, built: Built) -> None:
        """Note what a file was added as."""
        if self._db is None or max(seen.mtime, seen.ctime) > self._start - _SETTLED_NS:
            return
        self._new.append((self._key(path), self._label, *seen, bytes(built.cid), built.tsize))
        if len(self._new) >= 10_000:
            self._save()

    def _save(self) -> None:
        if self._db is not None and self._new:
            self._db.execute("begin")
            self._db.executemany("insert or replace into files values (?,?,?,?,?,?,?,?,?)", self._new)
            self._db.execute("commit")
        self._new.clear()

    def close(self) -> None:
        """Write the notes of an add that went well."""
        self._save()
        if self._db is not None:
            self._db.close()
            self._db = None
