"""What is locked of one object, either by POSIX locks or by flock, and who waits for it. Pure."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from commonhold.locking.spans import conflict, splice
from commonhold.locking.values import NONE, WRITE, Lock, Owner, Request


class Waiter(NamedTuple):
    """A request that is not answered yet."""

    request: Request
    lock: Lock


class Locked:
    """The locks of each owner, and those who wait, first come first."""

    __slots__ = ("count", "held", "waiting")

    def __init__(self) -> None:
        self.held: dict[Owner, list[Lock]] = {}
        self.count = 0
        self.waiting: list[Waiter] = []

    def conflicts(self, wanted: Lock) -> Iterator[Lock]:
        """Yield the first lock of each other owner that has one in the way."""
        if wanted.mode == NONE:
            return
        owner = wanted.owner
        for other, held in self.held.items():
            if other != owner and (found := conflict(held, wanted)) is not None:
                yield found

    def growth(self, new: Lock) -> int:
        """Return how many locks more there would be."""
        low, high, pieces = splice(self.held.get(new.owner, []), new)
        return len(pieces) - (high - low)

    def put(self, new: Lock) -> tuple[list[Lock], list[Lock]]:
        """Set a lock over what its owner had; what is gone, and what came."""
        held = self.held.get(new.owner)
        if held is None:
            held = self.held[new.owner] = []
        low, high, pieces = splice(held, new)
        gone, held[low:high] = held[low:high], pieces
        self.count += len(pieces) - len(gone)
        if not held:
            del self.held[new.owner]
        return gone, pieces

    def drop(self, owner: Owner, whether: Callable[[Lock], bool]) -> list[Lock]:
        """Take from an owner the locks of which this is true; which they were."""
        held = self.held.get(owner, [])
        gone = [lock for lock in held if whether(lock)]
        if gone:
            self.count -= len(gone)
            self.held[owner] = [lock for lock in held if not whether(lock)]
            if not self.held[owner]:
                del self.held[owner]
        return gone


def exclude(one: Lock, other: Lock) -> bool:
    """Return whether two owners can not have these at once."""
    return (
        (one.mode == WRITE or other.mode == WRITE)
        and one.start <= other.end
        and other.start <= one.end
        and one.owner != other.owner
    )
