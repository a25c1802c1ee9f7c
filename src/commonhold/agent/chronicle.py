"""The chronicle of a volume: its snapshots, what opens them, and what keeps them. docs/spec/snapshot.md, "History".

A snapshot is written down before its pin is made, and struck out after it is gone; what a crash left half-way is
finished when it is next opened. So a pin that is not in it is never touched.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path
from typing import Any, NamedTuple

from commonhold.api import BlockStore
from commonhold.errors import HoldError, Kind
from commonhold.formats.cid import Cid
from commonhold.volume.tables import translated

FILE = "snapshots.sqlite"
VERSION = 1
_TABLE = """create table if not exists snapshot (number integer primary key, volume text not null, name text not null,
  state integer not null, path blob not null, root text not null, cid blob not null, supplement text not null,
  made integer not null, size integer not null, files integer not null, automatic integer not null,
  unique (volume, name))"""
_COLUMNS = "name, path, root, cid, supplement, made, size, files, automatic"


class State(IntEnum):
    """How far a snapshot is."""

    COMING = 0
    WHOLE = 1
    LEAVING = 2


class Entry(NamedTuple):
    """A snapshot. `path` are the names below the tree's root; `root` and `supplement` open what they say.

    `cid` is its pin's; `made` in nanoseconds since 1970.
    """

    name: str
    path: tuple[bytes, ...]
    root: str
    cid: Cid
    supplement: str
    made: int
    size: int
    files: int
    automatic: bool


class Chronicle:
    """The snapshots of one volume, whose pins are in a store. One at a time: whoever has it has a lock."""

    def __init__(self, directory: Path, volume: str, store: BlockStore) -> None:
        self._path = directory / FILE
        self._volume = volume
        self._store = store
        with self._errors("open"):
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
            self._db = sqlite3.connect(self._path, isolation_level=None)
        try:
            with self._errors("open"):
                self._prepare()
            self._finish()
        except BaseException:
            self._db.close()
            raise

    def _prepare(self) -> None:
        execute = self._db.execute
        version = execute("pragma user_version").fetchone()[0]
        if version not in (0, VERSION):
            why = f"snapshots of format {version}; this program knows format {VERSION}"
            raise HoldError("open", Kind.VERSION, str(self._path), why)
        execute("pragma journal_mode = delete")
        execute("pragma synchronous = extra")
        execute(_TABLE)
        execute(f"pragma user_version = {VERSION}")

    @contextmanager
    def _errors(self, op: str) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise translated(op, str(self._path), error) from error

    def _finish(self) -> None:
        """Finish what was begun: a snapshot is whole if its pin was made, and leaves if it was about to."""
        for name, state, cid in self._run(
            "select name, state, cid from snapshot where volume = ? and state <> ?", (self._volume, State.WHOLE)
        ):
            pin = self._store.pin(self.pin_of(name)) if state == State.COMING else None
            if pin is not None and pin.root == Cid(cid):
                self.complete(name)
            elif state == State.COMING:
                self._strike(name)
            else:
                self._drop(name)

    def _run(self, statement: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        with self._errors("snapshot"):
            return self._db.execute(statement, values).fetchall()

    def close(self) -> None:
        """Close it."""
        self._db.close()

    def pin_of(self, name: str) -> str:
        """The name of the pin that keeps a snapshot."""
        return f"snapshot-{self._volume}-{name}"

    # ── entries ──

    def all(self) -> list[Entry]:
        """Every snapshot, the oldest first."""
        asked = f"select {_COLUMNS} from snapshot where volume = ? and state = ? order by made, number"
        return [_entry(row) for row in self._run(asked, (self._volume, State.WHOLE))]

    def find(self, name: str) -> Entry | None:
        """A snapshot by its name."""
        return next((entry for entry in self.all() if entry.name == name), None)

    def check_free(self, name: str) -> None:
        """EXISTS if there is a snapshot of that name."""
        if self._run("select 1 from snapshot where volume = ? and name = ?", (self._volume, name)):
            hint = f"choose another name, or hold history rm {name}"
            raise HoldError("snapshot", Kind.EXISTS, name, "there is a snapshot of that name", hint=hint)

    def begin(self, entry: Entry) -> None:
        """Write down a snapshot that is about to be pinned. EXISTS."""
        self.check_free(entry.name)
        values = (
            self._volume, entry.name, State.COMING, b"/".join(entry.path), entry.root, bytes(entry.cid),
            entry.supplement, entry.made, entry.size, entry.files, entry.automatic,
        )  # fmt: skip
        self._run("insert into snapshot values (null, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", values)

    def complete(self, name: str) -> None:
        """Its pin is made."""
        self._mark(name, State.WHOLE)

    def remove(self, name: str) -> None:
        """Let a snapshot go. NOT_FOUND."""
        if self.find(name) is None:
            hint = "hold history lists them"
            raise HoldError("history rm", Kind.NOT_FOUND, name, "there is no snapshot of that name", hint=hint)
        self._mark(name, State.LEAVING)
        self._drop(name)

    def _mark(self, name: str, state: State) -> None:
        self._run("update snapshot set state = ? where volume = ? and name = ?", (state, self._volume, name))

    def _drop(self, name: str) -> None:
        try:
            self._store.unpin(self.pin_of(name))
        except HoldError as error:
            if error.kind is not Kind.NOT_FOUND:
                raise
        self._strike(name)

    def _strike(self, name: str) -> None:
        self._run("delete from snapshot where volume = ? and name = ?", (self._volume, name))


def _entry(row: tuple[Any, ...]) -> Entry:
    name, path, root, cid, supplement, made, size, files, automatic = row
    names = tuple(path.split(b"/")) if path else ()
    return Entry(name, names, root, Cid(cid), supplement, made, size, files, bool(automatic))
