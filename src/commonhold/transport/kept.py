"""One connection kept alive: dialled again whenever it ends, pinged while nothing is said, and its state told.

`retrying` decides when; this waits and does. REQUIREMENTS D14, D20.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias

from commonhold.errors import HoldError
from commonhold.formats.hint import Hint
from commonhold.transport.connection import Connection
from commonhold.transport.retrying import Retry


@dataclass(frozen=True, slots=True)
class Waiting:
    """Until when nothing is tried, by the clock that was given, and why the last time came to nothing."""

    until: float
    why: HoldError | None


@dataclass(frozen=True, slots=True)
class Dialling:
    """A try is under way."""

    since: float


@dataclass(frozen=True, slots=True)
class Up:
    """Connected, and by which address."""

    since: float
    hint: Hint


State: TypeAlias = Waiting | Dialling | Up


@dataclass(frozen=True, slots=True)
class Time:
    """A clock, in seconds, and how to wait by it."""

    now: Callable[[], float]
    sleep: Callable[[float], Awaitable[None]]


class Kept:
    """A connection that comes back. `connect` dials: with a new key each time, by what is known of the server then."""

    def __init__(
        self,
        connect: Callable[[], Awaitable[Connection]],
        retry: Retry,
        time: Time,
        told: Callable[[State], None] = lambda state: None,
    ) -> None:
        self._connect = connect
        self._retry = retry
        self._time = time
        self._told = told
        self._up = asyncio.Event()
        self.state: State = Waiting(time.now(), None)
        self.connection: Connection | None = None  # None while there is none

    async def run(self) -> None:
        """Keep it until cancelled; it is closed then."""
        wait, why = self._retry.before_first(), None
        while True:
            self._become(Waiting(self._time.now() + wait, why))
            await self._time.sleep(wait)
            self._become(Dialling(self._time.now()))
            try:
                connection = await self._connect()
            except HoldError as error:
                wait, why = self._retry.after_failure(), error
                continue
            since = self._time.now()
            why = await self._hold(connection, since)
            wait = self._retry.after_end(self._time.now() - since)

    async def ready(self) -> Connection:
        """The connection, once there is one."""
        while self.connection is None:
            await self._up.wait()
        return self.connection

    async def _hold(self, connection: Connection, since: float) -> HoldError | None:
        """Keep a connection until it ends; why a ping failed, if that ended it."""
        self.connection = connection
        self._become(Up(since, connection.hint))
        self._up.set()
        try:
            while not await self._lost_before_ping(connection):
                await connection.ping()
        except HoldError as error:
            return error
        finally:
            self._up.clear()
            self.connection = None
            await connection.close()
        return None

    async def _lost_before_ping(self, connection: Connection) -> bool:
        """Wait until it is time for a ping, or the connection has ended."""
        lost = asyncio.ensure_future(connection.lost())
        due = asyncio.ensure_future(self._time.sleep(self._retry.until_ping()))
        try:
            await asyncio.wait((lost, due), return_when=asyncio.FIRST_COMPLETED)
            return lost.done()
        finally:
            lost.cancel()
            due.cancel()

    def _become(self, state: State) -> None:
        self.state = state
        self._told(state)
