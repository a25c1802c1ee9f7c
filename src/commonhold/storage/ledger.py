"""The ledger of a storage server: whose share is where, how large, until when; and what each account has used. SQLite.

Knows no files. What an account uses is counted from the moment that room is promised, in the transaction that promises
it: however many write at once, no account gets more than its quota. docs/spec/storage.md.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NewType

from commonhold.errors import HoldError, Kind
from commonhold.formats.credential import AccountId
from commonhold.formats.keys import PublicKey
from commonhold.formats.shareindex import ShareIndex
from commonhold.host.sqlite import Database

VERSION: Final = 2
FILE: Final = "ledger.sqlite"
MAX_SHARES: Final = 4_000_000  # of one account
_FEW: Final = 1024  # shares that any account may have
_SMALL: Final = 64 << 10  # bytes of quota for each of more: a row, a name and a block are paid for by nobody

Account = NewType("Account", int)  # the ledger's own number of one

_SCHEMA = """
create table accounts (
  id integer primary key, blesser blob not null, number blob not null, used integer not null, shares integer not null,
  unique (blesser, number));
create table shelves (
  id integer primary key, path text not null unique, most integer not null, used integer not null, leaving integer);
create table shares (
  account integer not null, place blob not null, shelf integer not null, file blob not null, size integer not null,
  sha256 blob, until integer not null, primary key (account, place)) without rowid;
create index by_place on shares (place, account);
create index by_until on shares (until);
create table gone (shelf integer not null, file blob not null, primary key (shelf, file)) without rowid;
create index by_shelf on shares (shelf, account, place);
create table leaving (since integer not null);
"""
_UPGRADES = {
    1: "alter table shelves add column leaving integer; create index by_shelf on shares (shelf, account, place);"
    "create table leaving (since integer not null);"
}
_TAKE = "update shelves set used = used + ? where id = ? and used + ? <= most and leaving is null"
_COLUMNS = "account, place, shelf, file, size, sha256, until"


@dataclass(frozen=True, slots=True)
class Shelf:
    """A directory for shares: how many bytes may be there, and how many have been promised. `leaving`: since when it is
    being emptied."""

    id: int
    path: Path
    most: int
    used: int
    leaving: int | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """A share, or one that is being uploaded: that has no `sha256` yet. `until` in seconds since 1970."""

    account: Account
    index: ShareIndex
    shelf: int
    file: bytes
    size: int
    sha256: bytes | None
    until: int


@dataclass(frozen=True, slots=True)
class Gone:
    """A file that no share has any more."""

    shelf: int
    file: bytes


@dataclass(frozen=True, slots=True)
class Left:
    """What a server has yet: how many accounts' how many shares, of how many bytes, and the last lease's end."""

    accounts: int
    shares: int
    bytes: int
    until: int | None


class Ledger:
    """See the module. Safe from many threads of the one process that has it; every change is on disk on return."""

    def __init__(self, path: Path) -> None:
        self._db = Database(path, _SCHEMA, VERSION, "a ledger", _UPGRADES)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    # ── accounts and shelves ──

    def account(self, blesser: PublicKey, number: AccountId) -> Account:
        """An account's number here; one that was never seen is new."""
        with self._db.writing("open account") as db:
            db.execute("insert or ignore into accounts values (null, ?, ?, 0, 0)", (blesser, number))
            found = db.execute("select id from accounts where blesser = ? and number = ?", (blesser, number))
            return Account(found.fetchone()[0])

    def used(self, account: Account) -> tuple[int, int]:
        """The bytes that an account has used or was promised, and how many shares these are."""
        with self._db.reading("look up account") as db:
            found = db.execute("select used, shares from accounts where id = ?", (account,)).fetchone()
            return (found[0], found[1]) if found else (0, 0)

    def put_shelf(self, path: Path, most: int) -> Shelf:
        """Have a directory take shares, up to so many bytes; of one that does already, change how many. It stays."""
        with self._db.writing("add shelf") as db:
            db.execute(
                "insert into shelves values (null, ?, ?, 0, null) "
                "on conflict (path) do update set most = excluded.most, leaving = null",
                (str(path), most),
            )
            return _shelf(db.execute("select * from shelves where path = ?", (str(path),)).fetchone())

    def shelves(self) -> list[Shelf]:
        """All of them, as they came."""
        with self._db.reading("list shelves") as db:
            return [_shelf(row) for row in db.execute("select * from shelves order by id")]

    # ── shares ──

    def promise(self, row: Row, quota: int) -> None:
        """Note the upload of a share of `row.size` bytes. QUOTA; DISK_FULL if its shelf has no room; EXISTS."""
        with self._db.writing("store share") as db:
            used, count = db.execute("select used, shares from accounts where id = ?", (row.account,)).fetchone()
            if used + row.size > quota:
                why = f"{row.size} bytes more than {used} of {quota}"
                raise HoldError("store share", Kind.QUOTA, "account", why, hint="hold quota")
            if count >= min(MAX_SHARES, _FEW + quota // _SMALL):
                raise HoldError("store share", Kind.QUOTA, "account", f"it has {count} shares, which is the limit")
            db.execute("update accounts set used = used + ?, shares = shares + 1 where id = ?", (row.size, row.account))
            taken = db.execute(_TAKE, (row.size, row.shelf, row.size))
            if not taken.rowcount:
                raise HoldError("store share", Kind.DISK_FULL, "server", "all that it may keep is promised")
            try:
                db.execute(
                    f"insert into shares ({_COLUMNS}) values (?, ?, ?, ?, ?, ?, ?)",
                    (row.account, row.index, row.shelf, row.file, row.size, row.sha256, row.until),
                )
            except sqlite3.IntegrityError as error:
                raise HoldError("store share", Kind.EXISTS, "share", "there is one under this index") from error

    def complete(self, account: Account, index: ShareIndex, sha256: bytes, until: int) -> None:
        """An upload has ended well: its bytes are on the disk, and have this hash. NOT_FOUND."""
        with self._db.writing("store share") as db:
            done = db.execute(
                "update shares set sha256 = ?, until = ? where account = ? and place = ?",
                (sha256, until, account, index),
            )
            if not done.rowcount:
                raise HoldError("store share", Kind.NOT_FOUND, "share", "its upload has been given up")

    def own(self, account: Account, index: ShareIndex) -> Row | None:
        """What an account has under an index, also if it is an upload."""
        with self._db.reading("look up share") as db:
            found = db.execute(f"select {_COLUMNS} from shares where account = ? and place = ?", (account, index))
            return _row(found.fetchone())

    def find(self, index: ShareIndex, copy: int = 0) -> Row | None:
        """A share that is whole, of whoever has it; of several the one that so many others are before, as accounts
        came."""
        with self._db.reading("look up share") as db:
            found = db.execute(
                f"select {_COLUMNS} from shares where place = ? and sha256 is not null order by account "
                "limit 1 offset ?",
                (index, copy),
            )
            return _row(found.fetchone())

    def sizes(self, indexes: Sequence[ShareIndex]) -> list[int]:
        """How large the shares under these indexes are, the first of several; 0 where there is none that is whole."""
        with self._db.reading("look up shares") as db:
            found = []
            for index in indexes:
                row = db.execute(
                    "select size from shares where place = ? and sha256 is not null order by account limit 1", (index,)
                ).fetchone()
                found.append(row[0] if row else 0)
            return found

    def listed(self, account: Account, after: bytes, count: int) -> list[Row]:
        """An account's shares that are whole and come after an index, in order of that."""
        with self._db.reading("list shares") as db:
            found = db.execute(
                f"select {_COLUMNS} from shares where account = ? and place > ? and sha256 is not null "
                "order by place limit ?",
                (account, after, count),
            )
            return [row for row in map(_row, found) if row is not None]

    def renew(self, account: Account, indexes: Iterable[ShareIndex], until: int) -> list[bool]:
        """Keep an account's own shares until then, or for as long as they are kept anyway; which of them there are."""
        with self._db.writing("renew leases") as db:
            return [
                bool(
                    db.execute(
                        "update shares set until = max(until, ?) "
                        "where account = ? and place = ? and sha256 is not null",
                        (until, account, index),
                    ).rowcount
                )
                for index in indexes
            ]

    def drop(self, account: Account, indexes: Iterable[ShareIndex]) -> list[Gone]:
        """Forget shares or uploads of an account; the files that nobody needs now."""
        with self._db.writing("drop shares") as db:
            gone: list[Gone] = []
            for index in indexes:
                found = db.execute(
                    f"select {_COLUMNS} from shares where account = ? and place = ?", (account, index)
                ).fetchone()
                if found is not None:
                    gone.append(_forget(db, found))
            return gone

    def ended(self, before: int, count: int) -> list[Row]:
        """Up to `count` shares and uploads whose time was over before a moment, those that wait longest first."""
        with self._db.reading("look up leases") as db:
            found = db.execute(f"select {_COLUMNS} from shares where until < ? order by until limit ?", (before, count))
            return [row for row in map(_row, found) if row is not None]

    def expire(self, before: int, keys: Iterable[tuple[Account, ShareIndex]]) -> list[Gone]:
        """Forget those of these whose time was over before a moment, and was not renewed; the files that go."""
        with self._db.writing("expire shares") as db:
            gone: list[Gone] = []
            for account, index in keys:
                found = db.execute(
                    f"select {_COLUMNS} from shares where account = ? and place = ? and until < ?",
                    (account, index, before),
                ).fetchone()
                if found is not None:
                    gone.append(_forget(db, found))
            return gone

    # ── what is leaving ──

    def empty(self, shelf: int, since: int | None) -> None:
        """Have a shelf be emptied, since a moment; None: it stays."""
        with self._db.writing("empty shelf") as db:
            db.execute("update shelves set leaving = ? where id = ?", (since, shelf))

    def on_shelf(self, shelf: int, after: tuple[int, bytes]) -> Row | None:
        """The next share or upload of a shelf, after an account and an index."""
        with self._db.reading("list shares") as db:
            found = db.execute(
                f"select {_COLUMNS} from shares where shelf = ? and (account, place) > (?, ?) "
                "order by account, place limit 1",
                (shelf, *after),
            )
            return _row(found.fetchone())

    def expect(self, file: Gone) -> None:
        """Note a file that is going to be there without a share, until one is moved to it."""
        with self._db.writing("move share") as db:
            db.execute("insert into gone values (?, ?)", (file.shelf, file.file))

    def move(self, row: Row, to: Gone) -> bool:
        """Have a share's or an upload's bytes in another file, which was expected; the file where they were is to go.
        False if they are not there any more. DISK_FULL if that shelf has no room now."""
        with self._db.writing("move share") as db:
            moved = db.execute(
                "update shares set shelf = ?, file = ? where account = ? and place = ? and shelf = ? and file = ?",
                (to.shelf, to.file, row.account, row.index, row.shelf, row.file),
            )
            if not moved.rowcount:
                return False
            if not db.execute(_TAKE, (row.size, to.shelf, row.size)).rowcount:
                raise HoldError("move share", Kind.DISK_FULL, "shelf", "all that it may keep is promised")
            db.execute("update shelves set used = used - ? where id = ?", (row.size, row.shelf))
            db.execute("delete from gone where shelf = ? and file = ?", (to.shelf, to.file))
            db.execute("insert into gone values (?, ?)", (row.shelf, row.file))
            return True

    def take_off(self, shelf: int) -> bool:
        """Forget a shelf that is being emptied and has nothing any more; whether it was so."""
        with self._db.writing("take shelf off") as db:
            return bool(
                db.execute(
                    "delete from shelves where id = ? and leaving is not null "
                    "and not exists (select 1 from shares where shelf = shelves.id) "
                    "and not exists (select 1 from gone where shelf = shelves.id)",
                    (shelf,),
                ).rowcount
            )

    def leave(self, since: int | None) -> None:
        """Have the whole server be emptied, since a moment; None: it stays."""
        with self._db.writing("leave") as db:
            db.execute("delete from leaving")
            if since is not None:
                db.execute("insert into leaving values (?)", (since,))

    def leaving(self) -> int | None:
        """Since when the whole server is being emptied, if it is."""
        with self._db.reading("leave") as db:
            found = db.execute("select since from leaving").fetchone()
            return found[0] if found else None

    def left(self) -> Left:
        """What there is yet; uploads count."""
        with self._db.reading("count shares") as db:
            found = db.execute("select count(*), sum(shares), sum(used) from accounts where shares > 0").fetchone()
            return Left(
                found[0], found[1] or 0, found[2] or 0, db.execute("select max(until) from shares").fetchone()[0]
            )

    def uploads(self, before: int) -> list[Row]:
        """Uploads that are forgotten before a moment, those that wait longest first."""
        with self._db.reading("list uploads") as db:
            found = db.execute(
                f"select {_COLUMNS} from shares where until < ? and sha256 is null order by until", (before,)
            )
            return [row for row in map(_row, found) if row is not None]

    # ── files that go ──

    def gone(self, shelf: int, count: int) -> list[Gone]:
        """Up to `count` files of a shelf that no share has any more, and that may be there still."""
        with self._db.reading("list files") as db:
            found = db.execute("select shelf, file from gone where shelf = ? limit ?", (shelf, count))
            return [Gone(number, bytes(file)) for number, file in found]

    def removed(self, gone: Iterable[Gone]) -> None:
        """These files are there no more, and do not come back when the power goes."""
        with self._db.writing("remove files") as db:
            db.executemany("delete from gone where shelf = ? and file = ?", [(one.shelf, one.file) for one in gone])


def _forget(db: sqlite3.Connection, found: tuple[int, bytes, int, bytes, int, bytes | None, int]) -> Gone:
    """Take a row out, give back its room, and note that its file is to go."""
    account, place, shelf, file, size, _, _ = found
    db.execute("delete from shares where account = ? and place = ?", (account, place))
    db.execute("update accounts set used = used - ?, shares = shares - 1 where id = ?", (size, account))
    db.execute("update shelves set used = used - ? where id = ?", (size, shelf))
    db.execute("insert into gone values (?, ?)", (shelf, file))
    return Gone(shelf, bytes(file))


def _row(found: tuple[int, bytes, int, bytes, int, bytes | None, int] | None) -> Row | None:
    if found is None:
        return None
    account, place, shelf, file, size, sha256, until = found
    return Row(Account(account), ShareIndex(place), shelf, bytes(file), size, sha256, until)


def _shelf(found: tuple[int, str, int, int, int | None]) -> Shelf:
    return Shelf(found[0], Path(found[1]), *found[2:])
