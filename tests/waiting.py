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


def waiting(fd: int) -> bytes:
    """What a pipe has now."""
    found = b""
    while select.select([fd], [], [], 0)[0] and (more := os.read(fd, 1 << 16)):
        found += more
    return found
