"""Turns: so many at once, so many waiting, in their order."""

import asyncio

import pytest

from commonhold.errors import HoldError, Kind
from commonhold.host.turns import Turns


def test_so_many_have_a_turn_so_many_wait_and_the_next_is_told_so() -> None:
    async def run() -> None:
        turns, go_on, order = Turns(2, 3, "here"), asyncio.Event(), []

        async def one(number: int) -> None:
            async with turns.turn():
                order.append(number)
                await go_on.wait()

        tasks = [asyncio.create_task(one(number)) for number in range(5)]
        await asyncio.sleep(0)
        assert order == [0, 1]
        with pytest.raises(HoldError) as caught:
            await asyncio.wait_for(one(9), 60)
        assert caught.value.kind is Kind.BUSY
        go_on.set()
        await asyncio.gather(*tasks)
        assert order == [0, 1, 2, 3, 4]
        await one(5)

    asyncio.run(run())


def test_who_gives_up_waiting_or_fails_leaves_a_turn_for_another() -> None:
    async def run() -> None:
        turns = Turns(1, 1, "here")

        async def fail() -> None:
            async with turns.turn():
                raise ValueError

        async def wait() -> None:
            async with turns.turn():
                pass

        async with turns.turn():
            for _ in range(3):
                waiting = asyncio.create_task(wait())
                await asyncio.sleep(0)
                waiting.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await waiting
        for _ in range(3):
            with pytest.raises(ValueError):
                await fail()
        await asyncio.wait_for(wait(), 60)

    asyncio.run(run())
