"""A server's process in the foreground: where it listens, what it tells the service manager, and when it ends."""

import asyncio
import sys
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from socket import socket

from commonhold.formats.hint import TcpHint, UnixHint
from commonhold.host import systemd
from commonhold.ipc import endpoint
from commonhold.transport import listen


def sockets(where: Iterable[TcpHint | UnixHint]) -> list[socket]:
    """Listen there."""
    return [_listen(one) for one in where]


@asynccontextmanager
async def until_told(
    listening: Iterable[TcpHint | UnixHint], environment: Mapping[str, str]
) -> AsyncIterator[asyncio.Event]:
    """Say where it listens and that it is ready; the event is set by INT or TERM."""
    stop = systemd.told()
    for one in listening:
        print(f"listening at {one}", file=sys.stderr, flush=True)  # noqa: T201
    try:
        systemd.notify(environment, "READY=1")
        yield stop
    finally:
        systemd.notify(environment, "STOPPING=1")


def _listen(where: TcpHint | UnixHint) -> socket:
    if isinstance(where, UnixHint):
        return endpoint.listen(Path(where.path), 0o666, 0o755)
    return listen.bind(where.host, where.port)
