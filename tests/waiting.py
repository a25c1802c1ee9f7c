"""Waiting for what should come. What never comes fails; how quick it is, the clock of a busy machine does not say."""

import os
import select
import time
from collections.abc import Callable
from typing import Final

SECONDS: Final = 300.0


def until(holds: Callable[[], object], pause: float = 0.005) -> None:
    """Return once something is so."""
    stop = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < stop, "it has not come"
        time.sleep(pause)


def comes_to_rest(done: Callable[[], int], seconds: float = 3.0) -> bool:
    """Whether what counts what is done stands still for so long, soon."""
    for _ in range(20):
        before = done()
        time.sleep(seconds)
        if done() == before:
            return True
    return False


def waiting(fd: int) -> bytes:
    """What a pipe has now."""
    found = b""
    while select.select([fd], [], [], 0)[0] and (more := os.read(fd, 1 << 16)):
        found += more
    return found
