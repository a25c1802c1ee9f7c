"""Which files this process has open: nothing received may be left among them."""

import contextlib
import os
from collections.abc import Iterator


def opened() -> set[str]:
    """Every descriptor of this process, and what it leads to."""
    found = set()
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # the one of the listing itself
            found.add(f"{name} {os.readlink(f'/proc/self/fd/{name}')}")
    return found


@contextlib.contextmanager
def none_left() -> Iterator[None]:
    """Run a block that leaves no file open; another test's may be closed meanwhile."""
    before = opened()
    yield
    assert opened() <= before
