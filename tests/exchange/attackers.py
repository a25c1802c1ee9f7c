"""What somebody at a storage server's door does with code of their own: connections, statements and calls by hand."""

import hashlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from commonhold.crypto import sign
from commonhold.crypto.statements import signed
from commonhold.errors import Kind
from commonhold.formats import storagewords
from commonhold.formats.credential import AccountId, Credential, Warrant
from commonhold.formats.entry import Entry, Nonce
from commonhold.formats.keys import Seed
from commonhold.formats.pin import SpkiPin
from commonhold.formats.shareindex import ShareIndex
from commonhold.formats.statement import Kind as Said
from commonhold.formats.storagewords import Admission, Showing
from commonhold.transport.connection import Connection
from commonhold.transport.dial import dial
from commonhold.transport.rules import Rules
from tests.exchange.grids import BLESSER, DAY, GRID, QUOTA, Grid, Server, grid, now
from tests.transport.ends import run

LATER = 2_000_000_000
MALLORY = Seed(b"m" * 32)
ALICE = Seed(b"a" * 32)
BOB = Seed(b"b" * 32)


def on_grid(path: Path, count: int, work: Callable[[Grid], Awaitable[None]]) -> None:
    """Run something on a grid of so many servers; nothing that it opened may stay open."""

    async def there() -> None:
        async with grid(path, count) as found:
            await work(found)

    run(there())


def index_of(name: str) -> ShareIndex:
    return ShareIndex(hashlib.sha256(name.encode()).digest())


def credential(at: SpkiPin, key: Seed, by: Seed = BLESSER, **other: Any) -> bytes:
    """Whoever has this key may keep shares there. Each key has an account of its own."""
    sound: dict[str, Any] = {
        "grid": GRID, "server": at, "account": AccountId(sign.public_key(key)[:16]), "client": sign.public_key(key),
        "quota": QUOTA, "not_before": now() - DAY, "not_after": now() + DAY, "serial": 7,
    }  # fmt: skip
    return signed(Said.CREDENTIAL, Credential(**sound | other).body, by).encoded


def warrant(at: SpkiPin, by: Seed, holder: Seed, **other: Any) -> bytes:
    """Whoever has the holder's key may act for whoever has `by`."""
    sound: dict[str, Any] = {
        "grid": GRID, "server": at, "holder": sign.public_key(holder),
        "not_before": now() - DAY, "not_after": now() + DAY,
    }  # fmt: skip
    return signed(Said.WARRANT, Warrant(**sound | other).body, by).encoded


def altered(statement: bytes) -> bytes:
    """The same, its signature wrong in one bit."""
    return statement[:-1] + bytes((statement[-1] ^ 1,))


@dataclass
class Line:
    """One connection to a server, and what is said over it."""

    connection: Connection

    async def ask(self, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
        """A call: its status and its answer."""
        async with self.connection.request(method, path, body=body or None) as answer:
            return answer.status, await answer.read(1 << 20)

    async def done(self, method: str, path: str, body: bytes = b"") -> bytes:
        """A call that is granted."""
        status, said = await self.ask(method, path, body)
        assert status in (200, 206), storagewords.decode_failure(said)
        return said

    async def refused(self, method: str, path: str, body: bytes = b"") -> tuple[Kind, str]:
        """A call that is not: of which kind that is, and why."""
        status, said = await self.ask(method, path, body)
        failure = storagewords.decode_failure(said)
        assert status == failure.kind.value.http
        return failure.kind, failure.why

    async def nonce(self) -> Nonce:
        return storagewords.decode_nonce(await self.done("POST", "/v1/door"))

    async def showing(self, key: Seed, *credentials: bytes, with_warrant: bytes | None = None, **other: Any) -> bytes:
        """What is shown at this server's door over this connection, its entry sound unless it says otherwise."""
        sound: dict[str, Any] = {
            "server": self.connection.server, "connection": self.connection.own, "grid": GRID, "time": now(),
        }  # fmt: skip
        if "nonce" not in other:
            sound["nonce"] = await self.nonce()
        entry = signed(Said.ENTRY, Entry(**sound | other).body, key).encoded
        return Showing(credentials, entry, with_warrant).encoded

    async def enter(self, key: Seed, *credentials: bytes, **other: Any) -> Admission:
        """Go in, with this key's own credential if none is given."""
        shown = credentials or (credential(self.connection.server, key),)
        found = await self.done("POST", "/v1/door/enter", await self.showing(key, *shown, **other))
        return storagewords.decode_admission(found)

    async def kept_out(self, key: Seed, *credentials: bytes, **other: Any) -> tuple[Kind, str]:
        """Try to go in."""
        return await self.refused("POST", "/v1/door/enter", await self.showing(key, *credentials, **other))

    async def facet(self, key: Seed, *credentials: bytes, **other: Any) -> str:
        """The path of an account's facet."""
        return path_of(await self.enter(key, *credentials, **other))

    async def store(self, facet: str, index: ShareIndex, data: bytes) -> None:
        """Upload a share."""
        await self.done("POST", f"{facet}/uploads/{index}", storagewords.begin(len(data), LATER))
        await self.done("PUT", f"{facet}/uploads/{index}?at=0", data)
        finish = storagewords.finish(hashlib.sha256(data).digest())
        await self.done("POST", f"{facet}/uploads/{index}/finish", finish)

    async def read(self, index: ShareIndex, copy: int = 0) -> bytes:
        return await self.done("GET", f"/v1/shares/{index}?copy={copy}")


def path_of(admission: Admission) -> str:
    return f"/v1/facet/{admission.facet.hex()}"


@asynccontextmanager
async def line(server: Server) -> AsyncIterator[Line]:
    """A new connection, by a key of its own."""
    connection = await dial(server.pin, [server.hint], Rules(), os.urandom)
    try:
        yield Line(connection)
    finally:
        await connection.close()
