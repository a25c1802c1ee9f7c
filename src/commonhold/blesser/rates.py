"""How often something may be done: so many at once, and then one every so many seconds. Pure; time is an argument."""

from collections.abc import Callable


class Rate:
    """See the module. `now` is a clock that never goes back, in seconds."""

    def __init__(self, at_once: int, seconds: float, now: Callable[[], float]) -> None:
        self._most = float(at_once)
        self._seconds = seconds
        self._now = now
        self._left = float(at_once)
        self._since = now()

    def take(self) -> bool:
        """Whether it may be done now, once."""
        now = self._now()
        self._left = min(self._most, self._left + (now - self._since) / self._seconds)
        self._since = now
        if self._left < 1:
            return False
        self._left -= 1
        return True
