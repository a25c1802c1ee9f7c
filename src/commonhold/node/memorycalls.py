"""The node's calls about memory that it shares with a session: giving it out, and taking the blocks that lie there."""

from collections.abc import Sequence
from concurrent.futures import Executor

from aiohttp import web

from commonhold.blockstore.owned import OwnedStore
from commonhold.blockstore.session import StoreSession
from commonhold.errors import HoldError, Kind
from commonhold.formats import spots
from commonhold.formats.spots import Spot
from commonhold.node import handing, memory
from commonhold.node.blocks import Taken
from commonhold.node.callers import UID
from commonhold.node.desk import Desk
from commonhold.node.memory import Memory
from commonhold.node.sessions import Sessions


class MemoryCalls:
    """Calls over open sessions."""

    def __init__(self, sessions: Sessions, desk: Desk, hashing: Executor) -> None:
        self._sessions = sessions
        self._desk = desk
        self._hashing = hashing

    def routes(self) -> list[web.RouteDef]:
        """Where the calls are."""
        return [
            web.post("/v1/sessions/{id}/memory", self._share),
            web.post("/v1/sessions/{id}/spots", self._take),
        ]

    async def _share(self, request: web.Request) -> web.Response:
        name = request.match_info["id"]
        async with self._sessions.use(request[UID], name):
            shared = self._sessions.memory(name)
            if shared is None:
                shared = Memory()
                self._sessions.share(name, shared)
            handing.hand_over(request, shared.fd)
        return web.json_response({"bytes": spots.MEMORY})

    async def _take(self, request: web.Request) -> web.Response:
        packed = await self._desk.body(request)
        name = request.match_info["id"]
        async with self._sessions.use(request[UID], name) as session:
            shared = self._sessions.memory(name)
            if shared is None:
                raise HoldError("put", Kind.INVALID, "memory", "the session has none", hint="ask for it first")
            view = self._desk.view(request)
            taken = await self._desk.write(request[UID], _unpack_and_take, view, session, shared, packed, self._hashing)
        return web.json_response(taken._asdict())


def _unpack_and_take(
    view: OwnedStore, session: StoreSession, shared: Memory, packed: bytes, hashing: Executor
) -> Taken:
    found: Sequence[Spot] = spots.unpack(packed)
    return memory.take(view, session, shared, found, hashing)
