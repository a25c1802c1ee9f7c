"""Which files this process has open, and that a piece of work leaves none so.

What other tests have left to the garbage collector may be closed at any time; so it is what is more that counts.
"""

import contextlib
import gc
import os
import time
import warnings
from collections import Counter
from collections.abc import Iterator

import uvloop

_SECONDS = 30.0  # what another thread is about to close is waited for

uvloop.new_event_loop().close()  # the first of all keeps a pipe open


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


@contextlib.contextmanager
def all_closed() -> Iterator[None]:
    """Run a block that closes itself whatever it opens: the garbage collector finds nothing to do."""
    gc.collect()
    gc.disable()
    try:
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always", ResourceWarning)
            with none_left():
                yield
    finally:
        gc.enable()
    assert [str(one.message) for one in said if issubclass(one.category, ResourceWarning)] == []
