"""Who is connected to a server: so many in all and of one key, none of them for ever without saying or taking anything.

When it is full, whoever has been idle longest gives place, first of those who have never asked anything.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

from aiohttp import StreamReader

from commonhold.formats.pin import SpkiPin
from commonhold.transport.tls import PinnedObject


@dataclass(frozen=True, slots=True)
class Limits:
    """What strangers may take of a server."""

    connections: int = 512  # at a time, from everybody
    of_peer: int = 16  # of one key
    handshake_seconds: float = 10.0
    idle_seconds: float = 180.0  # from a connection or an answer until the next request's whole head has come
    stall_seconds: float = 60.0  # in which so many bytes of a body come, or of an answer go
    stall_bytes: int = 4096
    line_bytes: int = 8190  # of a request's first line, and of one header
    headers: int = 64


class Visitor(asyncio.Protocol):
    """One connection, before and around what serves it. `inner` sees it once both ends have shaken hands."""

    def __init__(self, visitors: "Visitors", inner: asyncio.Protocol) -> None:
        self.inner = inner
        self.peer: SpkiPin | None = None
        self.asked = False
        self.idle_since: float | None = asyncio.get_running_loop().time()  # None while a request is under way
        self.greeting: asyncio.Task[None] | None = None  # while hands are shaken
        self._visitors = visitors
        self._limits = visitors.limits
        self._transport: asyncio.Transport | None = None
        self._coming, self._taking = _Watch(), _Watch()
        self._served = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Let in who may be."""
        self.greeting = None
        self._transport = cast(asyncio.Transport, transport)
        self.peer = cast(PinnedObject, transport.get_extra_info("ssl_object")).peer
        if self._visitors.settle(self):
            self._served = True
            self.inner.connection_made(transport)
        else:
            self._transport.abort()

    def greeted(self, greeting: "asyncio.Task[None]") -> None:
        """Hands were shaken; or else they have gone."""
        if self._transport is None:
            self._visitors.leave(self)

    def data_received(self, data: bytes) -> None:
        """Pass on what comes."""
        if self._served:
            self.inner.data_received(data)

    def eof_received(self) -> bool | None:
        """Pass it on."""
        return self.inner.eof_received() if self._served else None

    def pause_writing(self) -> None:
        """From now on the other end has to take something."""
        if self._transport is not None:
            self._taking.begin(self._limits.stall_seconds, self._taken, self._transport.get_write_buffer_size())
        self.inner.pause_writing()

    def resume_writing(self) -> None:
        """It has."""
        self._taking.end()
        self.inner.resume_writing()

    def connection_lost(self, error: Exception | None) -> None:
        """It is over."""
        self._coming.end()
        self._taking.end()
        self._visitors.leave(self)
        if self._served:
            self.inner.connection_lost(error)

    def drop(self) -> None:
        """End it at once."""
        self._visitors.leave(self)
        if self.greeting is not None:
            self.greeting.cancel()
        if self._transport is not None:
            self._transport.abort()

    @contextmanager
    def busy(self, body: StreamReader) -> Iterator[None]:
        """A request is under way, whose body has to come meanwhile."""
        self.idle_since, self.asked = None, True
        if not body.is_eof():
            self._expect(body, reading=True)
        try:
            yield
        finally:
            self.idle_since = asyncio.get_running_loop().time()
            self._coming.end()

    def unhurried(self) -> None:
        """From now on the body of the request under way may come as slowly as it likes."""
        self._coming.end()

    # ── what has to move ──

    def _expect(self, body: StreamReader, *, reading: bool) -> None:
        self._coming.begin(self._limits.stall_seconds, lambda: self._came(body, reading), body.total_bytes)

    def _came(self, body: StreamReader, before: bool) -> None:
        """Has enough of a body come? Nothing can while it is not read here, so only whole spans of reading count."""
        if body.is_eof() or self._transport is None:
            return
        reading = self._transport.is_reading()
        if reading and before and body.total_bytes - self._coming.moved < self._limits.stall_bytes:
            self.drop()
        else:
            self._expect(body, reading=reading)

    def _taken(self) -> None:
        """Has enough of an answer been taken?"""
        left = self._transport.get_write_buffer_size() if self._transport is not None else 0
        if self._taking.moved - left < self._limits.stall_bytes:
            self.drop()
        else:
            self._taking.begin(self._limits.stall_seconds, self._taken, left)


class _Watch:
    """A span of time at whose end somebody looks how much has moved since `moved`."""

    def __init__(self) -> None:
        self.moved = 0
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, seconds: float, look: Callable[[], None], moved: int) -> None:
        """Begin a span, instead of one that is under way."""
        self.end()
        self.moved = moved
        self._timer = asyncio.get_running_loop().call_later(seconds, look)

    def end(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class Visitors:
    """All connections of a server, those that shake hands too."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self._all: dict[Visitor, None] = {}
        self._serving: dict[asyncio.BaseProtocol, Visitor] = {}
        self._of_peer: Counter[SpkiPin] = Counter()

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[Visitor]:
        return iter(tuple(self._all))

    def room(self) -> bool:
        """Make room for one more; False if all are at work."""
        if len(self._all) < self.limits.connections:
            return True
        idle = [visitor for visitor in self._all if visitor.idle_since is not None]
        if not idle:
            return False
        min(idle, key=lambda visitor: (visitor.asked, visitor.idle_since)).drop()
        return True

    def enter(self, visitor: Visitor) -> None:
        """Somebody has come, and is yet to say who."""
        self._all[visitor] = None

    def settle(self, visitor: Visitor) -> bool:
        """Count who it is; False if there are too many of that key, or it has been dropped."""
        if visitor not in self._all or visitor.peer is None or self._of_peer[visitor.peer] >= self.limits.of_peer:
            return False
        self._of_peer[visitor.peer] += 1
        self._serving[visitor.inner] = visitor
        return True

    def leave(self, visitor: Visitor) -> None:
        """Somebody has gone."""
        self._all.pop(visitor, None)
        if self._serving.pop(visitor.inner, None) is not None and visitor.peer is not None:
            self._of_peer[visitor.peer] -= 1
            if not self._of_peer[visitor.peer]:
                del self._of_peer[visitor.peer]

    def of(self, inner: asyncio.BaseProtocol) -> Visitor | None:
        """Whom a protocol serves; None if that is over."""
        return self._serving.get(inner)

    def stop(self) -> None:
        """Nobody comes any more: who still shakes hands is dropped."""
        for visitor in [visitor for visitor in self._all if visitor.greeting is not None]:
            visitor.drop()
