"""A connection that is kept: it comes back with another key, waits longer while it cannot, and says how it is."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import pairwise

import pytest

from commonhold.errors import HoldError, Kind
from commonhold.formats.hint import Hint
from commonhold.formats.pin import SpkiPin
from commonhold.transport import dial, listen
from commonhold.transport.connection import Connection
from commonhold.transport.kept import Dialling, Kept, State, Time, Up, Waiting
from commonhold.transport.retrying import Pace, Retry
from commonhold.transport.rules import Rules
from tests.transport.ends import PIN, run, serving, soon


class Clock:
    """Time that goes on when somebody waits and the test lets it."""

    def __init__(self) -> None:
        self.now = 0.0
        self.waits: list[float] = []
        self._asleep: list[tuple[float, asyncio.Future[None]]] = []
        self.time = Time(lambda: self.now, self._sleep)

    async def _sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        future = asyncio.get_running_loop().create_future()
        self._asleep.append((self.now + seconds, future))
        await future

    async def pass_to_next(self) -> None:
        """Let time go on to the next moment that somebody waits for."""
        await soon(lambda: any(not future.done() for _, future in self._asleep))
        self._asleep = [(when, future) for when, future in self._asleep if not future.done()]
        when, future = min(self._asleep, key=lambda one: one[0])
        self.now = when
        future.set_result(None)
        await asyncio.sleep(0)


@asynccontextmanager
async def keeping(
    connect: Callable[[], Awaitable[Connection]], clock: Clock, pace: Pace | None = None
) -> AsyncIterator[tuple[Kept, list[State]]]:
    """A kept connection and the states it has told."""
    told: list[State] = []
    kept = Kept(connect, Retry(pace or Pace(), lambda: 0.5), clock.time, told.append)
    running = asyncio.ensure_future(kept.run())
    try:
        yield kept, told
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert kept.connection is None


def to(hint: Hint) -> Callable[[], Awaitable[Connection]]:
    return lambda: dial.dial(PIN, [hint], Rules(), os.urandom)


def test_a_server_that_dies_and_comes_back_is_reached_again_with_another_key() -> None:
    """D14."""

    async def work() -> None:
        clock, keys = Clock(), list[SpkiPin]()
        async with serving() as (hint, _):
            keeper = keeping(to(hint), clock)
            kept, told = await keeper.__aenter__()
            await clock.pass_to_next()
            keys.append((await kept.ready()).own)
        await soon(lambda: isinstance(kept.state, Waiting))
        await clock.pass_to_next()
        await soon(lambda: isinstance(kept.state, Waiting) and kept.state.why is not None)
        async with serving(listening=[listen.bind(hint.host, hint.port)]):
            await clock.pass_to_next()
            keys.append((await kept.ready()).own)
            await keeper.__aexit__(None, None, None)
        assert keys[0] != keys[1]
        kinds = [Waiting, Dialling, Up, Waiting, Dialling, Waiting, Dialling, Up]
        assert [type(state) for state in told] == kinds
        assert told[2] == Up(2.5, hint)

    run(work())


def test_waits_grow_while_it_fails_and_each_has_its_reason() -> None:
    errors = [HoldError("dial", Kind.UNREACHABLE, "attic", f"reason {number}") for number in range(4)]
    coming = iter(errors)

    async def connect() -> Connection:
        raise next(coming)

    async def work() -> list[State]:
        clock = Clock()

        async with keeping(connect, clock, Pace(spread=0, first=2, longest=8)) as (_, told):
            for number in range(4):
                await clock.pass_to_next()
                await soon(lambda number=number: len(told) >= 2 * number + 3)  # type: ignore[misc]
            return told

    told = run(work())
    waiting = [state for state in told if isinstance(state, Waiting)]
    assert [state.why for state in waiting] == [None, *errors]
    ends = [state.until for state in waiting]
    assert [b - a for a, b in pairwise(ends)] == [1.5, 3, 6, 6]


def test_a_connection_that_is_left_alone_is_pinged_now_and_then() -> None:
    pings: list[float] = []

    async def work() -> None:
        clock = Clock()
        async with serving() as (hint, _):

            async def connect() -> Connection:
                connection = await to(hint)()
                ping = connection.ping

                async def noted() -> None:
                    pings.append(clock.now)
                    await ping()

                connection.ping = noted  # type: ignore[method-assign]
                return connection

            async with keeping(connect, clock, Pace(spread=0)) as (kept, _):
                await clock.pass_to_next()
                connection = await kept.ready()
                for number in range(3):
                    await clock.pass_to_next()
                    await soon(lambda number=number: len(pings) == number + 1)  # type: ignore[misc]
                assert kept.connection is connection

    run(work())
    assert all(b - a >= 60 for a, b in pairwise([0.0, *pings]))


def test_a_ping_that_fails_ends_a_connection_and_says_why() -> None:
    async def work() -> None:
        clock = Clock()

        async with serving() as (hint, _):

            async def connect() -> Connection:
                connection = await to(hint)()

                async def fails() -> None:
                    raise HoldError("ping", Kind.UNREACHABLE, "attic", "no answer")

                connection.ping = fails  # type: ignore[method-assign]
                return connection

            async with keeping(connect, clock, Pace(spread=0)) as (kept, _):
                await clock.pass_to_next()
                connection = await kept.ready()
                await clock.pass_to_next()
                await soon(lambda: isinstance(kept.state, Waiting))
                assert isinstance(kept.state, Waiting) and kept.state.why is not None
                assert kept.state.why.why == "no answer" and connection.is_lost

    run(work())


def test_a_bug_in_dialling_is_not_waited_out() -> None:
    async def connect() -> Connection:
        raise ZeroDivisionError

    async def work() -> None:
        clock = Clock()
        running = asyncio.ensure_future(Kept(connect, Retry(Pace(spread=0), lambda: 0), clock.time).run())
        await clock.pass_to_next()
        with pytest.raises(ZeroDivisionError):
            await running

    run(work())


@pytest.mark.parametrize("ends", ["server", "client"])
def test_a_connection_that_has_ended_is_no_more_even_if_the_server_is_there(ends: str) -> None:
    async def work() -> None:
        async with serving() as (hint, visitors):
            connection = await to(hint)()
            await connection.ping()
            if ends == "client":
                await connection.close()
            else:
                for visitor in visitors:
                    visitor.drop()
            async with asyncio.timeout(60):
                await connection.lost()
            assert connection.is_lost
            with pytest.raises(HoldError) as refused:
                await connection.ping()
            assert refused.value.kind is Kind.UNREACHABLE
            await connection.close()

    run(work())
