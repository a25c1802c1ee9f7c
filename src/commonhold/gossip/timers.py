"""What is due when. Pure."""

import heapq
import math
from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class Timers(Generic[K]):
    """At most one time for each key."""

    __slots__ = ("_at", "_heap", "_number")

    def __init__(self) -> None:
        self._at: dict[K, float] = {}
        self._heap: list[tuple[float, int, K]] = []
        self._number = 0  # keys need not be of an order

    @property
    def next(self) -> float:
        """When something is due next; infinity if nothing is. Maybe earlier, if that was put off."""
        return self._heap[0][0] if self._heap else math.inf

    def set(self, key: K, at: float) -> None:
        """Have something be due at a time, in place of the time that it had."""
        self._at[key] = at
        self._number += 1
        heapq.heappush(self._heap, (at, self._number, key))
        if len(self._heap) > 64 + 4 * len(self._at):
            self._heap = [entry for entry in self._heap if self._at.get(entry[2]) == entry[0]]
            heapq.heapify(self._heap)

    def has(self, key: K) -> bool:
        """Whether something will be due."""
        return key in self._at

    def drop(self, key: K) -> None:
        """Have something never be due."""
        self._at.pop(key, None)

    def pop(self, now: float) -> K | None:
        """Take out what is due first, if its time has come."""
        while self._heap and self._heap[0][0] <= now:
            at, _, key = heapq.heappop(self._heap)
            if self._at.get(key) == at:
                del self._at[key]
                return key
        return None
