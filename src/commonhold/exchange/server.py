"""One storage server, over one connection: its calls as methods, its answers checked. docs/spec/storage.md.

What a server says is a stranger's word: sizes and counts are held against what was asked; errors say whose they are.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final, TypeVar

from commonhold.errors import HoldError, Kind
from commonhold.exchange.badge import Badge
from commonhold.formats import storagewords
from commonhold.formats.malformed import Malformed
from commonhold.formats.pin import SpkiPin
from commonhold.formats.shareindex import ShareIndex
from commonhold.formats.storagewords import MAX_BODY, MAX_INDEXES, Admission, Kept, Use
from commonhold.transport.connection import Connection
from commonhold.transport.exchange import Body

MAX_SHARE: Final = 128 << 20
_EARLY = 60  # seconds before its end that a facet is no longer used
_ANSWER = 256 << 10
_SECONDS: Final = 300.0  # for one call, of which the transport only knows that something moves now and then
_SLOWEST: Final = 4096  # bytes of a share in a second

_T = TypeVar("_T")
From = Callable[[int], AsyncIterator[bytes | memoryview]]  # a share's bytes from an offset on


class StorageServer:
    """See the module. Without a badge what is kept there can be read, and nothing else."""

    def __init__(self, connection: Connection, badge: Badge | None, now: Callable[[], int]) -> None:
        self._connection = connection
        self._badge = badge
        self._now = now
        self._admission: Admission | None = None
        self._entering = asyncio.Lock()

    @property
    def pin(self) -> SpkiPin:
        """Who it is."""
        return self._connection.server

    @property
    def is_lost(self) -> bool:
        """Whether its connection has ended."""
        return self._connection.is_lost

    async def hang_up(self) -> None:
        """End the connection."""
        await self._connection.close()

    # ── for whoever knows an index ──

    async def find(self, indexes: Sequence[ShareIndex]) -> list[int]:
        """How large the shares under these indexes are, 0 for what is not there."""
        found: list[int] = []
        for start in range(0, len(indexes), MAX_INDEXES):
            some = indexes[start : start + MAX_INDEXES]
            answer = await self._call("POST", "/v1/find", storagewords.indexes(some))
            found += self._read(storagewords.decode_sizes, answer, len(some))
        return found

    async def read(self, index: ShareIndex, start: int, into: memoryview, copy: int = 0) -> None:
        """Fill a buffer with the bytes of a share from an offset on. NOT_FOUND; CORRUPT if there are fewer."""
        path = f"/v1/shares/{index}" + (f"?copy={copy}" if copy else "")
        span, seconds = (start, start + len(into)), _SECONDS + len(into) / _SLOWEST
        async with self._within("read share", seconds), self._connection.request("GET", path, span=span) as answer:
            if answer.status != 206:
                raise self._failure("read share", answer.status, await answer.read(_ANSWER))
            at = 0
            async for chunk in answer.chunks():
                if at + len(chunk) > len(into):
                    raise self._lied("more bytes than were asked for")
                into[at : at + len(chunk)] = chunk
                at += len(chunk)
        if at != len(into):
            raise HoldError("read share", Kind.CORRUPT, str(self.pin), f"{at} bytes came, {len(into)} were asked for")

    async def check(self, index: ShareIndex) -> bool:
        """Have the server read a share again: whether it is what was taken in. NOT_FOUND."""
        answer = await self._call("POST", f"/v1/shares/{index}/check", b"")
        return self._read(storagewords.decode_verdict, answer)

    # ── for an account ──

    async def use(self) -> Use:
        """What the account may keep there, and what it has used."""
        return self._read(storagewords.decode_use, await self._facet_call("GET", "account", b""))

    async def listed(self, after: bytes, count: int) -> Sequence[Kept]:
        """The account's own shares, those that come after an index."""
        answer = await self._facet_call("POST", "list", storagewords.listing(after, count))
        return self._read(storagewords.decode_listed, answer)

    async def renew(self, indexes: Sequence[ShareIndex], until: int) -> list[bool]:
        """Have shares kept until then at least; which of them there are."""
        found: list[bool] = []
        for start in range(0, len(indexes), MAX_INDEXES):
            some = indexes[start : start + MAX_INDEXES]
            answer = await self._facet_call("POST", "renew", storagewords.indexes(some, until))
            found += map(bool, self._read(storagewords.decode_sizes, answer, len(some)))
        return found

    async def drop(self, indexes: Sequence[ShareIndex]) -> None:
        """Let shares go, and uploads."""
        for start in range(0, len(indexes), MAX_INDEXES):
            some = indexes[start : start + MAX_INDEXES]
            await self._facet_call("POST", "drop", storagewords.indexes(some))

    async def begin(self, index: ShareIndex, size: int, until: int) -> int:
        """Begin the upload of a share, or go on with it; how many bytes are there."""
        answer = await self._facet_call("POST", f"uploads/{index}", storagewords.begin(size, until))
        return self._read(storagewords.decode_received, answer, size)

    async def append(self, index: ShareIndex, at: int, body: Body, size: int) -> int:
        """Send the bytes of an upload from an offset on, up to its `size`; how many are there then."""
        facet = await self._facet()
        path = f"{facet}/uploads/{index}?at={at}"
        async with self._connection.request("PUT", path, body=body, length=size - at) as answer:
            async with self._within("store share", _SECONDS):
                said = await answer.read(_ANSWER)
            if answer.status != 200:
                raise self._failure("store share", answer.status, said)
        return self._read(storagewords.decode_received, said, size)

    async def finish(self, index: ShareIndex, sha256: bytes) -> None:
        """All of an upload was sent: on return it is on that server's disk."""
        await self._facet_call("POST", f"uploads/{index}/finish", storagewords.finish(sha256))

    # ── how these are made ──

    async def _facet(self) -> str:
        """The path of the facet, which is asked for at the door where there is none, or not for long."""
        async with self._entering:
            if self._admission is None or self._admission.until - _EARLY <= self._now():
                self._admission = await self._enter()
            return f"/v1/facet/{self._admission.facet.hex()}"

    async def _enter(self) -> Admission:
        if self._badge is None:
            raise HoldError("enter", Kind.BLESSING, str(self.pin), "there is no credential for this server")
        nonce = self._read(storagewords.decode_nonce, await self._call("POST", "/v1/door", b""))
        showing = self._badge.show(nonce, self.pin, self._connection.own, self._now())
        answer = await self._call("POST", "/v1/door/enter", showing.encoded)
        return self._read(storagewords.decode_admission, answer)

    async def _facet_call(self, method: str, path: str, body: bytes) -> bytes:
        return await self._call(method, f"{await self._facet()}/{path}", body)

    async def _call(self, method: str, path: str, body: bytes) -> bytes:
        assert len(body) <= MAX_BODY
        op = "store share" if "/uploads/" in path else path.rpartition("/")[2]
        asked = self._connection.request(method, path, body=body or None)
        async with self._within(op, _SECONDS), asked as answer:
            said = await answer.read(_ANSWER)
            if answer.status != 200:
                raise self._failure(op, answer.status, said)
            return said

    @asynccontextmanager
    async def _within(self, op: str, seconds: float) -> AsyncIterator[None]:
        """Run a block that ends in time. UNREACHABLE: who answers a byte a minute would hold up everything else."""
        try:
            async with asyncio.timeout(seconds):
                yield
        except TimeoutError as error:
            raise HoldError(op, Kind.UNREACHABLE, str(self.pin), f"it is not done after {seconds:.0f} s") from error

    def _failure(self, op: str, status: int, said: bytes) -> HoldError:
        """A server's refusal, with whose it is."""
        try:
            failure = storagewords.decode_failure(said)
        except Malformed:
            return self._lied(f"status {status}, and no reason")
        if failure.kind is Kind.NOT_FOUND:
            self._admission = None  # the facet may have had to go for others: the next call asks for a new one
        return HoldError(op, failure.kind, str(self.pin), f"it says: {failure.why}")

    def _read(self, decode: Callable[..., _T], *given: object) -> _T:
        try:
            return decode(*given)
        except Malformed as error:
            raise self._lied(str(error)) from error

    def _lied(self, why: str) -> HoldError:
        return HoldError("call", Kind.INVALID, str(self.pin), f"it answers what cannot be: {why}")


Opened = Callable[[SpkiPin], Awaitable[StorageServer]]
"""How to come by a server: an open one, or one that is dialled now. UNREACHABLE, and what else a door says."""
