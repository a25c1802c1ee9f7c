"""The node's calls: routes, who is calling, and errors as answers. docs/spec/node.md has every call.

Nothing here blocks: what touches the disk runs in a few threads, and each user has only so many turns.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from weakref import WeakKeyDictionary

from aiohttp import web

from commonhold import __version__
from commonhold.api import MAX_USER, PUBLIC, Pin, Records
from commonhold.blockstore.owned import OwnedStore, SoleStore
from commonhold.blockstore.session import StoreSession
from commonhold.blockstore.store import Store
from commonhold.errors import HoldError, Kind
from commonhold.formats import cid as cids
from commonhold.formats import keylist, multihash
from commonhold.formats.malformed import Malformed
from commonhold.ipc.peer import Peer, credentials
from commonhold.node import blocks, ticks
from commonhold.node.blocks import Threads
from commonhold.node.callers import UID, Admission, Turns
from commonhold.node.config import Config
from commonhold.node.recordcalls import RecordCalls
from commonhold.node.sessions import Open, Sessions

_MAX_JSON = 64 << 10
_MAX_KEYS_BODY = keylist.MAX_KEYS * 161
_SWEEP_SECONDS = 30.0

_BEGAN = web.RequestKey("began", float)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Service:
    """One node's calls over one store."""

    def __init__(self, store: Store, records: Records, config: Config, own_uid: int, threads: Threads) -> None:
        self._store = store
        self._records = RecordCalls(records, self._write)
        self._config = config
        self._admission = Admission(config, own_uid)
        self._threads = threads
        self._turns: dict[int, Turns] = {}
        self._sessions = Sessions(config.limits)
        self._peers: WeakKeyDictionary[asyncio.BaseTransport, Peer] = WeakKeyDictionary()
        self._began = time.time()

    # ── wiring ──

    def app(self) -> web.Application:
        """The application that serves these calls."""
        app = web.Application(middlewares=[self._called], client_max_size=_MAX_KEYS_BODY)
        app.add_routes(
            [
                web.get("/v1/node", self._node),
                web.get("/v1/account", self._account),
                web.post("/v1/blocks/read", self._read),
                web.post("/v1/blocks/stat", self._stat),
                web.post("/v1/blocks/delete", self._delete),
                web.get("/v1/keys", self._keys),
                web.post("/v1/sessions", self._begin),
                web.post("/v1/sessions/{id}/blocks", self._put),
                web.post("/v1/sessions/{id}/keep", self._keep),
                web.post("/v1/sessions/{id}/flush", self._flush),
                web.post("/v1/sessions/{id}/commit", self._commit),
                web.delete("/v1/sessions/{id}", self._end),
                web.get("/v1/sets", self._sets),
                web.post("/v1/sets/keys", self._set_keys),
                web.post("/v1/sets/drop", self._drop),
                web.post("/v1/sets/rename", self._rename),
                web.post("/v1/collect", self._collect),
            ]
        )
        app.add_routes(self._records.routes())
        app.cleanup_ctx.append(self._sweeping)
        return app

    async def _sweeping(self, app: web.Application) -> AsyncIterator[None]:
        async def sweep() -> None:
            while True:
                await self._sessions.opened.wait()  # an idle node is not woken
                await asyncio.sleep(_SWEEP_SECONDS)
                for name, one in self._sessions.idle():
                    await self._close(name, one)

        task = asyncio.get_running_loop().create_task(sweep())
        yield
        task.cancel()
        for name, one in self._sessions.all():
            await self._close(name, one)

    @web.middleware
    async def _called(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Who is calling, their turn, and whatever goes wrong as an answer."""
        try:
            peer = await self._peer(request)
            turns = self._turns.setdefault(peer.uid, Turns(self._config.limits))
            request[UID] = peer.uid
            request[_BEGAN] = asyncio.get_running_loop().time()
            async with turns.turn():
                return await handler(request)
        except HoldError as error:
            failed = error
        except Malformed as error:
            failed = HoldError("call", Kind.INVALID, request.path, str(error))
        except (TimeoutError, web.HTTPRequestEntityTooLarge) as error:
            kind = Kind.TOO_LARGE if isinstance(error, web.HTTPException) else Kind.FAILED
            failed = HoldError("call", kind, request.path, str(error) or "it did not move for too long")
        if failed.kind is Kind.NOT_FOUND and _BEGAN in request:
            await ticks.next_tick(request[_BEGAN])
        return web.json_response(failed.described(), status=failed.kind.value.http)

    async def _peer(self, request: web.Request) -> Peer:
        """Who is at the other end: asked once for each connection, when its first request comes."""
        transport = request.transport
        if transport is None:
            raise HoldError("call", Kind.UNREACHABLE, "caller", "has left")
        peer = self._peers.get(transport)
        if peer is None:
            peer = credentials(transport.get_extra_info("socket"))
            await self._run(self._admission.check, peer)
            self._peers[transport] = peer
        return peer

    def _view(self, request: web.Request) -> OwnedStore:
        uid: int = request[UID]
        if self._config.group is None:
            return SoleStore(self._store)
        return OwnedStore(self._store, uid, self._config.quota_of(uid))

    async def _run(self, work: Callable[..., Any], *given: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._threads.reading, work, *given)

    async def _write(self, work: Callable[..., Any], *given: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._threads.writing, work, *given)

    # ── about the node ──

    async def _node(self, request: web.Request) -> web.Response:
        return web.json_response({"version": __version__, "began": self._began, "group": self._config.group})

    async def _account(self, request: web.Request) -> web.Response:
        view = self._view(request)
        usage = await self._run(view.usage)
        return web.json_response(
            {"uid": request[UID], "blocks": usage.blocks, "bytes": usage.bytes, "pins": usage.pins, "quota": view.quota}
        )

    # ── blocks ──

    async def _asked(self, request: web.Request) -> list[multihash.Multihash]:
        return keylist.unpack(await self._within(request.read()))

    async def _within(self, waiting: Awaitable[Any]) -> Any:
        """Wait for the caller, but not for ever."""
        return await asyncio.wait_for(waiting, self._config.limits.stall_seconds)

    async def _read(self, request: web.Request) -> web.StreamResponse:
        keys = await self._asked(request)
        outgoing = await self._run(blocks.Outgoing, self._view(request), keys)
        parts = await self._run(outgoing.window)
        if not outgoing.complete:
            await ticks.next_tick(request[_BEGAN])
        if outgoing.done:
            return web.Response(body=b"".join(parts), content_type="application/vnd.ipld.car")
        answer = web.StreamResponse(headers={"Content-Length": str(outgoing.size)})
        answer.content_type = "application/vnd.ipld.car"
        await answer.prepare(request)
        try:
            while parts:
                following = asyncio.ensure_future(self._run(outgoing.window))
                try:
                    for part in parts:
                        await self._within(answer.write(part))
                finally:
                    parts = await following
        except (TimeoutError, HoldError):  # it is too late for another answer: an unfinished one says enough
            if request.transport is not None:
                request.transport.close()
        return answer

    async def _stat(self, request: web.Request) -> web.Response:
        keys = await self._asked(request)
        found, complete = await self._run(blocks.sizes, self._view(request), keys)
        if not complete:
            await ticks.next_tick(request[_BEGAN])
        return web.Response(body=found)

    async def _delete(self, request: web.Request) -> web.Response:
        view = self._view(request)
        freed = 0
        for key in await self._asked(request):
            freed += await self._write(view.delete, key)
        return web.json_response({"bytes": freed})

    async def _keys(self, request: web.Request) -> web.StreamResponse:
        return await self._key_stream(request, self._view(request).keys())

    async def _key_stream(self, request: web.Request, keys: Any) -> web.StreamResponse:
        """Send keys in runs: each as 4 bytes of length, then the packed keys; an empty run is the end."""

        def run() -> bytes:
            found = [key for _, key in zip(range(keylist.MAX_KEYS), keys, strict=False)]
            return keylist.pack(found)

        packed = await self._run(run)
        answer = web.StreamResponse()
        await answer.prepare(request)
        while packed:
            await self._within(answer.write(len(packed).to_bytes(4, "little") + packed))
            packed = await self._run(run)
        await self._within(answer.write(bytes(4)))
        return answer

    # ── sessions ──

    async def _json(self, request: web.Request) -> dict[str, Any]:
        raw = await self._within(request.read())
        if len(raw) > _MAX_JSON:
            raise HoldError("call", Kind.TOO_LARGE, request.path, f"over {_MAX_JSON} bytes")
        try:
            value = json.loads(raw or b"{}")
        except ValueError as error:
            raise HoldError("call", Kind.INVALID, request.path, f"not JSON: {error}") from error
        if not isinstance(value, dict):
            raise HoldError("call", Kind.INVALID, request.path, "not an object")
        return value

    def _session(self, request: web.Request) -> Open:
        return self._sessions.find(request[UID], request.match_info["id"])

    async def _begin(self, request: web.Request) -> web.Response:
        view = self._view(request)
        readers = tuple(_readers((await self._json(request)).get("readers", [])))
        self._sessions.check_room(request[UID])
        name = self._sessions.add(request[UID], view.session(readers))
        return web.json_response({"id": name})

    async def _put(self, request: web.Request) -> web.Response:
        one = self._session(request)
        async with one.turn:
            body = self._chunks(request)
            try:
                taken = await blocks.take_archive(self._view(request), one.session, body, self._threads)
            finally:
                await self._write(one.session.pause)
            one.used = time.monotonic()
        return web.json_response(taken._asdict())

    async def _chunks(self, request: web.Request) -> AsyncIterator[bytes]:
        while chunk := await self._within(request.content.readany()):
            yield chunk

    async def _keep(self, request: web.Request) -> web.Response:
        keys = await self._asked(request)
        one = self._session(request)
        async with one.turn:
            found: bytes = await self._write(_keep_each, one.session, keys)
        if not all(found):
            await ticks.next_tick(request[_BEGAN])
        return web.Response(body=found)

    async def _flush(self, request: web.Request) -> web.Response:
        one = self._session(request)
        async with one.turn:
            await self._write(one.session.flush)
        await ticks.next_tick(request[_BEGAN])
        return web.json_response({})

    async def _commit(self, request: web.Request) -> web.Response:
        said = await self._json(request)
        one = self._session(request)
        name, root = _text(said, "name"), cids.parse_text(_text(said, "root"))
        async with one.turn:
            pin = await self._write(one.session.commit, name, root)
        self._sessions.remove(request.match_info["id"])
        await ticks.next_tick(request[_BEGAN])
        return web.json_response(_described(pin))

    async def _end(self, request: web.Request) -> web.Response:
        await self._close(request.match_info["id"], self._session(request))
        return web.json_response({})

    async def _close(self, name: str, one: Open) -> None:
        async with one.turn:
            await self._write(one.session.close)
        self._sessions.remove(name)

    # ── retain sets ──

    async def _sets(self, request: web.Request) -> web.Response:
        view = self._view(request)
        if "name" in request.query:
            pin = await self._run(view.pin, request.query["name"])
            return web.json_response([_described(pin)] if pin else [])
        return web.json_response([_described(pin) for pin in await self._run(view.pins)])

    async def _set_keys(self, request: web.Request) -> web.StreamResponse:
        view = self._view(request)
        name = _text(await self._json(request), "name")
        if await self._run(view.pin, name) is None:
            raise HoldError("pin", Kind.NOT_FOUND, repr(name), "no pin of that name", hint="hold pin ls")
        return await self._key_stream(request, view.pin_keys(name))

    async def _drop(self, request: web.Request) -> web.Response:
        await self._write(self._view(request).unpin, _text(await self._json(request), "name"))
        return web.json_response({})

    async def _rename(self, request: web.Request) -> web.Response:
        said = await self._json(request)
        await self._write(self._view(request).rename_pin, _text(said, "old"), _text(said, "new"))
        return web.json_response({})

    async def _collect(self, request: web.Request) -> web.Response:
        done = await self._write(self._view(request).collect)
        return web.json_response({"blocks": done.blocks, "bytes": done.bytes, "disk": done.disk})


def _keep_each(session: StoreSession, keys: list[multihash.Multihash]) -> bytes:
    return bytes([session.keep(key) for key in keys])


def _text(said: dict[str, Any], name: str) -> str:
    value = said.get(name)
    if not isinstance(value, str):
        raise HoldError("call", Kind.INVALID, name, "not a text")
    return value


def _readers(said: Any) -> list[int]:
    """uids, or `public`."""
    if not isinstance(said, list) or len(said) > 255:
        raise HoldError("call", Kind.INVALID, "readers", "not a list of up to 255")
    found = []
    for one in said:
        if one != "public" and (isinstance(one, bool) or not isinstance(one, int) or not 0 <= one <= MAX_USER):
            raise HoldError("call", Kind.INVALID, "readers", "neither a uid nor 'public'")
        found.append(PUBLIC if one == "public" else one)
    return found


def _described(pin: Pin) -> dict[str, Any]:
    readers = ["public" if one == PUBLIC else one for one in pin.readers]
    return pin._asdict() | {"root": str(pin.root), "readers": readers}
