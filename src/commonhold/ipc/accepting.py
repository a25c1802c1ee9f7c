"""The door: connections come in one at a time, whose they are is asked of the kernel, and each user has so many."""

import asyncio
import contextlib
import json
import logging
import socket
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from commonhold.errors import HoldError, Kind
from commonhold.host import arriving, systemd
from commonhold.ipc.peer import Peer, credentials

_CUT_SECONDS = 1.0  # for what is still under way at the end


class Connections:
    """Who is at the other end of each open connection, as it was when they connected."""

    def __init__(self, limit: int, called: str) -> None:
        """`called` is what they connect to, for the error."""
        self._limit = limit
        self._called = called
        self._peers: WeakKeyDictionary[asyncio.BaseTransport, Peer] = WeakKeyDictionary()
        self.admitted: WeakSet[asyncio.BaseTransport] = WeakSet()  # may call: found out once for each

    def peer(self, transport: asyncio.BaseTransport) -> Peer:
        """Who is there."""
        return self._peers[transport]

    async def accept(self, listening: socket.socket, protocol: Callable[[], asyncio.Protocol]) -> None:
        """Let callers in until cancelled. One who has as many connections as they may is told so."""
        loop = asyncio.get_running_loop()
        async for connection in arriving.arrivals(listening):
            try:
                peer = credentials(connection)
                if self._count(peer.uid) >= self._limit:
                    _refuse(connection, self._limit, self._called)
                    continue
                transport, _ = await loop.connect_accepted_socket(protocol, connection)
            except OSError:
                connection.close()
                continue
            self._peers[transport] = peer
            del transport  # nobody else keeps it once it is closed: what it has goes with it

    def _count(self, uid: int) -> int:
        return sum(peer.uid == uid and not transport.is_closing() for transport, peer in self._peers.items())


async def serve(
    runner: web.AppRunner, connections: Connections, listening: Sequence[socket.socket],
    environment: Mapping[str, str], stop: asyncio.Event, *beside: Coroutine[Any, Any, None],
) -> None:  # fmt: skip
    """Let callers in on these sockets until stopped, and do what is beside meanwhile. The sockets are closed then; what
    is under way goes on until the runner is cleaned up."""
    await runner.setup()
    assert runner.server is not None
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(connections.accept(sock, runner.server)) for sock in listening]
        tasks += [group.create_task(one) for one in beside]
        systemd.notify(environment, "READY=1")
        await stop.wait()
        systemd.notify(environment, "STOPPING=1")
        for one in tasks:
            one.cancel()
    for sock in listening:
        sock.close()


def runner(app: web.Application, log: str, buffer: int = 1 << 16) -> web.AppRunner:
    """What answers them. `log` names where it is said what went wrong here; what callers send is answered, not said: it
    could go on for ever. `buffer`: bytes of each connection that lie unread here."""
    logger = logging.getLogger(log)
    logger.addFilter(_is_ours)
    return web.AppRunner(
        app,
        access_log=None,
        logger=logger,
        handle_signals=False,
        shutdown_timeout=_CUT_SECONDS,
        read_bufsize=buffer,
        auto_decompress=False,  # a few bytes stay a few bytes
    )


def _is_ours(record: logging.LogRecord) -> bool:
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))


def _refuse(connection: socket.socket, limit: int, called: str) -> None:
    said = HoldError("call", Kind.BUSY, called, f"you have {limit} connections, which is the limit").described()
    body = json.dumps(said).encode()
    head = f"HTTP/1.1 {Kind.BUSY.value.http} Busy\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    with connection, contextlib.suppress(OSError):
        connection.send(head.encode() + body)
