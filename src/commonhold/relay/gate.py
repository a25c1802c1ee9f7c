"""A relay's ports: clients come to those of servers, servers come with tokens, and who belongs together is joined."""

import asyncio
import contextlib
import ipaddress
import socket
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from commonhold.formats import relaywords
from commonhold.formats.malformed import Malformed
from commonhold.formats.pin import SpkiPin
from commonhold.formats.relaywords import PREFACE, Token
from commonhold.host import arriving
from commonhold.relay.calls import Calls
from commonhold.relay.joined import BUFFER, Joined
from commonhold.relay.streams import Limits, Origin, Streams
from commonhold.transport.kept import Time

_LOOK: Final = 1.0  # seconds after which it is looked again what is late
_NEIGHBOURS: Final = 64  # bits of an IPv6 address that one client has to itself


class Gate:
    """See the module. `doors` are the sockets where each server's clients come, `answers` those where servers do."""

    def __init__(
        self, calls: Calls, doors: Mapping[socket.socket, SpkiPin], answers: Iterable[socket.socket], limits: Limits,
        time: Time, randomness: Callable[[int], bytes],
    ) -> None:  # fmt: skip
        self.streams: Streams[Joined] = Streams(limits)
        self._calls = calls
        self._doors = dict(doors)
        self._answers = tuple(answers)
        self._limits = limits
        self._time = time
        self._randomness = randomness
        self._into = bytearray(BUFFER)
        self._greeting: dict[asyncio.Task[None], None] = {}

    async def run(self) -> None:
        """Hand on until cancelled; then all streams end, and the sockets are closed."""
        try:
            async with asyncio.TaskGroup() as group:
                for sock, server in self._doors.items():
                    group.create_task(self._receive(sock, server))
                for sock in self._answers:
                    group.create_task(self._await_answers(sock, group))
                await self._watch()
        finally:
            for sock in (*self._doors, *self._answers):
                sock.close()
            for stream in self.streams.all():
                stream.end()

    # ── clients ──

    async def _receive(self, listening: socket.socket, server: SpkiPin) -> None:
        async for sock in arriving.arrivals(listening):
            if not self._comes(sock, server):
                sock.close()

    def _comes(self, sock: socket.socket, server: SpkiPin) -> bool:
        """Have a server told of a client; False if there is no room, or nobody to tell."""
        address = _neighbourhood(sock)
        if address is None or server not in self._calls:
            return False
        origin, token = Origin(server, address), Token(self._randomness(Token.LENGTH))
        if not self.streams.room(origin) or not self._calls.knock(server, token):
            return False
        self.streams.come(Joined(sock, self._into, self.streams.gone), origin, token, self._time.now())
        return True

    # ── servers ──

    async def _await_answers(self, listening: socket.socket, group: asyncio.TaskGroup) -> None:
        async for sock in arriving.arrivals(listening):
            if len(self._greeting) >= self._limits.answers:
                next(iter(self._greeting)).cancel()
            task = arriving.entrust(group, sock, self._answered)
            self._greeting[task] = None
            task.add_done_callback(lambda done: self._greeting.pop(done, None))

    async def _answered(self, sock: socket.socket) -> None:
        """Join whoever shows a token with the client that it is for. Who shows none is hung up on."""
        try:
            async with asyncio.timeout(self._limits.preface_seconds):
                token = await _token(sock)
            stream = self.streams.answered(token, self._time.now())
        except BaseException as error:
            sock.close()
            if isinstance(error, Malformed | OSError | TimeoutError):
                return
            raise
        if stream is None:
            sock.close()
            return
        with contextlib.suppress(OSError):  # which has ended it
            await stream.join(sock)

    # ── time ──

    async def _watch(self) -> None:
        """End what is late."""
        while True:
            await self._time.sleep(_LOOK)
            now = self._time.now()
            for stream in self.streams.all():
                self.streams.moved(stream, stream.moved, now)
            for stream in self.streams.late(now):
                stream.end()


async def _token(sock: socket.socket) -> Token:
    """What a preface shows. Not a byte more is taken: what follows is the client's."""
    loop = asyncio.get_running_loop()
    said = b""
    while len(said) < PREFACE:
        more = await loop.sock_recv(sock, PREFACE - len(said))
        if not more:
            raise ConnectionResetError("it has hung up")
        said += more
    return relaywords.decode_preface(said)


def _neighbourhood(sock: socket.socket) -> str | None:
    """Where a client comes from, as far as one client has addresses to itself; None if it has gone."""
    try:
        found = ipaddress.ip_address(sock.getpeername()[0].partition("%")[0])
    except (OSError, ValueError):
        return None
    if found.version == 4:
        return str(found)
    return str(ipaddress.ip_network((found, _NEIGHBOURS), strict=False))
