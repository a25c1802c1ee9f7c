"""The node's calls: routes, who is calling, and errors as answers. docs/spec/node.md has every call.

Nothing here blocks: what touches the disk runs in a few threads, and each user has only so many turns.
"""

import asyncio
import functools
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from aiohttp import web

from commonhold import __version__
from commonhold.api import NOT_A_USER, Records
from commonhold.blockstore.store import Store
from commonhold.errors import HoldError, Kind
from commonhold.host.turns import Turns
from commonhold.ipc import answering
from commonhold.ipc.accepting import Connections
from commonhold.ipc.peer import Peer
from commonhold.node import ticks
from commonhold.node.blockcalls import BlockCalls
from commonhold.node.blocks import Threads
from commonhold.node.callers import UID, Admission
from commonhold.node.config import Config
from commonhold.node.desk import BEGAN, MAX_BODY, Desk
from commonhold.node.lanes import Lanes
from commonhold.node.memorycalls import MemoryCalls
from commonhold.node.reclaiming import Reclaimer
from commonhold.node.recordcalls import RecordCalls
from commonhold.node.sessioncalls import SessionCalls
from commonhold.node.sessions import Sessions
from commonhold.node.setcalls import SetCalls
from commonhold.node.traycalls import TrayCalls

_SWEEP_SECONDS = 30.0

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
        self._config = config
        self._admission = Admission(config, own_uid)
        self._threads = threads
        self._lanes = Lanes(threads)
        self._turns: dict[int, Turns] = {}
        self._open = Sessions(config.limits, clock)
        self._desk = Desk(store, config, self._lanes, lambda keys: self._reclaimer.tell(keys))
        self._reclaimer = Reclaimer(store, functools.partial(self._desk.write, NOT_A_USER), self._pause)
        self._sessions = SessionCalls(self._open, self._desk)
        self._rooms = (
            BlockCalls(self._desk),
            self._sessions,
            MemoryCalls(self._open, self._desk, threads.hashing),
            TrayCalls(self._desk),
            SetCalls(self._desk),
            RecordCalls(records, self._desk),
        )
        self.connections = Connections(config.limits.connections, "node")
        self._active: set[asyncio.Task[Any] | None] = set()
        self._stopping = False
        self._began = time.time()

    # ── wiring ──

    def app(self) -> web.Application:
        """The application that serves these calls."""
        app = web.Application(middlewares=[self._called], client_max_size=MAX_BODY)
        app.add_routes([web.get("/v1/node", self._node), web.get("/v1/account", self._account)])
        for room in self._rooms:
            app.add_routes(room.routes())
        app.cleanup_ctx.append(self._sweeping)
        return app

    async def _sweeping(self, app: web.Application) -> AsyncIterator[None]:
        async def sweep() -> None:
            while True:
                await self._open.opened.wait()  # an idle node is not woken
                await asyncio.sleep(_SWEEP_SECONDS)
                await self.close_idle()

        tasks = [asyncio.get_running_loop().create_task(work) for work in (sweep(), self._reclaimer.run())]
        yield
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        await self._sessions.close_all()

    async def drain(self, seconds: float) -> None:
        """Take no more requests, and wait until those under way are answered, or for so long."""
        self._stopping = True
        if self._active:
            await asyncio.wait({task for task in self._active if task is not None}, timeout=seconds)

    async def close_idle(self) -> None:
        """Close the sessions that nobody came back to."""
        await self._sessions.close_idle()

    @web.middleware
    async def _called(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Who is calling, their turn, and whatever goes wrong as an answer."""
        task = asyncio.current_task()
        self._active.add(task)
        try:
            peer = await self._peer(request)
            turns = self._turns.setdefault(peer.uid, self._new_turns())
            request[UID] = peer.uid
            request[BEGAN] = asyncio.get_running_loop().time()
            async with turns.turn(), self._lanes.request(peer.uid):
                return await self._sent(request, await handler(request))
        except ConnectionError:
            return answering.cut(request)
        except answering.WRONG as error:
            failed, status = answering.failure(request.path, error)
        finally:
            self._active.discard(task)
        if request.writer.output_size:
            return answering.cut(request)  # an answer had begun: an unfinished one says enough
        if failed.kind is Kind.NOT_FOUND and BEGAN in request:
            await ticks.next_tick(request[BEGAN])
        return web.json_response(failed.described(), status=status)

    def _new_turns(self) -> Turns:
        return Turns(self._config.limits.requests, self._config.limits.waiting, "node")

    async def _sent(self, request: web.Request, answer: web.StreamResponse) -> web.StreamResponse:
        """Send an answer to its end while the caller has their turn: what waits for a slow reader counts as theirs."""
        await self._desk.within(answer.prepare(request))
        await self._desk.within(answer.write_eof())
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

    def _pause(self) -> None:
        """What is done for nobody in particular lets everybody go first."""
        self._lanes.of(NOT_A_USER).pause()

    # ── about the node ──

    async def _node(self, request: web.Request) -> web.Response:
        said = {"version": __version__, "process": os.getpid(), "began": self._began, "group": self._config.group}
        return web.json_response(said)

    async def _account(self, request: web.Request) -> web.Response:
        view = self._desk.view(request)
        usage = await self._desk.run(request[UID], view.usage)
        return web.json_response(
            {"uid": request[UID], "blocks": usage.blocks, "bytes": usage.bytes, "pins": usage.pins, "quota": view.quota}
        )
