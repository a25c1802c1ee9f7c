"""The node's calls about adds under way: begin, put, keep, flush, commit, end."""

import contextlib
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager

from aiohttp import web

from commonhold.blockstore.session import StoreSession
from commonhold.errors import HoldError
from commonhold.formats import cid as cids
from commonhold.formats import multihash
from commonhold.node import blocks, words
from commonhold.node.callers import UID
from commonhold.node.desk import Desk
from commonhold.node.sessions import Sessions


class SessionCalls:
    """Calls over open sessions, each its owner's."""

    def __init__(self, sessions: Sessions, desk: Desk) -> None:
        self._sessions = sessions
        self._desk = desk

    def routes(self) -> list[web.RouteDef]:
        """Where the calls are."""
        return [
            web.post("/v1/sessions", self._begin),
            web.post("/v1/sessions/{id}/blocks", self._put),
            web.post("/v1/sessions/{id}/keep", self._keep),
            web.post("/v1/sessions/{id}/flush", self._flush),
            web.post("/v1/sessions/{id}/commit", self._commit),
            web.delete("/v1/sessions/{id}", self._end),
        ]

    def _session(self, request: web.Request) -> AbstractAsyncContextManager[StoreSession]:
        return self._sessions.use(request[UID], request.match_info["id"])

    async def _begin(self, request: web.Request) -> web.Response:
        view = self._desk.view(request)
        readers = tuple(words.readers((await self._desk.json(request)).get("readers", [])))
        name = await self._sessions.begin(request[UID], lambda: self._desk.write(request[UID], view.session, readers))
        return web.json_response({"id": name})

    async def _put(self, request: web.Request) -> web.Response:
        async with self._session(request) as session:
            body = self._chunks(request)
            lane = self._desk.lane(request)
            try:
                taken = await blocks.take_archive(self._desk.view(request), session, body, lane.threads)
            finally:
                await self._desk.write(request[UID], session.pause)
        return web.json_response(taken._asdict())

    async def _chunks(self, request: web.Request) -> AsyncIterator[bytes]:
        while chunk := await self._desk.within(request.content.readany()):
            yield chunk

    async def _keep(self, request: web.Request) -> web.Response:
        keys = await self._desk.asked(request)
        async with self._session(request) as session:
            found: bytes = await self._desk.write(request[UID], _keep_each, session, keys)
        if not all(found):
            await self._desk.tick(request, len(keys))
        return web.Response(body=found)

    async def _flush(self, request: web.Request) -> web.Response:
        async with self._session(request) as session:
            await self._desk.write(request[UID], session.flush)
        await self._desk.tick(request)
        return web.json_response({})

    async def _commit(self, request: web.Request) -> web.Response:
        said = await self._desk.json(request)
        name, root = words.name(said, "name"), cids.parse_text(words.text(said, "root"))
        async with self._session(request) as session:
            pin = await self._desk.write(request[UID], session.commit, name, root)
            self._sessions.remove(request.match_info["id"])
        await self._desk.tick(request)
        return web.json_response(words.described(pin))

    async def _end(self, request: web.Request) -> web.Response:
        await self.close(request[UID], request.match_info["id"])
        return web.json_response({})

    async def close(self, owner: int, name: str) -> None:
        async with self._sessions.use(owner, name) as session:
            try:
                await self._desk.write(owner, session.close)
            finally:
                self._sessions.remove(name)

    async def close_idle(self) -> None:
        """Close the sessions that nobody came back to."""
        for owner, name in self._sessions.idle():
            with contextlib.suppress(HoldError):  # what cannot be let go of now is let go of when the store is opened
                await self.close(owner, name)

    async def close_all(self) -> None:
        """Close every session: the node ends."""
        for owner, name in self._sessions.all():
            await self.close(owner, name)


def _keep_each(session: StoreSession, keys: list[multihash.Multihash]) -> bytes:
    return bytes([session.keep(key) for key in keys])
