"""What waits to be sent on a connection: in order, and no more of it than has a bound, for each and for all."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Final

from commonhold.mesh.framing import ALIVE, framed

MOST: Final = 12 << 20  # bytes for one connection: more than a machine gives to anybody at once
ALL: Final = 96 << 20  # bytes for all of them
_PIECE: Final = 64 << 10  # bytes of small messages that are sent together


class Room:
    """The bytes that wait on all connections."""

    def __init__(self, most: int = ALL) -> None:
        self._most = most
        self.used = 0

    @property
    def over(self) -> bool:
        """Whether it is more than all may have: then whoever has the most has to go."""
        return self.used > self._most


class Outbox:
    """One connection's. `told(more)`: something was taken, and whether more waits."""

    def __init__(self, room: Room, told: Callable[[bool], None]) -> None:
        self._room = room
        self._told = told
        self._frames: deque[bytes] = deque()
        self._some = asyncio.Event()
        self.waiting = 0  # bytes
        self.closed = False

    def put(self, message: bytes) -> bool:
        """Have a message be sent after those before; False if too much waits already."""
        if self.waiting + len(message) > MOST:
            return False
        self._add(framed(message))
        return True

    def sign(self) -> None:
        """Have a sign of life be sent, if nothing else is."""
        if not self._frames:
            self._add(ALIVE)

    async def pieces(self) -> AsyncIterator[bytes]:
        """What is to be sent, as it comes, until it is closed."""
        while not self.closed:
            await self._some.wait()
            if self.closed:
                return
            piece = self._take()
            yield piece  # whoever comes back for the next has sent this one
            self._told(bool(self._frames))

    def close(self) -> None:
        """Send nothing more."""
        self.closed = True
        self._room.used -= self.waiting
        self.waiting = 0
        self._frames.clear()
        self._some.set()

    def _add(self, frame: bytes) -> None:
        if self.closed:
            return
        self._frames.append(frame)
        self.waiting += len(frame)
        self._room.used += len(frame)
        self._some.set()

    def _take(self) -> bytes:
        taken = [self._frames.popleft()]
        size = len(taken[0])
        while self._frames and size + len(self._frames[0]) <= _PIECE:
            taken.append(self._frames.popleft())
            size += len(taken[-1])
        self.waiting -= size
        self._room.used -= size
        if not self._frames:
            self._some.clear()
        return b"".join(taken)
