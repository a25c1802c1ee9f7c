"""What a lock is, and what is answered to whoever wants one. Pure. docs/spec/locking.md.

All of it are plain values that mean the same on any host: no uid is among them, and an owner is a number only together
with the client that counts it. So a row in a journal, a table that is loaded again and a hand-over are these values.
"""

import errno
from collections.abc import Hashable, Sequence
from enum import IntEnum
from typing import NamedTuple, TypeAlias

from commonhold.formats.malformed import Malformed

READ, WRITE, NONE = 0, 1, 2  # F_RDLCK, F_WRLCK and F_UNLCK, as FUSE has them
MAX_OFFSET = (1 << 63) - 1
MAX_NUMBER = (1 << 64) - 1
MAX_CLIENT = 255

Request: TypeAlias = Hashable  # who is to be told; as a mount and the number of its request


class Owner(NamedTuple):
    """Whose a lock is: of a client (a mount's connection) by the number that its kernel gives."""

    client: str
    number: int


class Lock(NamedTuple):
    """A lock, held or wanted; NONE: none is wanted there.

    Bytes `start` to `end`, both included; an flock lock has all of them. `handle` is the open file by which it was
    taken, `pid` the process, both as the owner's client counts them.
    """

    object: int
    flock: bool
    owner: Owner
    handle: int
    start: int
    end: int
    mode: int
    pid: int


class Outcome(IntEnum):
    """What becomes of a request. Those that are refused have the errno for it, and changed nothing, except that an
    flock lock that was to be converted is gone: flock(2)."""

    GRANTED = 0
    WAITING = -1  # until an answer to somebody names it
    REFUSED = errno.EAGAIN
    DEADLOCK = errno.EDEADLK
    FULL = errno.ENOLCK


class Answer(NamedTuple):
    """What becomes of a request, and which others, in their order, are granted now."""

    outcome: Outcome
    granted: list[Request]


class Limits(NamedTuple):
    """How much a table holds. Of one object POSIX locks and flock locks are counted apart."""

    of_object: int = 4096
    of_table: int = 65536
    waiting: int = 1024


Row: TypeAlias = tuple[int, int, str, int, int, int, int, int, int]


def row(lock: Lock) -> Row:
    """Return a lock as numbers and a string."""
    number, flock, owner, *others = lock
    return (number, int(flock), *owner, *others)  # type: ignore[return-value]


def from_row(values: Sequence[object]) -> Lock:
    """Return the lock of a row; whoever wrote it may have been somebody else."""
    if len(values) != 9 or not isinstance(values[2], str) or not 0 < len(values[2]) <= MAX_CLIENT:
        raise Malformed("lock", "not nine values, the third a client")
    numbers = [value for value in values if type(value) is int]
    if len(numbers) != 8 or min(numbers) < 0 or max(numbers) > MAX_NUMBER:
        raise Malformed("lock", "not eight numbers of 64 bits beside the client")
    number, flock, owner, handle, start, end, mode, pid = numbers
    if flock > 1 or mode > NONE or not start <= end <= MAX_OFFSET or (flock and (start, end) != (0, MAX_OFFSET)):
        raise Malformed("lock", f"no lock is of kind {flock} and {mode} on {start} to {end}")
    return Lock(number, bool(flock), Owner(values[2], owner), handle, start, end, mode, pid)
