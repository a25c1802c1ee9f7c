"""The node's calls about trays: giving one out, and laying blocks there."""

from aiohttp import web

from commonhold.errors import HoldError, Kind
from commonhold.formats import tray
from commonhold.node import handing
from commonhold.node.callers import UID
from commonhold.node.desk import Desk
from commonhold.node.trays import Trays


class TrayCalls:
    """Calls over blocks that are visible to the caller."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._trays = Trays()

    def routes(self) -> list[web.RouteDef]:
        """Where the calls are."""
        return [web.post("/v1/tray", self._give), web.post("/v1/tray/read", self._read)]

    async def _give(self, request: web.Request) -> web.Response:
        transport = handing.transport_of(request)
        found = self._trays.of(transport) or self._trays.make(transport, request[UID])
        handing.hand_over(request, found.fd)
        return web.json_response({"bytes": tray.SIZE})

    async def _read(self, request: web.Request) -> web.Response:
        found = self._trays.of(handing.transport_of(request))
        if found is None:
            raise HoldError("get", Kind.INVALID, "memory", "the connection has none", hint="ask for it first")
        keys = await self._desk.asked(request)
        lengths, complete = await self._desk.run(request[UID], found.lay, self._desk.view(request), keys)
        if not complete:
            await self._desk.tick(request, len(keys))
        return web.Response(body=lengths)
