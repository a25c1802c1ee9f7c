"""Ticks: answers that could tell something by their time leave at the next tick after their request came."""

import asyncio

SECONDS = 0.004
_PER_TICK = 1024  # things asked for at once; more of them make longer ticks, so that what each adds does not show


async def next_tick(began: float, count: int = 1) -> None:
    """Wait until a whole number of ticks have gone by since a moment of the loop's clock, when so many were asked."""
    loop = asyncio.get_running_loop()
    tick = SECONDS * (1 + count // _PER_TICK)
    await asyncio.sleep(tick - (loop.time() - began) % tick)
