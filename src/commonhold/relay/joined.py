"""Two sockets joined: what comes from either goes to the other, no more of it held than has a bound, and none read.

An end of one direction is passed on as such. While one side takes nothing, nothing is taken from the other.
"""

import asyncio
import socket
from collections.abc import Callable
from typing import Final, cast

BUFFER: Final = 64 << 10  # bytes that are read at once; as many may wait to be sent, and those read on top of them


class Joined:
    """A stream, before and while it is one. `over` is called once, when it has ended."""

    def __init__(self, client: socket.socket, into: bytearray, over: Callable[["Joined"], None]) -> None:
        """`into` is where what comes is put, on its way: the same for all streams of a loop, so that an idle one takes
        no memory."""
        self.moved = 0  # bytes, both ways
        self.into = into
        self._client: socket.socket | None = client  # until it is joined
        self._over = over
        self._sides: tuple[_Side, ...] = ()
        self._ended = False

    async def join(self, server: socket.socket) -> None:
        """Join the client that waits with this end. Whatever goes wrong ends both."""
        loop = asyncio.get_running_loop()
        ends, self._client = (cast(socket.socket, self._client), server), None
        self._sides = sides = (_Side(self), _Side(self))
        sides[0].other, sides[1].other = sides[1], sides[0]
        try:
            for end, side in zip(ends, sides, strict=True):
                await loop.connect_accepted_socket(lambda side=side: side, end)  # type: ignore[misc]
        except BaseException:
            for end, side in zip(ends, sides, strict=True):
                if side.transport is None:
                    end.close()
            self.end()
            raise
        for side in sides:
            side.begin()
        if any(side.gone for side in sides):  # before the other was there
            self.end()
        self.finished()

    def end(self) -> None:
        """End it at once."""
        if self._client is not None:
            self._client.close()
            self._client = None
        for side in self._sides:
            if side.transport is not None:
                side.transport.abort()
        self._done()

    def lost(self, error: Exception | None) -> None:
        """One side has gone; what the other has not taken yet is still sent, unless something broke."""
        for side in self._sides:
            if side.transport is not None and not side.gone:
                if error is None:
                    side.transport.close()
                else:
                    side.transport.abort()
        if all(side.gone for side in self._sides):
            self._done()

    def finished(self) -> None:
        """One direction has ended; with both of them the stream has."""
        if all(side.ended for side in self._sides):
            for side in self._sides:
                if side.transport is not None:
                    side.transport.close()

    def _done(self) -> None:
        if not self._ended:
            self._ended = True
            self._over(self)


class _Side(asyncio.BufferedProtocol):
    """One end of a stream. What comes before the other is there waits: a loop may read before it can be told not to."""

    other: "_Side"

    def __init__(self, stream: Joined) -> None:
        self.transport: asyncio.Transport | None = None
        self.ended = False  # nothing more comes from it
        self.gone = False
        self._stream = stream
        self._early = b""
        self._begun = False
        self._full = False  # so much waits to be sent that it takes no more

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is there."""
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(high=BUFFER)

    def begin(self) -> None:
        """Both are there."""
        early, self._early, self._begun = self._early, b"", True
        if early:
            self.other.take(early)
        if self.ended:
            self.other.end()
        else:
            self.go_on()

    def take(self, data: bytes) -> None:
        """Send what the other end says."""
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(data)

    def end(self) -> None:
        """Say that the other end has nothing more to say."""
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write_eof()

    def go_on(self) -> None:
        """Read more, if the other takes it."""
        if self.transport is not None and not self.transport.is_closing() and not self.other._full:
            self.transport.resume_reading()

    def get_buffer(self, sizehint: int) -> bytearray:
        """Where what comes is put."""
        return self._stream.into

    def buffer_updated(self, nbytes: int) -> None:
        """Pass it on."""
        self._stream.moved += nbytes
        data = bytes(memoryview(self._stream.into)[:nbytes])
        if self._begun:
            self.other.take(data)
        elif self.transport is not None:
            self._early += data
            self.transport.pause_reading()

    def eof_received(self) -> bool:
        """Pass on that nothing more comes; the other direction goes on."""
        self.ended = True
        if self._begun:
            self.other.end()
            self._stream.finished()
        return True

    def pause_writing(self) -> None:
        """This end takes nothing: take nothing from the other."""
        self._full = True
        if self.other.transport is not None and not self.other.transport.is_closing():
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        """It does again."""
        self._full = False
        self.other.go_on()

    def connection_lost(self, error: Exception | None) -> None:
        """It is over."""
        self.gone = True
        self._stream.lost(error)
