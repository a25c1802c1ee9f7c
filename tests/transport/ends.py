"""A server and what dials it, in one loop; whatever the loop would only have logged fails the test."""

import asyncio
import itertools
import os
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from typing import Any, TypeVar, cast

import uvloop
from aiohttp import web

from commonhold.crypto import sign
from commonhold.formats import keys
from commonhold.formats.hint import Hint, TcpHint
from commonhold.formats.keys import Seed
from commonhold.formats.pin import SpkiPin, pin_of
from commonhold.transport import dial, listen
from commonhold.transport.connection import Connection
from commonhold.transport.rules import Exemption, Rules
from commonhold.transport.visitors import Limits, Visitors
from tests.opened import left_open, opened
from tests.waiting import SECONDS

T = TypeVar("T")

SEED = Seed(bytes(range(32)))
PIN = pin_of(sign.public_key(SEED))
OTHER = pin_of(sign.public_key(Seed(bytes(range(1, 33)))))


def run(work: Coroutine[Any, Any, T], seconds: float = SECONDS) -> T:
    """Run it on the daemons' loop. It has to close what it opens, and nothing may go wrong unseen.

    `seconds` is there for what never ends: how quick something is, the clock of a busy machine does not say.
    """
    unseen: list[dict[str, Any]] = []
    before = opened()

    async def bounded() -> T:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: unseen.append(context))
        async with asyncio.timeout(seconds):
            return await work

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        result = runner.run(bounded())
    assert unseen == [], unseen
    assert left_open(before) == []
    return result


async def soon(holds: Callable[[], bool]) -> None:
    """Return when something holds, which others see to."""
    while not holds():
        await asyncio.sleep(0.005)


def numbers(seed: int = 0) -> Callable[[int], bytes]:
    """Bytes that look random, the same ones for the same seed, never twice."""
    counter = itertools.count(seed << 32)
    return lambda count: b"".join(next(counter).to_bytes(8, "big") for _ in range(-(-count // 8)))[:count]


@asynccontextmanager
async def serving(
    app: web.Application | None = None,
    limits: Limits | None = None,
    seed: Seed = SEED,
    listening: Iterable[socket.socket] | None = None,
) -> AsyncIterator[tuple[TcpHint, Visitors]]:
    """A server, where it listens and who is there."""
    sockets = list(listening or [listen.bind("127.0.0.1", 0)])
    hint = cast(TcpHint, listen.address(sockets[0]))  # whoever brings a unix socket dials that
    visitors, stop = Visitors(limits), asyncio.Event()
    running = asyncio.create_task(listen.serve(app or echoing(), seed, sockets, visitors, stop))
    try:
        yield hint, visitors
    finally:
        stop.set()
        await running


@asynccontextmanager
async def dialled(*hints: Hint, rules: Rules | None = None, server: SpkiPin = PIN) -> AsyncIterator[Connection]:
    """A connection; sockets of this machine are exempted."""
    permitted = rules or Rules(exemptions=frozenset(Exemption(server, hint) for hint in hints))
    found = await dial.dial(server, hints, permitted, os.urandom)
    try:
        yield found
    finally:
        await found.close()


def echoing() -> web.Application:
    """An application that sends back what it gets, and says who asked."""

    async def who(request: web.Request) -> web.Response:
        return web.Response(text=str(listen.peer(request)))

    async def echo(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        async for chunk in request.content.iter_any():
            await answer.write(chunk)
        return answer

    app = web.Application()
    app.router.add_get("/who", who)
    app.router.add_post("/echo", echo)
    return app


def seed_of(number: int) -> Seed:
    """One of many keys."""
    return keys.seed_of(number.to_bytes(32, "big"))
