"""Adaptive busy polling: who is asked again within moments looks for what comes next before sleeping until it comes.

To wake a process that sleeps on another core takes longer than most requests do, in a virtual machine above all. Who is
asked only now and then sleeps at once, as always; so does everybody where there are too few cores.
"""

import os
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

SECONDS = 0.0004  # looked for, at most, before each sleep
_CORES = 3  # fewer have better things to do


class BusyPoll:
    """One loop's."""

    def __init__(self, cores: int | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._useful = (len(os.sched_getaffinity(0)) if cores is None else cores) >= _CORES
        self._clock = clock
        self._lively = False  # what came last came so soon that looking for it was, or would have been, enough

    def wait(self, look: Callable[[], T | None], sleep: Callable[[], T]) -> T:
        """What `look` finds, None as long as there is nothing; or else what `sleep` waits for."""
        began = self._clock()
        found = look()
        if found is not None:
            return found
        if self._lively:
            while self._clock() < began + SECONDS:
                found = look()
                if found is not None:
                    return found
        slept = sleep()
        self._lively = self._useful and self._clock() < began + SECONDS
        return slept
