"""The node's signed records: opaque bytes by owner, kind and key, in SQLite. Kept as `docs/spec/ipns.md` says.

Blind: it verifies nothing, so it can favour nobody. Bounds are per owner.
"""

import re
from pathlib import Path

from commonhold.api import MAX_ANSWERS, MAX_RECORD, MAX_RECORD_KEY, MAX_RECORDS, MAX_USER
from commonhold.errors import HoldError, Kind
from commonhold.host.sqlite import Database

VERSION = 1
FILE = "records.sqlite"
_KIND = re.compile(r"[a-z][a-z0-9-]{0,31}", re.ASCII)
_SCHEMA = """
create table records (
  place integer primary key, owner integer not null, kind text not null, key blob not null, record blob not null,
  unique (owner, kind, key));
create index by_key on records (kind, key, place);
"""


class RecordStore:
    """An `api.Records` in a file. Safe from many threads, of the one process that has the repository."""

    def __init__(self, path: Path) -> None:
        self._db = Database(path, _SCHEMA, VERSION, "records")

    def put(self, owner: int, kind: str, key: bytes, record: bytes) -> None:
        """Keep an owner's record in place of the one before; on disk on return. TOO_LARGE, or QUOTA for too many."""
        check_place(owner, kind, key)
        if len(record) > MAX_RECORD:
            why = f"{len(record)} bytes, the limit is {MAX_RECORD}"
            raise HoldError("put record", Kind.TOO_LARGE, kind, why)
        with self._db.writing("put record") as db:
            changed = db.execute(
                "update records set record = ? where owner = ? and kind = ? and key = ?", (record, owner, kind, key)
            )
            if changed.rowcount:
                return
            if db.execute("select count(*) from records where owner = ?", (owner,)).fetchone()[0] >= MAX_RECORDS:
                why = f"uid {owner} has {MAX_RECORDS} records, which is the limit"
                raise HoldError("put record", Kind.QUOTA, kind, why)
            db.execute("insert into records (owner, kind, key, record) values (?, ?, ?, ?)", (owner, kind, key, record))

    def get(self, asker: int, kind: str, key: bytes) -> list[bytes]:
        """The records of a key, at most MAX_ANSWERS: the asker's own first, then others' as they first came."""
        check_place(asker, kind, key)
        with self._db.reading("get record") as db:
            rows = db.execute(
                "select record from records where kind = ? and key = ? order by owner <> ?, place limit ?",
                (kind, key, asker, MAX_ANSWERS),
            )
            return [bytes(record) for (record,) in rows]

    def remove(self, owner: int, kind: str, key: bytes) -> None:
        """Let an owner's record go. NOT_FOUND."""
        check_place(owner, kind, key)
        with self._db.writing("remove record") as db:
            gone = db.execute("delete from records where owner = ? and kind = ? and key = ?", (owner, kind, key))
            if not gone.rowcount:
                raise HoldError("remove record", Kind.NOT_FOUND, kind, "there is none of that key")

    def keys(self, owner: int, kind: str) -> list[bytes]:
        """The keys that an owner has records of, sorted: at most MAX_RECORDS."""
        check_place(owner, kind, b"-")
        with self._db.reading("list records") as db:
            rows = db.execute("select key from records where owner = ? and kind = ? order by key", (owner, kind))
            return [bytes(key) for (key,) in rows]

    def close(self) -> None:
        """Close the file."""
        self._db.close()


def check_place(owner: int, kind: str, key: bytes) -> None:
    """Refuse what is no owner, kind or key: INVALID. DENIED for a number that no user has."""
    if not 0 <= owner <= MAX_USER:
        raise HoldError("record", Kind.DENIED, str(owner), "not a user of this host")
    if not _KIND.fullmatch(kind):
        raise HoldError("record", Kind.INVALID, repr(kind)[:40], "not a kind of record")
    if not 0 < len(key) <= MAX_RECORD_KEY:
        raise HoldError("record", Kind.INVALID, kind, f"a key of {len(key)} bytes, 1 to {MAX_RECORD_KEY} are allowed")
