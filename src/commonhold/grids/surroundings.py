"""What a loop needs of the world: a clock, a way to wait by it, and two kinds of chance."""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Surroundings:
    """`now` gives seconds since 1970; `chance` a number from 0 up to but not including 1; `randomness(n)` n bytes."""

    now: Callable[[], int]
    sleep: Callable[[float], Awaitable[None]]
    chance: Callable[[], float]
    randomness: Callable[[int], bytes]


def real() -> Surroundings:
    """The machine's."""
    draw = secrets.SystemRandom()
    return Surroundings(lambda: int(time.time()), asyncio.sleep, draw.random, secrets.token_bytes)
