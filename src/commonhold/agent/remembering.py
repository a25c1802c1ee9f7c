"""What objects of a volume became in the last snapshot, so that what has not changed is not read again.

A cache: losing it costs time only. A file is known by when it was last changed and by the last block that it got, as
what a kernel writes late leaves its times alone; and noted only if it had been left alone for a moment by then. A
directory is known by what is in it.
"""

import os
import sqlite3
from pathlib import Path
from typing import NamedTuple

from commonhold.agent.looms import Woven
from commonhold.formats.cid import Cid
from commonhold.sealing.block import Row

FILE = "woven.sqlite"
SETTLED_NS = 50_000_000  # beyond the kernel's tick: within it two writes can leave the same time
_TABLE = """create table if not exists woven (kind text not null, number integer not null, stamp blob not null,
  cid blob not null, size integer not null, tsize integer not null, digest blob, rows integer, read_key blob,
  verify_key blob, length integer, blocks blob not null, primary key (kind, number)) without rowid"""
_DIGEST = 32
_MOST = (1 << 63) - 1


class Known(NamedTuple):
    """What an object became, and the digests of its own blocks."""

    woven: Woven
    blocks: list[bytes]


class Memory:
    """The notes of one kind of snapshots of one volume. What is noted is there from `commit` on."""

    def __init__(self, path: Path, kind: str) -> None:
        self._kind = kind
        self._path = path
        try:
            self._db = self._open()
        except sqlite3.DatabaseError:
            for ending in ("", "-wal", "-shm"):
                Path(f"{path}{ending}").unlink(missing_ok=True)
            self._db = self._open()

    def _open(self) -> sqlite3.Connection:
        os.close(
            os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        )  # there are keys in it
        db = sqlite3.connect(self._path, isolation_level=None)
        try:
            db.execute("pragma journal_mode = wal")
            db.execute("pragma synchronous = normal")
            db.execute(_TABLE)
            db.execute("begin")
        except BaseException:
            db.close()
            raise
        return db

    def find(self, number: int, stamp: bytes) -> Known | None:
        """What an object became, if it was in this state."""
        found = self._db.execute(
            "select cid, size, tsize, digest, rows, read_key, verify_key, length, blocks from woven"
            " where kind = ? and number = ? and stamp = ?",
            (self._kind, number, stamp),
        ).fetchone()
        if found is None:
            return None
        cid, size, tsize, *row, blocks = found
        woven = Woven(Cid(cid), size, tsize, Row(*row) if row[0] is not None else None)
        return Known(woven, [blocks[at : at + _DIGEST] for at in range(0, len(blocks), _DIGEST)])

    def note(self, number: int, stamp: bytes, woven: Woven, blocks: list[bytes]) -> None:
        """Note what an object became, unless it is larger than a number here can say."""
        if woven.tsize > _MOST:
            return
        row = woven.row or (None,) * 5
        self._db.execute(
            "insert or replace into woven values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (self._kind, number, stamp, woven.cid, woven.size, woven.tsize, *row, b"".join(dict.fromkeys(blocks))),
        )

    def forget(self) -> None:
        """All is to be made anew."""
        self._db.execute("delete from woven where kind = ?", (self._kind,))

    def numbers(self) -> list[int]:
        """The objects that are noted."""
        return [number for (number,) in self._db.execute("select number from woven where kind = ?", (self._kind,))]

    def drop(self, number: int) -> None:
        """Forget an object."""
        self._db.execute("delete from woven where kind = ? and number = ?", (self._kind, number))

    def commit(self) -> None:
        """Keep what was noted."""
        self._db.execute("commit")

    def close(self) -> None:
        """Close it."""
        self._db.close()
