"""A small grid on loopback: a blesser's key, storage servers that serve, and a client with a credential at each."""

import asyncio
import contextlib
import hashlib
import os
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from commonhold.authority.blessed import Verdict
from commonhold.authority.derived import Secret, account_number, client_seed
from commonhold.authority.entering import Door
from commonhold.authority.lists import Lists
from commonhold.authority.trust import Rule
from commonhold.crypto import sign
from commonhold.crypto.statements import signed
from commonhold.erasure.choosing import quickest
from commonhold.errors import HoldError, Kind
from commonhold.exchange.badge import Badge
from commonhold.exchange.packing import Tools
from commonhold.exchange.server import StorageServer
from commonhold.formats.credential import Credential
from commonhold.formats.hint import TcpHint
from commonhold.formats.keys import Seed
from commonhold.formats.pin import GridId, SpkiPin, pin_of
from commonhold.formats.revocations import Revocations
from commonhold.formats.statement import Kind as StatementKind
from commonhold.storage import ledger
from commonhold.storage.door import Gate
from commonhold.storage.keeping import Keeper
from commonhold.storage.ledger import Ledger
from commonhold.storage.places import UNBOUNDED
from commonhold.storage.service import Service
from commonhold.storage.shelving import Shelves
from commonhold.transport import listen
from commonhold.transport.brought import Brought
from commonhold.transport.connection import Connection
from commonhold.transport.dial import dial
from commonhold.transport.rules import Rules
from commonhold.transport.visitors import Visitors
from tests.files import files

QUOTA = 1 << 30
DAY = 86_400
BLESSER = Seed(hashlib.sha256(b"blesser").digest())
GRID = GridId(sign.public_key(BLESSER))
_BLESSERS_SECRET = Secret(bytes(32))


def now() -> int:
    return int(time.time())


def credential(server: SpkiPin, key: Seed, account: str, quota: int = QUOTA) -> bytes:
    """An account's at a server, by the grid's blesser."""
    said = Credential(
        GRID, server, account_number(_BLESSERS_SECRET, account, server), sign.public_key(key), quota,
        now() - DAY, now() + DAY, 7,
    )  # fmt: skip
    return signed(StatementKind.CREDENTIAL, said.body, BLESSER).encoded


def revocations(*serials: int, sequence: int = 1) -> bytes:
    """The blesser's list."""
    said = Revocations(GRID, sequence, now() - DAY, now() + DAY, serials)
    return signed(StatementKind.REVOCATIONS, said.body, BLESSER).encoded


class Clock:
    """A server's: seconds since 1970, and as many more as a test says."""

    ahead = 0

    def __call__(self) -> int:
        return now() + self.ahead


@dataclass
class Server:
    """One that serves, and all that it is made of."""

    seed: Seed
    state: Path
    gate: Gate
    ledger: Ledger
    keeper: Keeper
    hint: TcpHint
    clock: Clock
    pin: SpkiPin = field(init=False)

    def __post_init__(self) -> None:
        self.pin = pin_of(sign.public_key(self.seed))

    @property
    def files(self) -> list[Path]:
        """The files of its shares."""
        return files(self.state / "shares")


@contextlib.asynccontextmanager
async def server(
    state: Path, threads: ThreadPoolExecutor, visitors: Visitors | None = None, brought: Brought | None = None
) -> AsyncIterator[Server]:
    """A storage server at a free port of loopback; or, if there are `brought` connections, by those alone."""
    state.mkdir(exist_ok=True)
    seed = Seed(hashlib.sha256(str(state).encode()).digest())
    pin = pin_of(sign.public_key(seed))
    with contextlib.closing(Ledger(state / ledger.FILE)) as book:
        shelf = book.put_shelf(state / "shares", UNBOUNDED)
        clock = Clock()
        keeper = Keeper(book, Shelves([shelf], 0), clock, os.urandom)
        door = Door(pin, GRID, Rule(frozenset((GRID.blesser,))))
        gate = Gate(door, Lists(door.watched), book, clock, os.urandom)
        gate.hear(revocations())
        service = Service(keeper, book, gate, listen.peer, threads)
        sock = listen.bind("127.0.0.1", 0)
        where = listen.address(sock)
        assert isinstance(where, TcpHint)
        stop = asyncio.Event()
        listening = [sock] if brought is None else []
        if brought is not None:
            sock.close()
        app, bearable = service.app(), Visitors() if visitors is None else visitors
        serving = asyncio.create_task(listen.serve(app, seed, listening, bearable, stop, brought))
        try:
            yield Server(seed, state, gate, book, keeper, where, clock)
        finally:
            stop.set()
            await serving
            keeper.close()


class Reached(Protocol):
    """A server as its clients know it."""

    @property
    def pin(self) -> SpkiPin: ...

    @property
    def hint(self) -> TcpHint: ...


class Client:
    """An account with a credential at each server: `exchange.packing.Servers`."""

    def __init__(self, servers: Sequence[Reached], account: str = "alice") -> None:
        self.account = account
        self.secret = Secret(hashlib.sha256(account.encode()).digest())
        self.known = {one.pin: one.hint for one in servers}
        self.refused: dict[SpkiPin, str] = {}
        self.leaving: set[SpkiPin] = set()
        self.barred: set[SpkiPin] = set()  # where there is no credential
        self._connections: dict[SpkiPin, Connection] = {}

    def verdicts(self) -> Mapping[SpkiPin, Verdict]:
        no = dict.fromkeys(self.leaving, "it is leaving") | self.refused
        return {pin: Verdict(pin not in no, no.get(pin, "blessed"), leaving=pin in self.leaving) for pin in self.known}

    def badge(self, pin: SpkiPin, quota: int = QUOTA) -> Badge:
        key = client_seed(self.secret, pin)
        return Badge(GRID, (credential(pin, key, self.account, quota),), key)

    async def open(self, server: SpkiPin) -> StorageServer:
        return StorageServer(await self.connection(server), None if server in self.barred else self.badge(server), now)

    async def connection(self, server: SpkiPin) -> Connection:
        """The one that is open, or a new one."""
        there = self._connections.get(server)
        if there is None or there.is_lost:
            if there is not None:
                await there.close()
            there = self._connections[server] = await dial(server, [self.known[server]], Rules(), os.urandom)
        return there

    async def all(self) -> list[StorageServer]:
        """Those that can be reached."""
        found = []
        for pin in self.known:
            try:
                found.append(await self.open(pin))
            except HoldError as error:
                assert error.kind is Kind.UNREACHABLE
        return found

    async def close(self) -> None:
        for connection in self._connections.values():
            await connection.close()
        self._connections.clear()


@dataclass
class Grid:
    """The servers, and what shares are made with."""

    servers: list[Server]
    tools: Tools
    stops: list[contextlib.AsyncExitStack]

    def client(self, account: str = "alice") -> Client:
        return Client(self.servers, account)

    async def kill(self, number: int) -> None:
        """End a server: nothing answers at its address."""
        await self.stops[number].aclose()


@contextlib.asynccontextmanager
async def grid(path: Path, count: int) -> AsyncIterator[Grid]:
    """So many servers."""
    with ThreadPoolExecutor(8) as threads:
        stops = [contextlib.AsyncExitStack() for _ in range(count)]
        servers = [await stop.enter_async_context(server(path / f"s{n}", threads)) for n, stop in enumerate(stops)]
        try:
            yield Grid(servers, Tools(quickest(), threads, os.urandom), stops)
        finally:
            await asyncio.gather(*(stop.aclose() for stop in stops))
