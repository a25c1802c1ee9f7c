"""What an introducer knows, in a file, so that it is not empty after a restart: no more than its machine keeps.

It is a cache: what the last half minute brought may be missing, and comes again from others.
"""

import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from commonhold.errors import HoldError, Kind
from commonhold.formats import statement
from commonhold.gossip.reading import Record
from commonhold.host.sqlite import Database
from commonhold.mesh.mesh import Mesh

FILE: Final = "statements.db"
_VERSION: Final = 1
_SCHEMA: Final = """
create table statements (
    number integer primary key,  -- who came first has the smallest
    slot blob not null unique,
    id blob not null,
    kind text not null,
    data blob not null
);
"""
_PUT: Final = """
insert into statements (slot, id, kind, data) values (?, ?, ?, ?)
on conflict (slot) do update set id = excluded.id, kind = excluded.kind, data = excluded.data
"""


class Memory:
    """See the module. Safe from many threads."""

    def __init__(self, path: Path) -> None:
        """A file that is damaged gives way to an empty one."""
        self._mutex = threading.Lock()
        try:
            self._db = Database(path, _SCHEMA, _VERSION, "statements")
            self._ids = self._all_ids()
        except HoldError as error:
            if error.kind is not Kind.CORRUPT:
                raise
            for name in (path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
                name.unlink(missing_ok=True)
            self._db = Database(path, _SCHEMA, _VERSION, "statements")
            self._ids = set()

    def restore(self, mesh: Mesh) -> None:
        """Have a mesh know what was known; it judges each again."""
        with self._db.reading("read statements") as db:
            found = db.execute("select kind, data from statements order by number").fetchall()
        for kind, data in found:
            try:
                mesh.restore(statement.Kind(kind), data)
            except ValueError:  # Malformed, or of a kind that is not known: another version's, or damaged
                continue

    def keep(self, records: Iterable[Record]) -> None:
        """Know these, and no others."""
        with self._mutex:
            now = {bytes(record.id): record for record in records}
            new = [record for one, record in now.items() if one not in self._ids]
            gone = self._ids - now.keys()
            if not new and not gone:
                return
            with self._db.writing("keep statements") as db:
                db.executemany(_PUT, [(bytes(one.slot), bytes(one.id), one.kind.value, one.data) for one in new])
                db.executemany("delete from statements where id = ?", [(one,) for one in gone])
            self._ids = set(now)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def _all_ids(self) -> set[bytes]:
        with self._db.reading("read statements") as db:
            return {bytes(one) for (one,) in db.execute("select id from statements")}
