"""Whose turn it is on a directory: one process at a time, by a lock in it that says who has it.

Knows nothing of what else is there.
"""

import contextlib
import errno
import fcntl
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

from commonhold.errors import HoldError, Kind, from_os

LOCK = "lock"


class DirectoryLock:
    """The turn on a directory, given back when this process ends however it ends. BUSY while another has it."""

    def __init__(self, directory: Path, command: str) -> None:
        path = directory / LOCK
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise _no_lock(path, error) from error
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = _holder(self._fd)
            os.close(self._fd)
            if error.errno == errno.EWOULDBLOCK:
                raise HoldError("open", Kind.BUSY, str(directory), f"in use by {holder}") from None
            raise _no_lock(path, error) from error
        said = {"pid": os.getpid(), "command": command, "since": int(time.time())}
        with contextlib.suppress(OSError):  # the turn is ours though a full disk keeps us from saying so
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, json.dumps(said).encode(), 0)

    def release(self) -> None:
        """Give the turn back."""
        os.ftruncate(self._fd, 0)
        os.close(self._fd)


@contextlib.contextmanager
def unlocked(directory: Path) -> Iterator[str | None]:
    """Run a block while nobody has the turn on a directory, if its lock is free now: None, or else who has it.

    Reads only; OSError where we may not look.
    """
    try:
        fd = os.open(directory / LOCK, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:  # nobody ever had it
        yield None
        return
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            yield _holder(fd)
        else:
            yield None
    finally:
        os.close(fd)


def _no_lock(path: Path, error: OSError) -> HoldError:
    told = from_os("lock", str(path), error)
    hint = {
        errno.EROFS: "mount its file system for writing",
        errno.ENOLCK: "put it on a file system that has locks",
    }.get(error.errno or 0)
    return HoldError(told.op, told.kind, told.subject, told.why, hint=hint)


def _holder(fd: int) -> str:
    try:
        said = json.loads(os.pread(fd, 4096, 0))
        since = time.strftime("%H:%M:%S", time.localtime(int(said["since"])))
        return f"process {int(said['pid'])} (hold {said['command']}) since {since}"
    except (ValueError, KeyError, TypeError):
        return "another process"
