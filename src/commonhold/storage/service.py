"""The calls of a storage server: a door for everybody, facets for accounts, and shares for who knows their index.

Nothing here blocks: what touches the disk runs in a few threads. Who is at the other end is what TLS has proved.
docs/spec/door.md, docs/spec/storage.md.
"""

import asyncio
import contextlib
import functools
import re
import secrets
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, BinaryIO, Final, Protocol, TypeVar

from aiohttp import StreamReader, web

from commonhold.errors import HoldError, Kind, os_errors
from commonhold.formats import shareindex, storagewords
from commonhold.formats.entry import Nonce
from commonhold.formats.malformed import Malformed
from commonhold.formats.pin import SpkiPin
from commonhold.formats.shareindex import ShareIndex
from commonhold.formats.storagewords import MAX_BODY, Admission, FacetId, Kept, Showing, Use
from commonhold.host import disk
from commonhold.host.turns import Turns
from commonhold.storage.keeping import Keeper
from commonhold.storage.ledger import Account, Ledger
from commonhold.transport.answering import failures

PIECE: Final = 128 << 10  # bytes that have to come or go in time
LARGE: Final = 1 << 20  # bytes that are read from or written to a disk in one go: the larger, the less work
ROOMS: Final = 12  # so many are in memory; whoever comes while all are taken has PIECE
_REQUESTS = 16  # of one account at once, or of all strangers
_WAITING = 64
_STRANGERS, _ENTERING = -1, -2  # whose turns are not an account's
_TRANSFERS = 128  # shares that are read at once, and as many that are written: each has a piece in memory
_TRANSFERS_WAITING = 512
_CHECKS = 2  # shares that are read anew for whoever asks: each takes a thread for as long as 128 MiB take
_T = TypeVar("_T")
_RANGE = re.compile(r"bytes=([0-9]{1,18})-([0-9]{0,18})")


@dataclass(frozen=True, slots=True)
class Tenant:
    """Whose facet it is, and how many bytes that account may keep. `standing_in`: somebody else came in by its
    warrant, who lets no share go."""

    account: Account
    quota: int
    standing_in: bool = False


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
        self._rooms = [disk.aligned(LARGE) for _ in range(ROOMS)]
        self._turns: dict[int, Turns] = {}
        self._reading = Turns(_TRANSFERS, _TRANSFERS_WAITING, "server")
        self._writing = Turns(_TRANSFERS, _TRANSFERS_WAITING, "server")
        self._checking = Turns(_CHECKS, _WAITING, "server")

    def app(self) -> web.Application:
        """The application that serves these calls."""
        app = web.Application(middlewares=[failures], client_max_size=MAX_BODY)
        app.add_routes(
            [
                web.post("/v1/door", self._nonce),
                web.post("/v1/door/enter", self._enter),
                web.post("/v1/find", self._find),
                web.get("/v1/shares/{index}", self._read, allow_head=False),
                web.post("/v1/shares/{index}/check", self._check),
                web.get("/v1/facet/{facet}/account", self._account, allow_head=False),
                web.post("/v1/facet/{facet}/list", self._list),
                web.post("/v1/facet/{facet}/renew", self._renew),
                web.post("/v1/facet/{facet}/drop", self._drop),
                web.post("/v1/facet/{facet}/uploads/{index}", self._begin),
                web.put("/v1/facet/{facet}/uploads/{index}", self._append),
                web.post("/v1/facet/{facet}/uploads/{index}/finish", self._finish),
            ]
        )
        return app

    # ── the door ──

    async def _nonce(self, request: web.Request) -> web.Response:
        return web.Response(body=storagewords.nonce(self._door.nonce(self._peer(request))))

    async def _enter(self, request: web.Request) -> web.Response:
        showing = storagewords.decode_showing(await self._body(request))
        async with self._turn(_ENTERING):
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
        """An account's turn; strangers have theirs together."""
        turns = self._turns.get(key)
        if turns is None:
            turns = self._turns[key] = Turns(_REQUESTS, _WAITING, "server")
        return turns.turn()

    # ── for whoever knows an index ──

    async def _find(self, request: web.Request) -> web.Response:
        indexes = storagewords.decode_indexes(await self._body(request))
        async with self._turn(_STRANGERS):
            return web.Response(body=storagewords.sizes(await self._run(self._keeper.sizes, indexes)))

    async def _read(self, request: web.Request) -> web.StreamResponse:
        """A share, or a range of it."""
        index = shareindex.parse(request.match_info["index"])
        async with self._reading.turn():
            file, size = await self._run(self._keeper.open, index, _copy(request))
            with file, self._room() as room:
                return await self._send(request, file, size, room)

    async def _send(self, request: web.Request, file: BinaryIO, size: int, room: memoryview) -> web.StreamResponse:
        start, stop = _range(request, size)
        answer = web.StreamResponse(headers={"Content-Length": str(stop - start)})
        if "Range" in request.headers:
            answer.set_status(206)
            answer.headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
        await self._within(answer.prepare(request))
        while start < stop:
            part = await self._run(_part, file, room[: stop - start], start)
            if not part:
                raise ConnectionResetError  # the file is shorter than its row says: a check finds out
            for at in range(0, len(part), PIECE):
                await self._within(answer.write(part[at : at + PIECE]))
            start += len(part)
        await self._within(answer.write_eof())
        return answer

    async def _check(self, request: web.Request) -> web.Response:
        index = shareindex.parse(request.match_info["index"])
        async with self._checking.turn():
            return web.Response(body=storagewords.verdict(await self._run(self._keeper.check, index, _copy(request))))

    # ── for an account ──

    async def _account(self, request: web.Request) -> web.Response:
        tenant = self._tenant(request)
        async with self._turn(tenant.account):
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
            drop = self._keeper.give_up if tenant.standing_in else self._keeper.drop
            await self._run(drop, tenant.account, indexes)
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
        async with self._turn(tenant.account), self._writing.turn():
            with self._room() as room:
                at = await self._taken(request.content, tenant.account, index, at, room)
        return web.Response(body=storagewords.received(at))

    async def _taken(
        self, content: StreamReader, account: Account, index: ShareIndex, at: int, room: memoryview
    ) -> int:
        """Keep a body piece by piece; how far it has come."""
        intake = _Intake(content, at, room)
        while not intake.ended:
            try:
                while intake.wanting:
                    await self._within(intake.fill())
            finally:  # what has come is kept, whatever comes next
                at = await self._run(self._keeper.append, account, index, at, intake.taken())
        return at

    @contextlib.contextmanager
    def _room(self) -> Iterator[memoryview]:
        """Memory for one piece."""
        room = self._rooms.pop() if self._rooms else disk.aligned(PIECE)
        try:
            yield room
        finally:
            if len(room) == LARGE:
                self._rooms.append(room)

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
        if (request.content_length or 0) > MAX_BODY:
            raise HoldError("call", Kind.TOO_LARGE, "body", f"over {MAX_BODY} bytes")
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
    """The part that is asked for: one, from a first byte, to a last one or to the end. RFC 9110 §14.1.2."""
    asked = request.headers.getall("Range", [])
    if not asked:
        return 0, size
    found = _RANGE.fullmatch(asked[0])
    if len(asked) == 1 and found is not None:
        start, stop = int(found[1]), min(int(found[2]) + 1, size) if found[2] else size
        if start < stop:
            return start, stop
    raise web.HTTPRequestRangeNotSatisfiable


class _Intake:
    """A body as it comes, in pieces that end where pages of the file do: those are written quickest."""

    def __init__(self, content: StreamReader, at: int, room: memoryview) -> None:
        self.ended = False
        self._content = content
        self._room = room
        self._most = len(room) - at % disk.PAGE
        self._filled = 0

    @property
    def wanting(self) -> bool:
        """Whether there is room in the piece, and more may come."""
        return self._filled < self._most and not self.ended

    async def fill(self) -> None:
        """Wait for so much that it counts as moving, or the end."""
        stop = min(self._filled + PIECE, self._most)
        while self._filled < stop:
            part = await self._content.read(self._most - self._filled)
            if not part:
                self.ended = True
                break
            self._room[self._filled : self._filled + len(part)] = part
            self._filled += len(part)

    def taken(self) -> memoryview:
        """The piece; it is overwritten by what comes next."""
        taken, self._filled, self._most = self._room[: self._filled], 0, len(self._room)
        return taken


def _part(file: BinaryIO, room: memoryview, at: int) -> memoryview:
    """What comes next of a file, in memory that is nobody else's: it is not sent when it is written to a transport."""
    with os_errors("read share", "shelf"):
        return memoryview(bytes(room[: disk.read_full(file.fileno(), room, at)]))


def new_facet() -> FacetId:
    """A facet that nobody guesses."""
    return FacetId(secrets.token_bytes(FacetId.LENGTH))
