"""Ticks: answers that could tell something by their time leave at the next tick after their request came."""

import asyncio

SECONDS = 0.004


async def next_tick(began: float) -> None:
    """Wait until a whole number of ticks have gone by since a moment of the loop's clock."""
    loop = asyncio.get_running_loop()
    elapsed = loop.time() - began
    await asyncio.sleep(SECONDS - elapsed % SECONDS)
