"""A storage server that keeps many shares, and who calls it. See `storage_rows`, which runs this in processes.

fill DIRECTORY ACCOUNTS ROWS    make a ledger of so many shares, some of which are there
serve DIRECTORY SOCKET          serve it until it is told to stop; whoever names an account has it
call SOCKET ROWS TRIES          make calls; print the seconds of each, by name, as JSON
"""

import asyncio
import contextlib
import hashlib
import json
import os
import random
import signal
import socket
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path

import uvloop
from aiohttp import web

from commonhold.formats import storagewords
from commonhold.formats.credential import AccountId
from commonhold.formats.entry import Nonce
from commonhold.formats.keys import PublicKey
from commonhold.formats.pin import SpkiPin
from commonhold.formats.shareindex import ShareIndex
from commonhold.formats.storagewords import Admission, FacetId, Showing
from commonhold.host import allocator
from commonhold.storage.keeping import Keeper
from commonhold.storage.ledger import FILE, Account, Ledger
from commonhold.storage.service import Service, Tenant
from commonhold.storage.shelving import Shelves

OF_ACCOUNT = 1000  # shares of each
_FILES = 3000  # shares that are there
_SIZE = 4096
_QUOTA = 1 << 40
_NOW = 1_900_000_000
_PIN = SpkiPin(bytes(32))


# ── a ledger ──


def _index(number: int) -> ShareIndex:
    return ShareIndex(hashlib.sha256(b"%d" % number).digest())


def _content(number: int) -> bytes:
    return hashlib.sha256(b"share %d" % number).digest() * (_SIZE // 32)


def fill(directory: Path, accounts: int, rows: int) -> None:
    """Shares of one account after those of another."""
    with contextlib.closing(Ledger(directory / FILE)) as ledger:
        shelf = ledger.put_shelf(directory / "shelf", 1 << 50)
        Shelves([shelf], 0)
        for number in range(accounts):
            ledger.account(PublicKey(bytes(32)), AccountId(number.to_bytes(16, "big")))
    with contextlib.closing(sqlite3.connect(directory / FILE)) as db:
        db.executemany("insert into shares values (?, ?, 1, ?, ?, ?, ?)", _rows(directory / "shelf", rows))
        db.execute(
            "update accounts set shares = (select count(*) from shares where account = id), "
            "used = (select coalesce(sum(size), 0) from shares where account = id)"
        )
        db.execute("update shelves set used = (select sum(used) from accounts)")
        db.commit()


def _rows(shelf: Path, rows: int) -> Iterator[tuple[int, bytes, bytes, int, bytes, int]]:
    for number in range(rows):
        index, content = _index(number), _content(number)
        file = hashlib.sha256(index).digest()[:16]
        if number < _FILES:
            (shelf / file[:1].hex() / file.hex()).write_bytes(content)
        digest = hashlib.sha256(content).digest()
        yield number // OF_ACCOUNT + 1, index, file, _SIZE, digest, _NOW + number % 1_000_000


# ── a server ──


class _OpenDoor:
    """A `Door` where a facet is the number of an account."""

    def nonce(self, connection: SpkiPin) -> Nonce:
        return Nonce(connection)

    def enter(self, connection: SpkiPin, showing: Showing) -> Admission:
        return Admission(FacetId(connection), _NOW, _QUOTA)

    def tenant(self, connection: SpkiPin, facet: FacetId) -> Tenant:
        return Tenant(Account(int.from_bytes(facet, "big")), _QUOTA)

    def barred(self, connection: SpkiPin, facet: FacetId) -> None:
        return None


async def _serve(directory: Path, path: Path) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    with contextlib.closing(Ledger(directory / FILE)) as ledger, ThreadPoolExecutor(8) as threads:
        keeper = Keeper(ledger, Shelves(ledger.shelves(), 0), lambda: _NOW, os.urandom)
        service = Service(keeper, ledger, _OpenDoor(), lambda request: _PIN, threads)
        runner = web.AppRunner(service.app(), access_log=None, auto_decompress=False)
        await runner.setup()
        await web.UnixSite(runner, str(path)).start()
        await stop.wait()
        await runner.cleanup()
        keeper.close()


# ── calls ──


class _Connection(HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("server")
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self._path)


def call(path: str, rows: int, tries: int) -> dict[str, list[float]]:
    """Each call so many times; seconds."""
    rng = random.Random(1)
    connection = _Connection(path)
    accounts = rows // OF_ACCOUNT

    def ask(method: str, where: str, body: bytes = b"") -> bytes:
        connection.request(method, where, body)
        answer = connection.getresponse()
        data = answer.read()
        if answer.status != 200:
            raise SystemExit(f"{method} {where}: {answer.status} {data!r}")
        return data

    def facet(account: int) -> str:
        return f"/v1/facet/{account.to_bytes(32, 'big').hex()}"

    def some(count: int, account: int) -> list[ShareIndex]:
        return [_index(account * OF_ACCOUNT + number) for number in rng.sample(range(OF_ACCOUNT), count)]

    def find() -> None:
        found = storagewords.indexes([_index(rng.randrange(rows)) for _ in range(1024)])
        assert 0 not in storagewords.decode_sizes(ask("POST", "/v1/find", found), 1024)

    def listing() -> None:
        body = storagewords.listing(b"", OF_ACCOUNT)
        data = ask("POST", facet(rng.randrange(accounts) + 1) + "/list", body)
        assert len(storagewords.decode_listed(data)) == OF_ACCOUNT

    def renew() -> None:
        account = rng.randrange(accounts)
        body = storagewords.indexes(some(OF_ACCOUNT, account), _NOW + rng.randrange(1, 30_000_000))
        assert all(storagewords.decode_sizes(ask("POST", facet(account + 1) + "/renew", body), OF_ACCOUNT))

    def upload() -> None:
        where = f"{facet(rng.randrange(accounts) + 1)}/uploads/{rng.randbytes(32).hex()}"
        ask("POST", where, storagewords.begin(_SIZE, _NOW))
        ask("PUT", f"{where}?at=0", _content(0))
        ask("POST", f"{where}/finish", storagewords.finish(hashlib.sha256(_content(0)).digest()))

    def read() -> None:
        number = rng.randrange(min(rows, _FILES))
        assert ask("GET", f"/v1/shares/{_index(number)}") == _content(number)

    calls: dict[str, Callable[[], None]] = {
        "find 1024": find,
        "list 1000": listing,
        "renew 1000": renew,
        "upload of 4 KiB": upload,
        "read 4 KiB": read,
    }
    return {name: [_timed(one) for _ in range(tries)] for name, one in calls.items()}


def _timed(work: Callable[[], None]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    match sys.argv[1:]:
        case ["fill", directory, accounts, rows]:
            fill(Path(directory), int(accounts), int(rows))
        case ["serve", directory, path]:
            allocator.tune()
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(_serve(Path(directory), Path(path)))
        case ["call", path, rows, tries]:
            print(json.dumps(call(path, int(rows), int(tries))))
        case _:
            raise SystemExit(__doc__)


if __name__ == "__main__":
    main()
