"""The node's calls about blocks: read, stat, delete, and which there are for the caller."""

import asyncio

from aiohttp import web

from commonhold.node import blocks, words
from commonhold.node.callers import UID
from commonhold.node.desk import Desk


class BlockCalls:
    """Calls over blocks that are visible to the caller."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def routes(self) -> list[web.RouteDef]:
        """Where the calls are."""
        return [
            web.post("/v1/blocks/read", self._read),
            web.post("/v1/blocks/stat", self._stat),
            web.post("/v1/blocks/delete", self._delete),
            web.get("/v1/keys", self._keys),
        ]

    async def _read(self, request: web.Request) -> web.StreamResponse:
        most = words.number(request.query, "most")
        keys = await self._desk.asked(request)
        outgoing, parts = await self._desk.run(request[UID], blocks.outgoing, self._desk.view(request), keys, most)
        if not outgoing.complete:
            await self._desk.tick(request, len(keys))
        if outgoing.done:
            return web.Response(body=b"".join(parts), content_type="application/vnd.ipld.car")
        answer = web.StreamResponse(headers={"Content-Length": str(outgoing.size)})
        answer.content_type = "application/vnd.ipld.car"
        await answer.prepare(request)
        while parts:
            following = asyncio.ensure_future(self._desk.run(request[UID], outgoing.window))
            try:
                for part in parts:
                    await self._desk.within(answer.write(part))
            finally:
                parts = await following
        return answer

    async def _stat(self, request: web.Request) -> web.Response:
        keys = await self._desk.asked(request)
        found, complete = await self._desk.run(request[UID], blocks.sizes, self._desk.view(request), keys)
        if not complete:
            await self._desk.tick(request, len(keys))
        return web.Response(body=found)

    async def _delete(self, request: web.Request) -> web.Response:
        view = self._desk.view(request)
        freed = 0
        for key in await self._desk.asked(request):
            freed += await self._desk.write(request[UID], view.delete, key)
        return web.json_response({"bytes": freed})

    async def _keys(self, request: web.Request) -> web.StreamResponse:
        return await self._desk.key_stream(request, self._desk.view(request).keys())
