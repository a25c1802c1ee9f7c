"""Which files this process has open, and that a piece of work leaves none so.

What other tests have left to the garbage collector may be closed at any time; so it is what is more that counts.
"""

import contextlib
import os
import time
from collections import Counter
from collections.abc import Iterator

_SECONDS = 30.0  # what another thread is about to close is waited for


def opened() -> Counter[str]:
    """What the descriptors of this process lead to, and how many lead there."""
    found: Counter[str] = Counter()
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # the one of the listing itself
            found[os.readlink(f"/proc/self/fd/{name}")] += 1
    return found


def opened_since(before: Counter[str]) -> list[str]:
    """What is open more than before."""
    return sorted((opened() - before).elements())


def left_open(before: Counter[str]) -> list[str]:
    """What is open more than before, and stays so."""
    until = time.monotonic() + _SECONDS
    while (found := opened_since(before)) and time.monotonic() < until:
        time.sleep(0.01)
    return found


@contextlib.contextmanager
def none_left() -> Iterator[None]:
    """Run a block that leaves no file open."""
    before = opened()
    yield
    assert left_open(before) == []
