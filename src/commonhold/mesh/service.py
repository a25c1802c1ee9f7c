"""The way in to an introducer or a relay: one call, whose body and answer are streams of messages.

docs/spec/gossip.md, docs/spec/relay.md.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from socket import socket

from aiohttp import web

from commonhold.formats.keys import Seed
from commonhold.formats.pin import SpkiPin
from commonhold.mesh.conversation import Write
from commonhold.mesh.mesh import PATH, Mesh
from commonhold.transport import listen
from commonhold.transport.visitors import Visitors

Attend = Callable[[SpkiPin, AsyncIterator[bytes], Write], Awaitable[None]]  # to who has called, until that ends


def app(path: str, attend: Attend) -> web.Application:
    """Return what serves one such call."""

    async def called(request: web.Request) -> web.StreamResponse:
        listen.unhurried(request)
        answer = web.StreamResponse()
        await answer.prepare(request)
        await attend(listen.peer(request), coming(request), answer.write)
        if request.transport is not None:
            request.transport.close()  # whatever is still on its way here is for nobody
        return answer

    found = web.Application()
    found.router.add_post(path, called)
    return found


async def serve(mesh: Mesh, seed: Seed, listening: Sequence[socket], visitors: Visitors, stop: asyncio.Event) -> None:
    """Run an introducer's mesh, and let others in, until told to stop. The sockets are closed then."""
    async with asyncio.TaskGroup() as group:
        running = group.create_task(mesh.run())
        group.create_task(listen.serve(app(PATH, mesh.attend), seed, listening, visitors, stop))
        await stop.wait()
        running.cancel()


async def coming(request: web.Request) -> AsyncIterator[bytes]:
    """The pieces of a body as they come; an OSError if the connection breaks."""
    try:
        async for piece in request.content.iter_any():
            yield piece
    except web.RequestPayloadError as error:
        raise ConnectionResetError("it has broken off") from error
