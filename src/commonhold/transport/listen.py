"""Serving an application to other machines: TLS with this server's key, each request with its peer's pin, limits.

docs/spec/transport.md. Who a peer is beyond its key, and what it may do, is the application's to decide.
"""

import asyncio
import contextlib
import ipaddress
import logging
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, cast

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.typedefs import Middleware

from commonhold.errors import HoldError, Kind, os_errors
from commonhold.formats.hint import TcpHint, UnixHint
from commonhold.formats.keys import Seed
from commonhold.formats.pin import SpkiPin
from commonhold.host import arriving
from commonhold.transport import tls
from commonhold.transport.brought import Brought
from commonhold.transport.connection import PING
from commonhold.transport.tls import PinnedObject
from commonhold.transport.visitors import Visitor, Visitors

_BACKLOG = 1024
_CUT_SECONDS = 1.0  # for what is still under way at the end
_LINGER_SECONDS = 5.0  # in which the rest of a body that nobody wants is read
_BYE_SECONDS = 1.0
_BUFFER = 1 << 20

_THEIRS = (HttpProcessingError, web.RequestPayloadError, ConnectionResetError)  # what comes of what strangers do
_VISITOR: Final = web.RequestKey("visitor", Visitor)
_Answering = Callable[[web.Request], Awaitable[web.StreamResponse]]


def bind(host: str, port: int) -> socket.socket:
    """Open a socket at an address of this machine, as a number; at any free port if that is 0."""
    try:
        version = ipaddress.ip_address(host).version
    except ValueError as error:
        raise HoldError("listen", Kind.USAGE, host, "not an address in numbers") from error
    sock = socket.socket(socket.AF_INET if version == 4 else socket.AF_INET6, socket.SOCK_STREAM)
    try:
        with os_errors("listen", f"{host} port {port}"):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if version == 6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.bind((host, port))
            sock.listen(_BACKLOG)
    except BaseException:
        sock.close()
        raise
    return sock


def address(sock: socket.socket) -> TcpHint | UnixHint:
    """Where a socket listens: the port that it got of `bind`, or its path, which is no longer than 107 bytes."""
    if sock.family == socket.AF_UNIX:
        return UnixHint(sock.getsockname())
    return TcpHint(*sock.getsockname()[:2])


def peer(request: web.BaseRequest) -> SpkiPin:
    """Who asks: the pin of the key that the other end of the connection has proved to have."""
    return cast(PinnedObject, request.get_extra_info("ssl_object")).peer


def unhurried(request: web.Request) -> None:
    """Have this request's body come as slowly as it likes: whoever serves it sees to it that its sender is there."""
    request[_VISITOR].unhurried()


async def serve(
    app: web.Application, seed: Seed, listening: Sequence[socket.socket], visitors: Visitors, stop: asyncio.Event,
    brought: Brought | None = None,
) -> None:  # fmt: skip
    """Serve an application on these sockets, with this key, until told to stop. The sockets are closed then.

    They are those of `bind`, unix sockets that somebody has opened, or what systemd gave. `brought` are connections
    that come by another way. The application gets a middleware before its own; its answers tell neither program nor
    time.
    """
    server = _Server(app, seed, visitors)
    await server.runner.setup()
    try:
        async with asyncio.TaskGroup() as group:
            doors = [group.create_task(server.accept(sock, group)) for sock in listening]
            if brought is not None:
                doors.append(group.create_task(server.take(brought, group)))
            await stop.wait()
            for door in doors:
                door.cancel()
            visitors.stop()
    finally:
        for sock in listening:
            sock.close()
        if brought is not None:
            brought.close()
        await server.runner.cleanup()


class _Server:
    def __init__(self, app: web.Application, seed: Seed, visitors: Visitors) -> None:
        self._context = tls.server_context(seed)
        self._limits = limits = visitors.limits
        self._visitors = visitors
        app.middlewares.insert(0, _attending(visitors))
        app.on_response_prepare.append(_say_nothing)
        self.runner = web.AppRunner(
            app,
            access_log=None,
            logger=_logger(),
            handle_signals=False,
            shutdown_timeout=_CUT_SECONDS,
            keepalive_timeout=limits.idle_seconds,
            lingering_time=_LINGER_SECONDS,
            max_line_size=limits.line_bytes,
            max_field_size=limits.line_bytes,
            max_headers=limits.headers,
            read_bufsize=_BUFFER,
            auto_decompress=False,  # a few bytes stay a few bytes
        )

    async def accept(self, listening: socket.socket, group: asyncio.TaskGroup) -> None:
        """Let callers in until cancelled."""
        async for sock in arriving.arrivals(listening):
            self._let_in(sock, group)

    async def take(self, brought: Brought, group: asyncio.TaskGroup) -> None:
        """Let in who comes by another way, until cancelled."""
        while True:
            self._let_in(await brought.take(), group)

    def _let_in(self, sock: socket.socket, group: asyncio.TaskGroup) -> None:
        """Have somebody shake hands, if there is room."""
        if not self._visitors.room():
            sock.close()
            return
        assert self.runner.server is not None
        visitor = Visitor(self._visitors, self.runner.server())
        self._visitors.enter(visitor)
        visitor.greeting = arriving.entrust(group, sock, lambda taken: self._greet(taken, visitor))
        visitor.greeting.add_done_callback(visitor.greeted)

    async def _greet(self, sock: socket.socket, visitor: Visitor) -> None:
        """Shake hands."""
        with contextlib.suppress(OSError):
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: visitor,
                sock,
                ssl=self._context,
                ssl_handshake_timeout=self._limits.handshake_seconds,
                ssl_shutdown_timeout=_BYE_SECONDS,
            )


def _attending(visitors: Visitors) -> Middleware:
    """What comes before the application: it knows when a request begins and ends, and answers pings."""

    @web.middleware
    async def attend(request: web.Request, handler: _Answering) -> web.StreamResponse:
        visitor = visitors.of(request.protocol)
        if visitor is None:
            raise ConnectionResetError("it has gone")
        request[_VISITOR] = visitor
        with visitor.busy(request.content):
            return web.Response(status=204) if request.path == PING else await handler(request)

    return attend


async def _say_nothing(request: web.Request, response: web.StreamResponse) -> None:
    for name in ("Server", "Date"):
        with contextlib.suppress(KeyError):
            del response.headers[name]


def _logger() -> logging.Logger:
    """Where it is said what went wrong here. What strangers send is answered, not said: it could go on for ever."""
    found = logging.getLogger("commonhold.transport")
    found.addFilter(_is_ours)
    return found


def _is_ours(record: logging.LogRecord) -> bool:
    return not (record.exc_info and isinstance(record.exc_info[1], _THEIRS))
