"""The node's calls: routes, who is calling, and errors as answers. docs/spec/node.md has every call.

Nothing here blocks: what touches the disk runs in a few threads, and each user has only so many turns.
"""

import asyncio
import contextlib
import functools
import json
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

from aiohttp import web

from commonhold import __version__
from commonhold.api import MAX_USER, NOT_A_USER, PUBLIC, Pin, Records
from commonhold.blockstore.owned import OwnedStore, SoleStore
from commonhold.blockstore.session import StoreSession, check_name
from commonhold.blockstore.store import Store
from commonhold.errors import HoldError, Kind
from commonhold.formats import cid as cids
from commonhold.formats import keylist, multihash
from commonhold.formats.malformed import Malformed
from commonhold.ipc.peer import Peer
from commonhold.node import blocks, ticks
from commonhold.node.blocks import Threads
from commonhold.node.callers import UID, Admission, Turns
from commonhold.node.config import Config
from commonhold.node.door import Connections
from commonhold.node.lanes import Lanes
from commonhold.node.memorycalls import MemoryCalls
from commonhold.node.reclaiming import Reclaimer
from commonhold.node.recordcalls import RecordCalls
from commonhold.node.sessions import Sessions

_MAX_JSON = 64 << 10
_MAX_KEYS_BODY = keylist.MAX_KEYS * 161
_MANY_KEYS = 4096  # bytes of keys that are not read in the loop: everybody would wait
_SWEEP_SECONDS = 30.0

_KINDS = {404: Kind.NOT_FOUND, 413: Kind.TOO_LARGE}

_BEGAN = web.RequestKey("began", float)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Service:
    """One node's calls over one store."""

    def __init__(
        self,
        store: Store,
        records: Records,
        config: Config,
        own_uid: int,
        threads: Threads,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._records = RecordCalls(records, self._write, self._within)
        self._config = config
        self._admission = Admission(config, own_uid)
        self._threads = threads
        self._lanes = Lanes(threads)
        self._turns: dict[int, Turns] = {}
        self._sessions = Sessions(config.limits, clock)
        self._memory = MemoryCalls(self._sessions, self._view, self._write, self._body, threads.hashing)
        self.connections = Connections(config.limits.connections)
        self._active: set[asyncio.Task[Any] | None] = set()
        self._stopping = False
        self._reclaimer = Reclaimer(store, functools.partial(self._write, NOT_A_USER), self._pause)
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
        app.add_routes(self._memory.routes())
        app.add_routes(self._records.routes())
        app.cleanup_ctx.append(self._sweeping)
        return app

    async def _sweeping(self, app: web.Application) -> AsyncIterator[None]:
        async def sweep() -> None:
            while True:
                await self._sessions.opened.wait()  # an idle node is not woken
                await asyncio.sleep(_SWEEP_SECONDS)
                await self.close_idle()

        tasks = [asyncio.get_running_loop().create_task(work) for work in (sweep(), self._reclaimer.run())]
        yield
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        for owner, name in self._sessions.all():
            await self._close(owner, name)

    async def drain(self, seconds: float) -> None:
        """Take no more requests, and wait until those under way are answered, or for so long."""
        self._stopping = True
        if self._active:
            await asyncio.wait({task for task in self._active if task is not None}, timeout=seconds)

    async def close_idle(self) -> None:
        """Close the sessions that nobody came back to."""
        for owner, name in self._sessions.idle():
            with contextlib.suppress(HoldError):  # what cannot be let go of now is let go of when the store is opened
                await self._close(owner, name)

    @web.middleware
    async def _called(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Who is calling, their turn, and whatever goes wrong as an answer."""
        task = asyncio.current_task()
        self._active.add(task)
        try:
            peer = await self._peer(request)
            turns = self._turns.setdefault(peer.uid, Turns(self._config.limits))
            request[UID] = peer.uid
            request[_BEGAN] = asyncio.get_running_loop().time()
            async with turns.turn(), self._lanes.request(peer.uid):
                return await self._sent(request, await handler(request))
        except ConnectionError:
            return _cut(request)
        except (HoldError, Malformed, web.RequestPayloadError, TimeoutError, web.HTTPException) as error:
            failed, status = _failure(request.path, error)
        finally:
            self._active.discard(task)
        if request.writer.output_size:
            return _cut(request)  # an answer had begun: an unfinished one says enough
        if failed.kind is Kind.NOT_FOUND and _BEGAN in request:
            await ticks.next_tick(request[_BEGAN])
        return web.json_response(failed.described(), status=status)

    async def _sent(self, request: web.Request, answer: web.StreamResponse) -> web.StreamResponse:
        """Send an answer to its end while the caller has their turn: what waits for a slow reader counts as theirs."""
        await self._within(answer.prepare(request))
        await self._within(answer.write_eof())
        self._lanes.of(request[UID]).moved(request.content.total_bytes + request.writer.output_size)
        return answer

    async def _peer(self, request: web.Request) -> Peer:
        """Who is calling. Whether they may is asked once for each connection, when its first request comes."""
        transport = request.transport
        if transport is None:
            raise ConnectionResetError
        if request.version.major != 1:
            raise HoldError("call", Kind.INVALID, "HTTP", "version 1.1 is spoken here", hint="HTTP/1.1")
        if self._stopping:
            raise HoldError("call", Kind.UNREACHABLE, "node", "it is being stopped", hint="try again")
        peer = self.connections.peer(transport)
        if transport not in self.connections.admitted:
            await asyncio.get_running_loop().run_in_executor(self._threads.reading, self._admission.check, peer)
            self.connections.admitted.add(transport)
        return peer

    def _view(self, request: web.Request) -> OwnedStore:
        uid: int = request[UID]
        if self._config.group is None:
            return SoleStore(self._store)
        pause = self._lanes.of(uid).pause
        return OwnedStore(self._store, uid, self._config.quota_of(uid), self._reclaimer.tell, pause)

    async def _run(self, uid: int, work: Callable[..., Any], *given: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._lanes.of(uid).threads.reading, work, *given)

    async def _write(self, uid: int, work: Callable[..., Any], *given: Any) -> Any:
        working = asyncio.get_running_loop().run_in_executor(self._lanes.of(uid).threads.writing, work, *given)
        try:
            return await asyncio.shield(working)
        except asyncio.CancelledError:
            await asyncio.wait([working])  # whoever had the session has it until the thread is done with it
            raise

    def _pause(self) -> None:
        """What is done for nobody in particular lets everybody go first."""
        self._lanes.of(NOT_A_USER).pause()

    # ── about the node ──

    async def _node(self, request: web.Request) -> web.Response:
        said = {"version": __version__, "process": os.getpid(), "began": self._began, "group": self._config.group}
        return web.json_response(said)

    async def _account(self, request: web.Request) -> web.Response:
        view = self._view(request)
        usage = await self._run(request[UID], view.usage)
        return web.json_response(
            {"uid": request[UID], "blocks": usage.blocks, "bytes": usage.bytes, "pins": usage.pins, "quota": view.quota}
        )

    # ── blocks ──

    async def _asked(self, request: web.Request) -> list[multihash.Multihash]:
        packed = await self._body(request)
        if len(packed) <= _MANY_KEYS:
            return keylist.unpack(packed)
        pause = self._lanes.of(request[UID]).pause
        keys: list[multihash.Multihash] = await self._run(request[UID], keylist.unpack, packed, keylist.MAX_KEYS, pause)
        return keys

    async def _body(self, request: web.Request) -> bytes:
        """What comes with a request, unless it says itself that it is too much: who sends that is not waited for."""
        if (request.content_length or 0) > _MAX_KEYS_BODY:
            raise HoldError("call", Kind.TOO_LARGE, request.path, f"over {_MAX_KEYS_BODY} bytes")
        return bytes(await self._within(request.read()))

    async def _within(self, waiting: Awaitable[Any]) -> Any:
        """Wait for the caller, but not for ever."""
        async with asyncio.timeout(self._config.limits.stall_seconds):
            return await waiting

    async def _read(self, request: web.Request) -> web.StreamResponse:
        most = _number(request.query, "most")
        keys = await self._asked(request)
        outgoing, parts = await self._run(request[UID], blocks.outgoing, self._view(request), keys, most)
        if not outgoing.complete:
            await ticks.next_tick(request[_BEGAN], len(keys))
        if outgoing.done:
            return web.Response(body=b"".join(parts), content_type="application/vnd.ipld.car")
        answer = web.StreamResponse(headers={"Content-Length": str(outgoing.size)})
        answer.content_type = "application/vnd.ipld.car"
        await answer.prepare(request)
        while parts:
            following = asyncio.ensure_future(self._run(request[UID], outgoing.window))
            try:
                for part in parts:
                    await self._within(answer.write(part))
            finally:
                parts = await following
        return answer

    async def _stat(self, request: web.Request) -> web.Response:
        keys = await self._asked(request)
        found, complete = await self._run(request[UID], blocks.sizes, self._view(request), keys)
        if not complete:
            await ticks.next_tick(request[_BEGAN], len(keys))
        return web.Response(body=found)

    async def _delete(self, request: web.Request) -> web.Response:
        view = self._view(request)
        freed = 0
        for key in await self._asked(request):
            freed += await self._write(request[UID], view.delete, key)
        return web.json_response({"bytes": freed})

    async def _keys(self, request: web.Request) -> web.StreamResponse:
        return await self._key_stream(request, self._view(request).keys())

    async def _key_stream(self, request: web.Request, keys: Any) -> web.StreamResponse:
        """Send keys in runs: each as 4 bytes of length, then the packed keys; an empty run is the end."""

        def run() -> bytes:
            found = [key for _, key in zip(range(keylist.MAX_KEYS), keys, strict=False)]
            return keylist.pack(found)

        packed = await self._run(request[UID], run)
        answer = web.StreamResponse()
        await answer.prepare(request)
        while packed:
            await self._within(answer.write(len(packed).to_bytes(4, "little") + packed))
            packed = await self._run(request[UID], run)
        await self._within(answer.write(bytes(4)))
        return answer

    # ── sessions ──

    async def _json(self, request: web.Request) -> dict[str, Any]:
        raw = await self._body(request)
        if len(raw) > _MAX_JSON:
            raise HoldError("call", Kind.TOO_LARGE, request.path, f"over {_MAX_JSON} bytes")
        try:
            value = json.loads(raw or b"{}")
        except (ValueError, RecursionError) as error:
            raise HoldError("call", Kind.INVALID, request.path, f"not JSON: {error}") from error
        if not isinstance(value, dict):
            raise HoldError("call", Kind.INVALID, request.path, "not an object")
        return value

    def _session(self, request: web.Request) -> AbstractAsyncContextManager[StoreSession]:
        return self._sessions.use(request[UID], request.match_info["id"])

    async def _begin(self, request: web.Request) -> web.Response:
        view = self._view(request)
        readers = tuple(_readers((await self._json(request)).get("readers", [])))
        name = await self._sessions.begin(request[UID], lambda: self._write(request[UID], view.session, readers))
        return web.json_response({"id": name})

    async def _put(self, request: web.Request) -> web.Response:
        async with self._session(request) as session:
            body = self._chunks(request)
            lane = self._lanes.of(request[UID])
            try:
                taken = await blocks.take_archive(self._view(request), session, body, lane.threads)
            finally:
                await self._write(request[UID], session.pause)
        return web.json_response(taken._asdict())

    async def _chunks(self, request: web.Request) -> AsyncIterator[bytes]:
        while chunk := await self._within(request.content.readany()):
            yield chunk

    async def _keep(self, request: web.Request) -> web.Response:
        keys = await self._asked(request)
        async with self._session(request) as session:
            found: bytes = await self._write(request[UID], _keep_each, session, keys)
        if not all(found):
            await ticks.next_tick(request[_BEGAN], len(keys))
        return web.Response(body=found)

    async def _flush(self, request: web.Request) -> web.Response:
        async with self._session(request) as session:
            await self._write(request[UID], session.flush)
        await ticks.next_tick(request[_BEGAN])
        return web.json_response({})

    async def _commit(self, request: web.Request) -> web.Response:
        said = await self._json(request)
        name, root = _name(said, "name"), cids.parse_text(_text(said, "root"))
        async with self._session(request) as session:
            pin = await self._write(request[UID], session.commit, name, root)
            self._sessions.remove(request.match_info["id"])
        await ticks.next_tick(request[_BEGAN])
        return web.json_response(_described(pin))

    async def _end(self, request: web.Request) -> web.Response:
        await self._close(request[UID], request.match_info["id"])
        return web.json_response({})

    async def _close(self, owner: int, name: str) -> None:
        async with self._sessions.use(owner, name) as session:
            try:
                await self._write(owner, session.close)
            finally:
                self._sessions.remove(name)

    # ── retain sets ──

    async def _sets(self, request: web.Request) -> web.Response:
        view = self._view(request)
        if "name" in request.query:
            pin = await self._run(request[UID], view.pin, _name(request.query, "name"))
            return web.json_response([_described(pin)] if pin else [])
        return web.json_response([_described(pin) for pin in await self._run(request[UID], view.pins)])

    async def _set_keys(self, request: web.Request) -> web.StreamResponse:
        view = self._view(request)
        name = _name(await self._json(request), "name")
        if await self._run(request[UID], view.pin, name) is None:
            raise HoldError("pin", Kind.NOT_FOUND, repr(name), "no pin of that name", hint="hold pin ls")
        return await self._key_stream(request, view.pin_keys(name))

    async def _drop(self, request: web.Request) -> web.Response:
        await self._write(request[UID], self._view(request).unpin, _name(await self._json(request), "name"))
        return web.json_response({})

    async def _rename(self, request: web.Request) -> web.Response:
        said = await self._json(request)
        await self._write(request[UID], self._view(request).rename_pin, _name(said, "old"), _name(said, "new"))
        return web.json_response({})

    async def _collect(self, request: web.Request) -> web.Response:
        done = await self._write(request[UID], self._view(request).collect)
        return web.json_response({"blocks": done.blocks, "bytes": done.bytes, "disk": done.disk})


def _keep_each(session: StoreSession, keys: list[multihash.Multihash]) -> bytes:
    return bytes([session.keep(key) for key in keys])


def _failure(path: str, error: Exception) -> tuple[HoldError, int]:
    """What to say of an error, and the status."""
    match error:
        case HoldError():
            failed = error
        case web.HTTPException():
            kind = _KINDS.get(error.status, Kind.USAGE)
            return HoldError("call", kind, path, error.reason), error.status
        case TimeoutError():
            failed = HoldError("call", Kind.FAILED, path, "it did not move for too long")
        case _:
            failed = HoldError("call", Kind.INVALID, path, str(error))
    return failed, failed.kind.value.http


def _cut(request: web.Request) -> web.Response:
    """Hang up at once, and throw away what was not read; the answer is to nobody."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


def _name(said: Mapping[str, Any], field: str) -> str:
    """The name of a retain set."""
    name = _text(said, field)
    check_name(name)
    return name


def _text(said: Mapping[str, Any], name: str) -> str:
    value = said.get(name)
    if not isinstance(value, str):
        raise HoldError("call", Kind.INVALID, name, "not a text")
    return value


def _number(said: Mapping[str, str], name: str) -> int | None:
    """A number of bytes, if there is one."""
    value = said.get(name)
    if value is not None and not (value.isascii() and value.isdecimal() and len(value) < 16):
        raise HoldError("call", Kind.INVALID, name, "not a number of bytes")
    return None if value is None else int(value)


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
