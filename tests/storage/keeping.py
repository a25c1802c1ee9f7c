"""A keeper over a directory of the test's own: real files, a real ledger, and a clock that the test moves."""

import hashlib
import os
import random
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from commonhold.formats.credential import AccountId
from commonhold.formats.keys import PublicKey
from commonhold.formats.shareindex import ShareIndex
from commonhold.storage.keeping import Keeper
from commonhold.storage.ledger import FILE, Account, Ledger
from commonhold.storage.shelving import Shelves
from tests.opened import opened

MOST = 1 << 40
QUOTA = 1 << 30
BLESSER = PublicKey(bytes(32))


class Clock:
    """Seconds since 1970, as the test has them."""

    def __init__(self, now: int = 1_900_000_000) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now


class Place:
    """A keeper and what it stands on. Opening one where another was is a restart."""

    def __init__(self, directory: Path, clock: Clock, most: Iterable[int] = (MOST,)) -> None:
        self.directory = directory
        self.clock = clock
        self.ledger = Ledger(directory / FILE)
        for number, size in enumerate(most):
            self.ledger.put_shelf(directory / f"shelf-{number}", size)
        self.shelves = Shelves(self.ledger.shelves(), 0)
        self.keeper = Keeper(self.ledger, self.shelves, clock, os.urandom)

    def account(self, number: int = 0) -> Account:
        """An account, by a number of the test's."""
        return self.ledger.account(BLESSER, AccountId(number.to_bytes(16, "big")))

    def store(self, account: Account, index: ShareIndex, data: bytes, until: int | None = None) -> None:
        """Upload a share, from where it has come to its end."""
        at = self.keeper.begin(account, QUOTA, index, len(data), self.clock.now + 1000 if until is None else until)
        self.keeper.append(account, index, at, data[at:])
        self.keeper.finish(account, index, hashlib.sha256(data).digest())

    def read(self, index: ShareIndex, copy: int = 0) -> bytes:
        """All of a share."""
        file, size = self.keeper.open(index, copy)
        with file:
            data = file.read()
        assert len(data) == size
        return data

    def used(self, number: int = 0) -> int:
        return self.ledger.used(self.account(number))[0]

    def sweep(self) -> None:
        while self.keeper.sweep():
            pass

    def files(self) -> set[Path]:
        """The files that are on the shelves."""
        return {path for path in self.directory.glob("shelf-*/*/*") if path.is_file()}

    def rows(self) -> dict[Path, bool]:
        """The files that the ledger has shares in, by its own tables, and whether each share is whole."""
        with closing(sqlite3.connect(self.directory / FILE)) as db:
            found = db.execute(
                "select path, file, sha256 is not null from shares join shelves on shelf = shelves.id"
            ).fetchall()
        return {Path(path) / file[:1].hex() / file.hex(): bool(whole) for path, file, whole in found}

    def check_books(self) -> None:
        """What each account and shelf has used is the sum of its rows; every file has a row or is to go; what is whole
        has its file."""
        with closing(sqlite3.connect(self.directory / FILE)) as db:
            for table, column in (("accounts", "account"), ("shelves", "shelf")):
                for number, used in db.execute(f"select id, used from {table}").fetchall():
                    sizes = f"select coalesce(sum(size), 0) from shares where {column} = ?"
                    assert db.execute(sizes, (number,)).fetchone()[0] == used
            counts = "select count(*) from accounts where shares <> (select count(*) from shares where account = id)"
            assert db.execute(counts).fetchone()[0] == 0
            going = {file.hex() for (file,) in db.execute("select file from gone")}
        rows = self.rows()
        assert {path for path in self.files() if path.name not in going} <= rows.keys()
        assert {path for path, whole in rows.items() if whole} <= self.files()

    def crash(self) -> "Place":
        """Go on in a new process, as far as a test can: nothing in memory is left. Descriptors are given back."""
        self.close()
        return Place(self.directory, self.clock, ())

    def close(self) -> None:
        self.keeper.close()
        self.ledger.close()


@contextmanager
def place(directory: Path, *most: int) -> Iterator[Place]:
    """A place with shelves of these sizes; at its end the books are right, and no descriptor is left."""
    before = open_files()
    made = Place(directory, Clock(), most or (MOST,))
    try:
        yield made
        made.check_books()
    finally:
        made.close()
    left = open_files() - before
    assert not left, left


def open_files() -> Counter[str]:
    """The files that descriptors of this process are of; sockets are closed by who made them."""
    return Counter({name: count for name, count in opened().items() if name.startswith("/")})


def index_of(name: object) -> ShareIndex:
    return ShareIndex(hashlib.sha256(str(name).encode()).digest())


def bytes_of(name: object, size: int) -> bytes:
    return random.Random(str(name)).randbytes(size)


def hash_of(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()
