"""The locks of one owner on one object: in the order of their bytes, none over another. Pure.

Source: fcntl(2) and IEEE 1003.1 on F_SETLK: what an owner sets takes the place of what that owner had on those bytes.
"""

from bisect import bisect_left, bisect_right
from operator import itemgetter

from commonhold.locking.values import NONE, WRITE, Lock

_START = itemgetter(Lock._fields.index("start"))
_END = itemgetter(Lock._fields.index("end"))


def splice(held: list[Lock], new: Lock) -> tuple[int, int, list[Lock]]:
    """Return what a lock changes: held[low:high] are to become these.

    What reaches beyond it is cut off, and what touches it is made one with it if but the bytes are different.
    """
    low = bisect_left(held, new.start - 1, key=_END)
    high = bisect_right(held, new.end + 1, key=_START)
    if low == high:
        return low, high, [] if new.mode == NONE else [new]
    start, end = new.start, new.end
    before: list[Lock] = []
    after: list[Lock] = []
    for lock in held[low:high]:
        if lock.mode == new.mode and lock.handle == new.handle and lock.pid == new.pid:
            start, end = min(start, lock.start), max(end, lock.end)
            continue
        if lock.start < new.start:
            before.append(lock._replace(end=min(lock.end, new.start - 1)))
        if lock.end > new.end:
            after.append(lock._replace(start=max(lock.start, new.end + 1)))
    middle = [] if new.mode == NONE else [new._replace(start=start, end=end)]
    return low, high, before + middle + after


def conflict(held: list[Lock], wanted: Lock) -> Lock | None:
    """Return the first of another owner's locks that keeps this one from being taken."""
    at = bisect_left(held, wanted.start, key=_END)
    while at < len(held) and held[at].start <= wanted.end:
        if held[at].mode == WRITE or wanted.mode == WRITE:
            return held[at]
        at += 1
    return None
