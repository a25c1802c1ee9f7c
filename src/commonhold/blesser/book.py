"""A blesser's book: `authority.ledger` on the disk, and who waits for a person. SQLite, of one process.

Every change is on the disk when a method returns; what was signed is in it before it is signed. docs/spec/enrolment.md.
"""

import json
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from commonhold.authority.ledger import (
    Account,
    AccountInvitation,
    Granted,
    Host,
    Invitation,
    Issued,
    Ledger,
    ServerInvitation,
)
from commonhold.errors import HoldError, Kind
from commonhold.formats import blessing, credential
from commonhold.formats.blessing import Blessing, Purpose
from commonhold.formats.keys import LENGTH, PublicKey
from commonhold.formats.pin import GridId, SpkiPin
from commonhold.formats.statement import Kind as Said
from commonhold.formats.statement import Statement
from commonhold.host.sqlite import Database

VERSION: Final = 1
MAX_WAITING: Final = 256

_SCHEMA = """
create table hosts (server blob primary key, purposes text not null, classes text not null, revoked integer not null)
  without rowid;
create table accounts (name text primary key, key blob not null, quota integer not null, revoked integer not null)
  without rowid;
create table invitations (
  digest blob primary key, account text, quota integer, purposes text, classes text, not_after integer not null)
  without rowid;
create table issued (serial integer primary key, account text, body blob not null, revoked integer not null);
create table lists (sequence integer primary key, statement blob);
create table waiting (
  id integer primary key autoincrement, key blob not null, account text not null, purposes text not null,
  addresses text not null, why text not null, since integer not null, unique (key, account));
"""


@dataclass(frozen=True, slots=True)
class Waiting:
    """Somebody who asked and waits for a person: an account, or, where that is empty, a server by its key's pin."""

    id: int
    key: PublicKey
    account: str
    purposes: tuple[Purpose, ...]
    addresses: tuple[str, ...]
    why: str
    since: int


class Book:
    """See the module. Safe from many threads."""

    def __init__(self, path: Path) -> None:
        self._db = Database(path, _SCHEMA, VERSION, "a blesser's book")

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def ledger(self, grid: GridId) -> Ledger:
        """All of it, as the value that decisions are made of."""
        found = Ledger(grid)
        with self._db.reading("read book") as db:
            for server, purposes, classes, revoked in db.execute("select * from hosts"):
                pin = SpkiPin(server)
                found.hosts[pin] = Host(pin, _purposes(purposes), tuple(json.loads(classes)), bool(revoked))
            for name, key, quota, revoked in db.execute("select * from accounts"):
                found.accounts[name] = Account(name, PublicKey(key), quota, bool(revoked))
            for row in db.execute("select * from invitations"):
                found.invite(_invitation(*row))
            for serial, account, body, revoked in db.execute("select * from issued"):
                found.issued[serial] = _issued(account, body)
                if revoked:
                    found.revoked.add(serial)
            found.sequence = db.execute("select coalesce(max(sequence), 0) from lists").fetchone()[0]
        return found

    # ── what is granted, and taken back ──

    def enter(self, granted: Granted) -> None:
        """What is granted, in one transaction. Whoever was waiting for it waits no more."""
        with self._db.writing("enter") as db:
            if granted.host:
                _put_host(db, granted.host)
            if granted.account:
                _put_account(db, granted.account)
            if granted.spent:
                db.execute("delete from invitations where digest = ?", (granted.spent,))
            db.executemany(
                "insert or ignore into issued values (?, ?, ?, 0)",
                [(one.said.serial, one.account, one.said.body) for one in granted.issued],
            )

    def put(self, *, host: Host | None = None, account: Account | None = None) -> None:
        """What a person decided of a server or an account."""
        with self._db.writing("enter") as db:
            if host:
                _put_host(db, host)
            if account:
                _put_account(db, account)

    def invite(self, invitation: Invitation) -> None:
        """A ticket that is good once from now on."""
        if isinstance(invitation, ServerInvitation):
            purposes, classes = json.dumps(sorted(invitation.purposes)), json.dumps(invitation.classes)
            row: tuple[object, ...] = (invitation.digest, None, None, purposes, classes, invitation.not_after)
        else:
            row = (invitation.digest, invitation.account, invitation.quota, None, None, invitation.not_after)
        with self._db.writing("invite") as db:
            db.execute("insert into invitations values (?, ?, ?, ?, ?, ?)", row)

    def withdraw(self, digest: bytes) -> None:
        """A ticket that is good no more."""
        with self._db.writing("withdraw") as db:
            db.execute("delete from invitations where digest = ?", (digest,))

    def revoke(self, serials: Iterable[int], host: Host | None = None, account: Account | None = None) -> None:
        """What is taken back."""
        with self._db.writing("revoke") as db:
            if host:
                _put_host(db, host)
            if account:
                _put_account(db, account)
            db.executemany("update issued set revoked = 1 where serial = ?", [(serial,) for serial in serials])

    # ── revocation lists ──

    def number(self, sequence: int, ledger: Ledger) -> None:
        """The number of the next list, before it is signed; and what a ledger has forgotten since."""
        with self._db.writing("sign list") as db:
            db.execute("insert into lists values (?, null)", (sequence,))
            kept = set(ledger.issued)
            gone = [(row[0],) for row in db.execute("select serial from issued").fetchall() if row[0] not in kept]
            db.executemany("delete from issued where serial = ?", gone)
            tickets = [row[0] for row in db.execute("select digest from invitations").fetchall()]
            db.executemany(
                "delete from invitations where digest = ?", [(one,) for one in tickets if one not in ledger.invitations]
            )

    def keep(self, sequence: int, statement: bytes) -> None:
        """The newest list, signed. Those before it are done with."""
        with self._db.writing("sign list") as db:
            db.execute("update lists set statement = ? where sequence = ?", (statement, sequence))
            db.execute("delete from lists where sequence < ?", (sequence,))

    def newest(self) -> bytes | None:
        """The newest list that was signed."""
        with self._db.reading("read list") as db:
            row = db.execute(
                "select statement from lists where statement is not null order by sequence desc limit 1"
            ).fetchone()
            return bytes(row[0]) if row else None

    # ── who waits ──

    def wait(self, one: Waiting) -> None:
        """Note that somebody waits, once for each; its id is drawn here. BUSY if too many do."""
        with self._db.writing("note request") as db:
            found = db.execute(
                "select id from waiting where key = ? and account = ?", (one.key, one.account)
            ).fetchone()
            if found is None and db.execute("select count(*) from waiting").fetchone()[0] >= MAX_WAITING:
                raise HoldError("enrol", Kind.BUSY, "blesser", "too many wait for a person already")
            purposes, addresses = json.dumps(sorted(one.purposes)), json.dumps(one.addresses)
            db.execute(
                "insert into waiting values (null, ?, ?, ?, ?, ?, ?) on conflict (key, account) do update set "
                "purposes = excluded.purposes, addresses = excluded.addresses, why = excluded.why",
                (one.key, one.account, purposes, addresses, one.why, one.since),
            )

    def waiting(self) -> list[Waiting]:
        """All who wait, as they came."""
        with self._db.reading("list requests") as db:
            return [
                Waiting(row[0], PublicKey(row[1]), row[2], _listed(row[3]), tuple(json.loads(row[4])), row[5], row[6])
                for row in db.execute("select * from waiting order by id")
            ]

    def done(self, number: int) -> None:
        """Somebody waits no more."""
        with self._db.writing("decide") as db:
            db.execute("delete from waiting where id = ?", (number,))

    def expire(self, before: int) -> None:
        """Forget who has waited since before then."""
        with self._db.writing("forget requests") as db:
            db.execute("delete from waiting where since < ?", (before,))


def _put_host(db: sqlite3.Connection, host: Host) -> None:
    purposes = json.dumps(sorted(host.purposes))
    db.execute(
        "insert or replace into hosts values (?, ?, ?, ?)",
        (host.server, purposes, json.dumps(host.classes), host.revoked),
    )


def _put_account(db: sqlite3.Connection, account: Account) -> None:
    db.execute(
        "insert or replace into accounts values (?, ?, ?, ?)",
        (account.name, account.key, account.quota, account.revoked),
    )


def _listed(text: str) -> tuple[Purpose, ...]:
    return tuple(map(Purpose, json.loads(text)))


def _purposes(text: str) -> frozenset[Purpose]:
    return frozenset(_listed(text))


def _invitation(
    digest: bytes, account: str | None, quota: int | None, purposes: str | None, classes: str | None, not_after: int
) -> Invitation:
    if purposes is not None:
        return ServerInvitation(bytes(digest), _purposes(purposes), tuple(json.loads(classes or "[]")), not_after)
    return AccountInvitation(bytes(digest), account or "", quota or 0, not_after)


def _issued(account: str | None, body: bytes) -> Issued:
    """What was signed, out of what was signed of it."""
    kind = Said.BLESSING if account is None else Said.CREDENTIAL
    statement = Statement(kind, PublicKey(bytes(LENGTH)), bytes(body), b"")
    said: Blessing | credential.Credential = (
        blessing.parse(statement) if account is None else credential.parse(statement)
    )
    return Issued(said, account)
