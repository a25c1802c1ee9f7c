"""The calls of a storage server: a door for everybody, facets for accounts, and shares for who knows their index.

Nothing here blocks: what touches the disk runs in a few threads. Who is at the other end is what TLS has proved.
docs/spec/door.md, docs/spec/storage.md.
"""

import asyncio
import functools
import os
import secrets
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeVar

from aiohttp import web

from commonhold.errors import HoldError, Kind
from commonhold.formats import shareindex, storagewords
from commonhold.formats.entry import Nonce
from commonhold.formats.malformed import Malformed
from commonhold.formats.pin import SpkiPin
from commonhold.formats.storagewords import MAX_BODY, Admission, FacetId, Failure, Kept, Showing, Use
from commonhold.host import disk
from commonhold.host.turns import Turns
from commonhold.storage.keeping import Keeper
from commonhold.storage.ledger import Account, Ledger

PIECE: Final = 1 << 20  # bytes that are read from or written to a disk in one go
_REQUESTS = 16  # of one account, or of one stranger, at once
_WAITING = 64
_STRANGER = -1
_T = TypeVar("_T")
_KINDS = {404: Kind.NOT_FOUND, 413: Kind.TOO_LARGE}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Tenant:
    """Whose facet it is, and how many bytes that account may keep."""

    account: Account
    quota: int


class Door(Protocol):
    """Who is let in. HoldError says why not."""

    def nonce(self, connection: SpkiPin) -> Nonce:
        """What an entry by this connection has to be signed with."""
        ...

    def enter(self, connection: SpkiPin, showing: Showing) -> Admission:
        """Give a facet to who may have one."""
        ...

    def tenant(self, connection: SpkiPin, facet: FacetId) -> Tenant | None:
        """Whose facet it is; None for one that there is not, has ended, or is another connection's."""
        ...

    def barred(self, connection: SpkiPin, facet: FacetId) -> str | None:
        """Why whose facet it is may put nothing now, though they are in; None if they may."""
        ...


class Service:
    """See the module. `peer` tells who is at the other end of a request's connection."""

    def __init__(
        self,
        keeper: Keeper,
        ledger: Ledger,
        door: Door,
        peer: Callable[[web.Request], SpkiPin],
        threads: Executor,
        stall_seconds: float = 60.0,
    ) -> None:
        self._keeper = keeper
        self._ledger = ledger
        self._door = door
        self._peer = peer
        self._threads = threads
        self._stall = stall_seconds
        self._turns: dict[int, Turns] = {}

    def app(self) -> web.Application:
        """The application that serves these calls."""
        app = web.Application(middlewares=[self._called], client_max_size=MAX_BODY)
        app.add_routes(
            [
                web.post("/v1/door", self._nonce),
                web.post("/v1/door/enter", self._enter),
                web.post("/v1/find", self._find),
                web.get("/v1/shares/{index}", self._read),
                web.post("/v1/shares/{index}/check", self._check),
                web.get("/v1/facet/{facet}/account", self._account),
                web.post("/v1/facet/{facet}/list", self._list),
                web.post("/v1/facet/{facet}/renew", self._renew),
                web.post("/v1/facet/{facet}/drop", self._drop),
                web.post("/v1/facet/{facet}/uploads/{index}", self._begin),
                web.put("/v1/facet/{facet}/uploads/{index}", self._append),
                web.post("/v1/facet/{facet}/uploads/{index}/finish", self._finish),
            ]
        )
        return app

    @web.middleware
    async def _called(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Whatever goes wrong, as an answer."""
        try:
            return await handler(request)
        except ConnectionError:
            return _cut(request)
        except (HoldError, Malformed, web.RequestPayloadError, TimeoutError, web.HTTPException) as error:
            failure, status = _failure(error)
        if request.writer.output_size:
            return _cut(request)  # an answer had begun: an unfinished one says enough
        return web.Response(body=failure.encoded, status=status)

    # ── the door ──

    async def _nonce(self, request: web.Request) -> web.Response:
        return web.Response(body=storagewords.nonce(self._door.nonce(self._peer(request))))

    async def _enter(self, request: web.Request) -> web.Response:
        showing = storagewords.decode_showing(await self._body(request))
        admission = await self._run(self._door.enter, self._peer(request), showing)
        return web.Response(body=admission.encoded)

    def _tenant(self, request: web.Request, *, putting: bool = False) -> Tenant:
        """Whose facet a request came by. To whom it is not it does not exist, in the words for any other path.
        BLESSING if something is to be put there by who may only read now."""
        text = request.match_info["facet"]
        try:
            facet = FacetId(bytes.fromhex(text))
        except ValueError:
            facet = FacetId()
        found = self._door.tenant(self._peer(request), facet) if len(facet) == FacetId.LENGTH else None
        barred = self._door.barred(self._peer(request), facet) if found and putting else None
        if barred:
            raise HoldError("store share", Kind.BLESSING, "account", barred)
        if found is None:
            raise web.HTTPNotFound
        return found

    def _turn(self, key: int) -> Any:
        """Somebody's turn; strangers have theirs together."""
        turns = self._turns.get(key)
        if turns is None:
            turns = self._turns[key] = Turns(_REQUESTS, _WAITING, "server")
        return turns.turn()

    # ── for whoever knows an index ──

    async def _find(self, request: web.Request) -> web.Response:
        indexes = storagewords.decode_indexes(await self._body(request))
        async with self._turn(_STRANGER):
            return web.Response(body=storagewords.sizes(await self._run(self._keeper.sizes, indexes)))

    async def _read(self, request: web.Request) -> web.StreamResponse:
        """A share, or a range of it."""
        index = shareindex.parse(request.match_info["index"])
        fd, size = await self._run(self._keeper.open, index, None, _copy(request))
        try:
            return await self._send(request, fd, size)
        finally:
            os.close(fd)

    async def _send(self, request: web.Request, fd: int, size: int) -> web.StreamResponse:
        start, stop = _range(request, size)
        answer = web.StreamResponse(headers={"Content-Length": str(stop - start)})
        if "Range" in request.headers:
            answer.set_status(206)
            answer.headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
        await self._within(answer.prepare(request))
        while start < stop:
            part = await self._run(disk.read_at, fd, min(PIECE, stop - start), start)
            if not part:
                raise ConnectionResetError  # the file is shorter than its row says: a check finds out
            await self._within(answer.write(part))
            start += len(part)
        await self._within(answer.write_eof())
        return answer

    async def _check(self, request: web.Request) -> web.Response:
        index = shareindex.parse(request.match_info["index"])
        async with self._turn(_STRANGER):
            return web.Response(body=storagewords.verdict(await self._run(self._keeper.check, index, _copy(request))))

    # ── for an account ──

    async def _account(self, request: web.Request) -> web.Response:
        tenant = self._tenant(request)
        used, shares = await self._run(self._ledger.used, tenant.account)
        return web.Response(body=Use(tenant.quota, used, shares).encoded)

    async def _list(self, request: web.Request) -> web.Response:
        tenant = self._tenant(request)
        after, count = storagewords.decode_listing(await self._body(request))
        async with self._turn(tenant.account):
            rows = await self._run(self._ledger.listed, tenant.account, after, count)
        return web.Response(body=storagewords.listed(Kept(row.index, row.size, row.until) for row in rows))

    async def _renew(self, request: web.Request) -> web.Response:
        tenant = self._tenant(request)
        indexes, until = storagewords.decode_renewal(await self._body(request))
        async with self._turn(tenant.account):
            there = await self._run(self._keeper.renew, tenant.account, indexes, until)
        return web.Response(body=storagewords.sizes(map(int, there)))

    async def _drop(self, request: web.Request) -> web.Response:
        tenant = self._tenant(request)
        indexes = storagewords.decode_indexes(await self._body(request))
        async with self._turn(tenant.account):
            await self._run(self._keeper.drop, tenant.account, indexes)
        return web.Response()

    async def _begin(self, request: web.Request) -> web.Response:
        tenant, index = self._tenant(request, putting=True), shareindex.parse(request.match_info["index"])
        size, until = storagewords.decode_begin(await self._body(request))
        async with self._turn(tenant.account):
            here = await self._run(self._keeper.begin, tenant.account, tenant.quota, index, size, until)
        return web.Response(body=storagewords.received(here))

    async def _append(self, request: web.Request) -> web.Response:
        """The bytes of an upload, from `at`; kept as far as they come."""
        tenant, index = self._tenant(request, putting=True), shareindex.parse(request.match_info["index"])
        at = _number(request, "at")
        async with self._turn(tenant.account):
            ended = False
            while not ended:
                parts, ended = await self._next(request)
                at = await self._run(self._keeper.append, tenant.account, index, at, parts)
        return web.Response(body=storagewords.received(at))

    async def _next(self, request: web.Request) -> tuple[list[memoryview], bool]:
        """About a piece of a body as it comes, and whether that was the end."""
        parts: list[memoryview] = []
        size = 0
        while size < PIECE:
            part = await self._within(request.content.readany())
            if not part:
                return parts, True
            parts.append(memoryview(part))
            size += len(part)
        return parts, False

    async def _finish(self, request: web.Request) -> web.Response:
        tenant, index = self._tenant(request, putting=True), shareindex.parse(request.match_info["index"])
        sha256 = storagewords.decode_finish(await self._body(request))
        async with self._turn(tenant.account):
            await self._run(self._keeper.finish, tenant.account, index, sha256)
        return web.Response()

    # ── what all of these do ──

    async def _run(self, work: Callable[..., _T], *given: Any) -> _T:
        """Do it in a thread. What was begun there is ended there, also when whoever asked has gone."""
        doing = asyncio.get_running_loop().run_in_executor(self._threads, functools.partial(work, *given))
        try:
            return await asyncio.shield(doing)
        except asyncio.CancelledError:
            await asyncio.wait([doing])
            raise

    async def _body(self, request: web.Request) -> bytes:
        return bytes(await self._within(request.read()))

    async def _within(self, waiting: Awaitable[_T]) -> _T:
        async with asyncio.timeout(self._stall):
            return await waiting


def _copy(request: web.Request) -> int:
    """Which of several shares under one index is meant: two accounts may have one each."""
    return _number(request, "copy") if "copy" in request.query else 0


def _number(request: web.Request, name: str) -> int:
    text = request.query.get(name, "")
    if not text.isascii() or not text.isdecimal() or len(text) > 18:
        raise Malformed("query", f"{name} is no number")
    return int(text)


def _range(request: web.Request, size: int) -> tuple[int, int]:
    """The part that is asked for. RFC 9110 §14.1.2, of which we take one range from a first to a last byte."""
    if "Range" not in request.headers:
        return 0, size
    try:
        asked = request.http_range
    except ValueError as error:
        raise web.HTTPRequestRangeNotSatisfiable from error
    start, stop = asked.start or 0, size if asked.stop is None else min(asked.stop, size)
    if not 0 <= start < stop:
        raise web.HTTPRequestRangeNotSatisfiable
    return start, stop


def new_facet() -> FacetId:
    """A facet that nobody guesses."""
    return FacetId(secrets.token_bytes(FacetId.LENGTH))


def _failure(error: Exception) -> tuple[Failure, int]:
    match error:
        case HoldError():
            return Failure(error.kind, error.why), error.kind.value.http
        case web.HTTPException():
            return Failure(_KINDS.get(error.status, Kind.USAGE), error.reason), error.status
        case TimeoutError():
            return Failure(Kind.FAILED, "it did not move for too long"), Kind.FAILED.value.http
        case _:
            return Failure(Kind.INVALID, str(error)), Kind.INVALID.value.http


def _cut(request: web.Request) -> web.Response:
    """Hang up at once, and throw away what was not read; the answer is to nobody."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()
