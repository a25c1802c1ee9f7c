"""What keeps things small: buckets that fill with time, and memory that forgets the oldest. Pure."""

from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Bucket:
    """So much at once, and then so much a second."""

    __slots__ = ("_at", "_left", "_most", "_rate")

    def __init__(self, most: float, rate: float) -> None:
        self._most = self._left = most
        self._rate = rate
        self._at: float | None = None

    def has(self, amount: float, now: float) -> bool:
        """Whether so much could be taken."""
        if self._at is not None and now > self._at:
            self._left = min(self._most, self._left + (now - self._at) * self._rate)
        self._at = now  # a clock that was set back fills nothing, and takes nothing away
        return self._left >= amount

    def take(self, amount: float, now: float) -> bool:
        """Take so much, if it is there."""
        if not self.has(amount, now):
            return False
        self._left -= amount
        return True


class Recent(Generic[K, V]):
    """A map of those keys that were put last: of so much weight in all. Each weighs 1 unless it is said."""

    __slots__ = ("_all", "_left")

    def __init__(self, most: int) -> None:
        self._left = most
        self._all: dict[K, tuple[V, int]] = {}

    def get(self, key: K) -> V | None:
        """What was put, if it is still known."""
        found = self._all.get(key)
        return None if found is None else found[0]

    def put(self, key: K, value: V, weight: int = 1) -> None:
        """Remember; the oldest are forgotten for it."""
        self.drop(key)
        self._all[key] = value, weight
        self._left -= weight
        while self._left < 0:
            self.drop(next(iter(self._all)))

    def drop(self, key: K) -> None:
        """Forget."""
        found = self._all.pop(key, None)
        self._left += 0 if found is None else found[1]
