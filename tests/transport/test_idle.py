"""Connections that are left alone: how often they say something, and that no two keep step. REQUIREMENTS D20."""

import asyncio
import heapq
import random
from itertools import combinations, count, pairwise
from typing import cast

from commonhold.formats.hint import TcpHint
from commonhold.transport.connection import Connection
from commonhold.transport.kept import Kept, Time
from commonhold.transport.retrying import Pace, Retry
from tests.transport.ends import run

HOUR = 3600.0


class Hour:
    """Time that goes on to the next moment for which somebody waits, as soon as nobody does anything."""

    def __init__(self) -> None:
        self.now = 0.0
        self._number = count()
        self._asleep: list[tuple[float, int, asyncio.Future[None]]] = []

    async def sleep(self, seconds: float) -> None:
        future = asyncio.get_running_loop().create_future()
        heapq.heappush(self._asleep, (self.now + seconds, next(self._number), future))
        await future

    async def pass_by(self) -> None:
        while self.now < HOUR:
            for _ in range(20):  # what was woken does what it has to
                await asyncio.sleep(0)
            self.now, _, future = heapq.heappop(self._asleep)
            if not future.done():
                future.set_result(None)


class Quiet:
    """A connection that notes when it writes."""

    hint = TcpHint("127.0.0.1", 1)

    def __init__(self, hour: Hour, written: list[float]) -> None:
        self._hour = hour
        self._written = written

    async def ping(self) -> None:
        self._written.append(self._hour.now)

    async def lost(self) -> None:
        await asyncio.get_running_loop().create_future()

    async def close(self) -> None:
        pass


def test_ten_idle_connections_write_at_most_once_a_minute_each_and_no_two_in_step() -> None:
    written: list[list[float]] = [[] for _ in range(10)]

    async def work() -> None:
        hour, chance = Hour(), random.Random(7).random

        async def keep(times: list[float]) -> None:
            async def connect() -> Connection:
                return cast(Connection, Quiet(hour, times))

            await Kept(connect, Retry(Pace(spread=0), chance), Time(lambda: hour.now, hour.sleep)).run()

        keeping = [asyncio.ensure_future(keep(times)) for times in written]
        await hour.pass_by()
        for task in keeping:
            task.cancel()
        await asyncio.gather(*keeping, return_exceptions=True)

    run(work())
    for times in written:
        assert 45 <= len(times) <= 60
        assert all(b - a >= 60 for a, b in pairwise([0.0, *times]))
    for one, other in combinations(written, 2):  # all were opened at one moment
        apart = [b - a for a, b in zip(one[10:], other[10:], strict=False)]
        assert len({round(seconds, 1) for seconds in apart}) > len(apart) // 2
        assert not set(one) & set(other)
