"""A connection: one client's link to one server, with a key made for it alone. `dial` makes it; requests go by it.

It has as many sockets as requests are under way at once, all by the same route; with the last of them it ends. It sends
nothing that names a program, a language or a user: no cookies, no redirects followed, nothing from the environment.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import TypeAlias

import aiohttp
from aiohttp.client_proto import ResponseHandler
from yarl import URL

from commonhold.errors import HoldError, Kind
from commonhold.formats.hint import Hint
from commonhold.formats.pin import SpkiPin
from commonhold.transport.exchange import STALL_SECONDS, Answer, Body, Errand, Upload, broken

Make: TypeAlias = Callable[[], ResponseHandler]
Open: TypeAlias = Callable[[Make], Awaitable[ResponseHandler]]  # opens one more socket to the server, by its route

PING = "/ping"  # answered with 204 by every server of this floor, whatever it serves
MAX_SOCKETS = 8
IDLE_SECONDS = 90.0  # after which a socket without a request is closed; more than between two pings
_HOST = "hold"  # what the server reads as the host: never the address by which it was found
_BUFFER = 1 << 20
_LONG = 32  # characters of a part of a path
_UNSAID = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")


class _Sockets(aiohttp.BaseConnector):
    """The sockets of one connection. `lost` is set when the last is gone."""

    def __init__(self, open_one: Open) -> None:
        super().__init__(keepalive_timeout=IDLE_SECONDS, limit=MAX_SOCKETS)
        self.lost = asyncio.Event()
        self.host: str | None = None  # where the last one leads, in numbers
        self._open_one = open_one
        self._ready: ResponseHandler | None = None
        self._alive = 0

    async def begin(self) -> None:
        """Open the first, for the first request."""
        self._ready = await self._opened()

    async def _create_connection(
        self, req: aiohttp.ClientRequest, traces: object, timeout: aiohttp.ClientTimeout
    ) -> ResponseHandler:
        """What the base class asks for when it has no socket to spare."""
        first, self._ready = self._ready, None
        if first is not None and first.is_connected():
            return first
        if self.lost.is_set():
            raise ConnectionResetError("it has ended")
        return await self._opened()

    async def _opened(self) -> ResponseHandler:
        protocol = await self._open_one(self._factory)
        if self.lost.is_set():  # meanwhile
            protocol.close()
            raise ConnectionResetError("it has ended")
        self._alive += 1
        name = protocol.transport.get_extra_info("peername") if protocol.transport is not None else None
        self.host = name[0] if isinstance(name, tuple) else None
        closed = protocol.closed
        if closed is None:
            self._gone(None)
        else:
            closed.add_done_callback(self._gone)
        return protocol

    def _gone(self, closed: "asyncio.Future[None] | None") -> None:
        if closed is not None and not closed.cancelled():
            closed.exception()  # seen: whoever waits for an answer is told by the answer
        self._alive -= 1
        if not self._alive:
            self.lost.set()

    def drop_first(self) -> None:
        """Close the first, if no request has taken it."""
        if self._ready is not None:
            self._ready.close()
            self._ready = None


class Connection:
    """An open link. `own` is the pin of this end's key, which the server sees; `server` that of the other end."""

    def __init__(self, server: SpkiPin, hint: Hint, own: SpkiPin, sockets: _Sockets) -> None:
        self.server = server
        self.hint = hint
        self.own = own
        self._sockets = sockets
        self._session = aiohttp.ClientSession(
            connector=sockets,
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=_UNSAID,
            timeout=aiohttp.ClientTimeout(total=None, sock_read=STALL_SECONDS),
            auto_decompress=False,  # a few bytes stay a few bytes
            trust_env=False,
            read_bufsize=_BUFFER,
        )

    @asynccontextmanager
    async def request(
        self,
        method: str,
        path: str,
        *,
        body: Body | None = None,
        length: int | None = None,
        headers: Mapping[str, str] | None = None,
        span: tuple[int, int] | None = None,
    ) -> AsyncIterator[Answer]:
        """Ask the server; `path` has its query, both escaped. HoldError UNREACHABLE if the connection breaks.

        `length`: bytes of a streamed body, if known. `span`: which bytes of the answer are wanted, [start, stop).
        """
        said = dict(headers or {})
        if span is not None:
            said["Range"] = f"bytes={span[0]}-{span[1] - 1}"
        if length is None and isinstance(body, bytes):
            length = len(body)
        if length is not None:
            said["Content-Length"] = str(length)
        errand = Errand(f"{method} {_shown(path)}", str(self.server), None if body is None else Upload(body))
        if self._session.closed:
            raise HoldError(errand.op, Kind.UNREACHABLE, errand.server, "the connection is closed")
        with broken(errand):
            response = await self._ask(method, path, said, errand.upload)
        async with response:
            yield Answer(response, errand)

    async def _ask(
        self, method: str, path: str, headers: Mapping[str, str], upload: Upload | None
    ) -> aiohttp.ClientResponse:
        """Send a request until its answer begins."""
        async with asyncio.timeout(STALL_SECONDS) as patience:
            if upload is not None:
                upload.patience = patience
            try:
                return await self._session.request(
                    method,
                    URL(f"http://{_HOST}{path}", encoded=True),
                    data=None if upload is None else upload.pieces(),
                    headers=headers,
                    allow_redirects=False,
                )
            finally:
                if upload is not None:
                    upload.patience = None

    async def ping(self) -> None:
        """See that the server is there, and let it see that we are. UNREACHABLE if not."""
        async with self.request("GET", PING) as answer:
            await answer.read(0)

    @property
    def host(self) -> str | None:
        """The address in numbers that it leads to, of a proxy if it goes by one; None for a path."""
        return self._sockets.host

    async def lost(self) -> None:
        """Return when the connection has ended, from whichever side."""
        await self._sockets.lost.wait()

    @property
    def is_lost(self) -> bool:
        """Whether it has ended."""
        return self._sockets.lost.is_set()

    async def close(self) -> None:
        """End it. Requests under way break."""
        self._sockets.drop_first()
        await self._session.close()
        self._sockets.lost.set()  # whoever asks next is not to be given what was closed


def _shown(path: str) -> str:
    """A path as errors have it: without what is long in it, which may be the right to what is there."""
    return "/".join(word if len(word) < _LONG else "…" for word in path.partition("?")[0].split("/"))


async def connect(server: SpkiPin, hint: Hint, own: SpkiPin, open_one: Open) -> Connection:
    """Open a connection by a route that is known."""
    sockets = _Sockets(open_one)
    try:
        await sockets.begin()
    except BaseException:
        await sockets.close()
        raise
    return Connection(server, hint, own, sockets)
