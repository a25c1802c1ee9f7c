"""A blesser's calls, for anybody: requests, revocation lists, and meetings by short codes. docs/spec/enrolment.md.

Nothing here blocks: what touches the disk or multiplies points runs in a few threads.
"""

import asyncio
import functools
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any, Final, TypeVar

from aiohttp import web

from commonhold.blesser.meetings import Meetings
from commonhold.blesser.office import Office
from commonhold.blesser.rates import Rate
from commonhold.crypto.pake import Ends
from commonhold.errors import HoldError, Kind
from commonhold.formats import enrolwords
from commonhold.formats.enrolwords import MAX_REQUEST
from commonhold.formats.pin import SpkiPin
from commonhold.host.turns import Turns
from commonhold.transport.answering import failures

_AT_ONCE: Final = 4
_WAITING: Final = 64
_STALL_SECONDS: Final = 60.0
_T = TypeVar("_T")


class Limits:
    """How often strangers may do what costs something, all of them together: `now` never goes back, in seconds."""

    def __init__(self, now: Callable[[], float]) -> None:
        self.requests = Rate(256, 1 / 32, now)
        self.guesses = Rate(20, 6.0, now)  # at short codes


class Service:
    """See the module. `peer` tells who is at the other end of a request's connection."""

    def __init__(
        self,
        office: Office,
        meetings: Meetings,
        peer: Callable[[web.Request], SpkiPin],
        threads: Executor,
        limits: Limits,
    ) -> None:
        self._office = office
        self._meetings = meetings
        self._peer = peer
        self._threads = threads
        self._limits = limits
        self._turns = Turns(_AT_ONCE, _WAITING, "blesser")

    def app(self) -> web.Application:
        """The application that serves these calls."""
        app = web.Application(middlewares=[failures], client_max_size=MAX_REQUEST)
        app.add_routes(
            [
                web.post("/v1/enrol", self._enrol),
                web.post("/v1/blind", self._blind),
                web.get("/v1/revocations", self._revocations),
                web.post("/v1/meet", self._meet),
                web.post("/v1/meet/proof", self._prove),
            ]
        )
        return app

    async def _enrol(self, request: web.Request) -> web.Response:
        data = await _body(request)
        _within(self._limits.requests)
        found = await self._run(self._office.ask, data)
        return web.Response(body=enrolwords.waits() if found is None else enrolwords.granted(found))

    async def _blind(self, request: web.Request) -> web.Response:
        data = await _body(request)
        _within(self._limits.requests)
        found = await self._run(self._office.blind, data)
        return web.Response(body=enrolwords.waits() if found is None else enrolwords.blinded_answer(*found))

    async def _revocations(self, request: web.Request) -> web.Response:
        return web.Response(body=await self._run(self._office.revocations))

    async def _meet(self, request: web.Request) -> web.Response:
        plate, message = enrolwords.decode_opening(await _body(request))
        _within(self._limits.guesses)
        ends = Ends(self._peer(request), self._office.keys.pin)
        return web.Response(body=enrolwords.reply(await self._run(self._meetings.meet, plate, message, ends)))

    async def _prove(self, request: web.Request) -> web.Response:
        plate, proof = enrolwords.decode_proof(await _body(request))
        sealed = await self._run(self._meetings.prove, plate, proof, self._peer(request))
        return web.Response(body=enrolwords.sealed(sealed))

    async def _run(self, work: Callable[..., _T], *given: Any) -> _T:
        """Do it in a thread, when it is its turn. What was begun there is ended there."""
        async with self._turns.turn():
            doing = asyncio.get_running_loop().run_in_executor(self._threads, functools.partial(work, *given))
            try:
                return await asyncio.shield(doing)
            except asyncio.CancelledError:
                await asyncio.wait([doing])
                raise


def _within(rate: Rate) -> None:
    if not rate.take():
        raise HoldError("call", Kind.BUSY, "blesser", "too many ask: try again in a while")


async def _body(request: web.Request) -> bytes:
    async with asyncio.timeout(_STALL_SECONDS):
        return await request.read()
