"""The control socket of a daemon that runs: its owner's orders, as JSON, and nobody else's but root's.

docs/spec/enrolment.md, docs/spec/storage.md.
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import Executor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from aiohttp import web

from commonhold.errors import HoldError, Kind
from commonhold.ipc import endpoint
from commonhold.ipc.answering import MAX_JSON, json_object
from commonhold.ipc.peer import credentials
from commonhold.ipc.unixhttp import Client

Order = Mapping[str, Any]
Told = dict[str, Any]
SOCKET: Final = "control.sock"  # in a daemon's directory
_PATH: Final = "/v1/do"


@asynccontextmanager
async def listening(do: Callable[[Order], Told], path: Path, threads: Executor) -> AsyncIterator[None]:
    """Take orders at a socket that its owner alone can reach, while the block runs; `do` does them, in a thread."""
    sock = endpoint.listen(path, 0o600, 0o700)

    async def ordered(request: web.Request) -> web.Response:
        try:
            order = await _order(request)
            told = await asyncio.get_running_loop().run_in_executor(threads, do, order)
        except HoldError as error:
            return web.json_response(error.described(), status=error.kind.value.http)
        return web.json_response(told)

    app = web.Application(client_max_size=MAX_JSON)
    app.router.add_post(_PATH, ordered)
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.SockSite(runner, sock).start()
        yield
    finally:
        await runner.cleanup()
        with contextlib.suppress(FileNotFoundError):
            path.unlink()


async def _order(request: web.Request) -> dict[str, Any]:
    sock = request.get_extra_info("socket")
    uid = credentials(sock).uid
    if uid not in (0, os.geteuid()):
        raise HoldError("order", Kind.DENIED, f"uid {uid}", "not whose daemon this is")
    return json_object(await request.read(), "order", "order")


def tell(path: Path, order: Order) -> Told | None:
    """Give an order to a daemon that runs; what comes of it. None if none does."""
    if not path.is_socket() or not endpoint.answers(path):
        return None
    client = Client(path, endpoint.owners(path, os.geteuid()))
    try:
        return client.json("POST", _PATH, order, dict)
    finally:
        client.close()
