"""Work that may go on side by side, and work that must be alone, in one process or several: a lock file says which.

What has the file open is given back when its process ends, however that ends.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from commonhold.errors import HoldError, Kind, os_errors

_PAUSE: Final = 0.05


@contextmanager
def beside(path: Path, seconds: float) -> Iterator[None]:
    """Run a block beside others of its kind. BUSY where something is alone for longer than this."""
    with _turn(path, fcntl.LOCK_SH, seconds):
        yield


@contextmanager
def alone(path: Path, seconds: float) -> Iterator[None]:
    """Run a block while none of these goes on. BUSY where another does for longer than this."""
    with _turn(path, fcntl.LOCK_EX, seconds):
        yield


@contextmanager
def _turn(path: Path, how: int, seconds: float) -> Iterator[None]:
    until = time.monotonic() + seconds
    with os_errors("lock", str(path)):
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        while True:
            with os_errors("lock", str(path)):
                try:
                    fcntl.flock(fd, how | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    pass
            if time.monotonic() >= until:
                raise HoldError("lock", Kind.BUSY, str(path), "something else is at work there", hint="try again")
            time.sleep(_PAUSE)
        yield
    finally:
        os.close(fd)
