"""The node's calls about retain sets, and about what none of them keeps."""

from aiohttp import web

from commonhold.errors import HoldError, Kind
from commonhold.node import words
from commonhold.node.callers import UID
from commonhold.node.desk import Desk


class SetCalls:
    """Calls over the caller's own sets."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def routes(self) -> list[web.RouteDef]:
        """Where the calls are."""
        return [
            web.get("/v1/sets", self._sets),
            web.post("/v1/sets/keys", self._set_keys),
            web.post("/v1/sets/drop", self._drop),
            web.post("/v1/sets/rename", self._rename),
            web.post("/v1/collect", self._collect),
        ]

    async def _sets(self, request: web.Request) -> web.Response:
        view = self._desk.view(request)
        if "name" in request.query:
            pin = await self._desk.run(request[UID], view.pin, words.name(request.query, "name"))
            return web.json_response([words.described(pin)] if pin else [])
        return web.json_response([words.described(pin) for pin in await self._desk.run(request[UID], view.pins)])

    async def _set_keys(self, request: web.Request) -> web.StreamResponse:
        view = self._desk.view(request)
        name = words.name(await self._desk.json(request), "name")
        if await self._desk.run(request[UID], view.pin, name) is None:
            raise HoldError("pin", Kind.NOT_FOUND, repr(name), "no pin of that name", hint="hold pin ls")
        return await self._desk.key_stream(request, view.pin_keys(name))

    async def _drop(self, request: web.Request) -> web.Response:
        await self._desk.write(
            request[UID], self._desk.view(request).unpin, words.name(await self._desk.json(request), "name")
        )
        return web.json_response({})

    async def _rename(self, request: web.Request) -> web.Response:
        said = await self._desk.json(request)
        await self._desk.write(
            request[UID], self._desk.view(request).rename_pin, words.name(said, "old"), words.name(said, "new")
        )
        return web.json_response({})

    async def _collect(self, request: web.Request) -> web.Response:
        done = await self._desk.write(request[UID], self._desk.view(request).collect)
        return web.json_response({"blocks": done.blocks, "bytes": done.bytes, "disk": done.disk})
