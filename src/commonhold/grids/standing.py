"""What a member has from its blessers, kept on the disk: credentials or blessings, and revocation lists. SQLite.

Of each blesser the newest about each server, or each purpose, is kept. docs/spec/membership.md.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from commonhold.formats.keys import PublicKey
from commonhold.host.sqlite import Database

FILE: Final = "credentials.sqlite"
VERSION: Final = 1

_SCHEMA = """
create table statements (
  about blob not null, blesser blob not null, statement blob not null, primary key (about, blesser)) without rowid;
create table lists (
  blesser blob not null, place integer not null, statement blob not null, primary key (blesser, place)) without rowid;
"""


@dataclass(frozen=True, slots=True)
class Given:
    """An encoded statement by a blesser, about a server (its pin) or a purpose (its text)."""

    about: bytes
    blesser: PublicKey
    statement: bytes


class Standing:
    """See the module. Safe from many threads."""

    def __init__(self, path: Path) -> None:
        self._db = Database(path, _SCHEMA, VERSION, "credentials")

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def put(self, given: Iterable[Given]) -> None:
        """Keep these, each in place of an older one."""
        with self._db.writing("keep credentials") as db:
            db.executemany(
                "insert or replace into statements values (?, ?, ?)",
                [(one.about, one.blesser, one.statement) for one in given],
            )

    def all(self) -> list[Given]:
        """All that there are."""
        with self._db.reading("read credentials") as db:
            return [
                Given(bytes(row[0]), PublicKey(row[1]), bytes(row[2])) for row in db.execute("select * from statements")
            ]

    def about(self, about: bytes) -> list[bytes]:
        """What is said of one server or purpose."""
        with self._db.reading("read credentials") as db:
            found = db.execute("select statement from statements where about = ? order by blesser", (about,))
            return [bytes(row[0]) for row in found]

    def forget(self, about: Iterable[bytes]) -> None:
        """Let go of what is said of these."""
        gone = [(one,) for one in about]
        if gone:
            with self._db.writing("forget credentials") as db:
                db.executemany("delete from statements where about = ?", gone)

    def put_lists(self, blesser: PublicKey, statements: Iterable[bytes]) -> None:
        """Keep a blesser's newest revocation list; or both, where two contradict each other."""
        with self._db.writing("keep revocation list") as db:
            db.execute("delete from lists where blesser = ?", (blesser,))
            db.executemany(
                "insert into lists values (?, ?, ?)", [(blesser, place, one) for place, one in enumerate(statements)]
            )

    def lists(self) -> list[bytes]:
        """All revocation lists that are kept."""
        with self._db.reading("read revocation lists") as db:
            return [bytes(row[0]) for row in db.execute("select statement from lists order by blesser, place")]
