"""Turns: so many requests of one caller at once, so many waiting. A flood waits in its own queue."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from commonhold.errors import HoldError, Kind


class Turns:
    """One caller's."""

    def __init__(self, requests: int, waiting: int, where: str) -> None:
        """`where` is what they call, for the error."""
        self._most = waiting
        self._where = where
        self._free = asyncio.Semaphore(requests)
        self._waiting = 0

    @contextlib.asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a turn, and have it for as long as the block runs. BUSY where too many wait already."""
        if self._waiting >= self._most:
            raise HoldError("call", Kind.BUSY, self._where, "too many requests of yours are waiting")
        self._waiting += 1
        try:
            await self._free.acquire()
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._free.release()
