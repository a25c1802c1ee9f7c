"""A tender's calls: each caller's own wards, and nobody else's. docs/spec/tender.md has every call.

Nothing here blocks: what touches the disk runs in threads, one call of each user at a time.
"""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from typing import Any, Final, TypeVar

from aiohttp import web

from commonhold.errors import HoldError, Kind
from commonhold.formats.charge import MAX_CHARGE, MAX_SEATS
from commonhold.formats.pin import GridId, SpkiPin
from commonhold.host.turns import Turns
from commonhold.ipc import answering
from commonhold.ipc.accepting import Connections
from commonhold.tender.wards import Seen, Wards

CONNECTIONS: Final = 16  # of one user
_WAITING: Final = 16
_SECONDS: Final = 30.0  # for a body to come
_LENGTH: Final = 32
_UID = web.RequestKey("uid", int)
_T = TypeVar("_T")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Interrupt = Callable[[int], Awaitable[None]]


class Service:
    """See the module. `interrupt` ends a visit for a user that is under way: who calls looks after it themselves."""

    def __init__(self, wards: Wards, threads: Executor, interrupt: Interrupt) -> None:
        self._wards = wards
        self._threads = threads
        self._interrupt = interrupt
        self._turns: dict[int, Turns] = {}
        self.connections = Connections(CONNECTIONS, "tender")

    def app(self) -> web.Application:
        """The calls."""
        app = web.Application(client_max_size=MAX_CHARGE, middlewares=[self._called])
        app.add_routes(
            [
                web.post("/v1/keys", self._keys),
                web.put("/v1/charge", self._take),
                web.post("/v1/here", self._here),
                web.post("/v1/forget", self._forget),
                web.get("/v1/charges", self._charges),
            ]
        )
        return app

    @web.middleware
    async def _called(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Who calls, their turn, and whatever goes wrong as an answer."""
        try:
            if request.transport is None:
                raise ConnectionResetError
            peer = self.connections.peer(request.transport)
            if not peer.mapped:
                raise HoldError("call", Kind.DENIED, f"uid {peer.uid}", "nobody on this host")
            request[_UID] = peer.uid
            async with self._turns.setdefault(peer.uid, Turns(1, _WAITING, "tender")).turn():
                return await handler(request)
        except ConnectionError:
            return answering.cut(request)
        except (*answering.WRONG, OSError) as error:
            failed, status = answering.failure(request.path, error)
        return web.json_response(failed.described(), status=status)

    # ── calls ──

    async def _keys(self, request: web.Request) -> web.Response:
        said = await self._json(request)
        servers = said.get("servers")
        if not isinstance(servers, list) or len(servers) > MAX_SEATS:
            raise HoldError("call", Kind.INVALID, "servers", f"no list of up to {MAX_SEATS}")
        pins = [_bytes(one, SpkiPin) for one in servers]
        keys = await self._run(self._wards.keys, request[_UID], _bytes(said.get("grid"), GridId), pins)
        return web.json_response({"keys": [key.hex() for key in keys]})

    async def _take(self, request: web.Request) -> web.Response:
        data = await self._body(request)
        await self._interrupt(request[_UID])
        await self._run(self._wards.take, request[_UID], data)
        return web.json_response({})

    async def _here(self, request: web.Request) -> web.Response:
        grid = _bytes((await self._json(request)).get("grid"), GridId)
        digest, seen = await self._run(self._wards.here, request[_UID], grid)
        await self._interrupt(request[_UID])
        return web.json_response({"charge": digest and digest.hex(), "seen": [_told(one) for one in seen]})

    async def _forget(self, request: web.Request) -> web.Response:
        grid = _bytes((await self._json(request)).get("grid"), GridId)
        await self._interrupt(request[_UID])
        await self._run(self._wards.drop, request[_UID], grid)
        return web.json_response({})

    async def _charges(self, request: web.Request) -> web.Response:
        grids = await self._run(self._wards.grids, request[_UID])
        return web.json_response({"grids": [grid.hex() for grid in grids]})

    # ── what they have in common ──

    async def _run(self, work: Callable[..., _T], *given: object) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, *given)

    async def _json(self, request: web.Request) -> dict[str, Any]:
        if (request.content_length or 0) > answering.MAX_JSON:  # who says so is not waited for
            raise HoldError("call", Kind.TOO_LARGE, request.path, f"over {answering.MAX_JSON} bytes")
        return answering.json_object(await self._body(request), request.path)

    async def _body(self, request: web.Request) -> bytes:
        async with asyncio.timeout(_SECONDS):
            return await request.read()


_B = TypeVar("_B", bound=bytes)


def _bytes(text: object, made: type[_B]) -> _B:
    """32 bytes in hexadecimal. INVALID."""
    try:
        raw = bytes.fromhex(text) if isinstance(text, str) else b""
    except ValueError:
        raw = b""
    if len(raw) != _LENGTH:
        raise HoldError("call", Kind.INVALID, "key", f"not {_LENGTH} bytes in hexadecimal")
    return made(raw)


def _told(one: Seen) -> dict[str, Any]:
    care = one.care
    return {
        "seed": one.seed.hex(), "made": one.made, "until": one.until, "looked": care.looked, "next": care.next,
        "state": care.state.value if care.state else None, "said": care.said[:4096],
    }  # fmt: skip
