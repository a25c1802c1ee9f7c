"""When to dial again, and when to ping: pure, so that what is random and what a clock says are arguments.

REQUIREMENTS D14, D20. Servers that compare when their clients come must not see that two of them have the same one: all
waits are random, the first too, and no two connections keep step.
"""

from collections.abc import Callable
from dataclasses import dataclass

PING_SECONDS = 60.0  # at least, from one ping to the next
_PING_SPREAD = 15.0


@dataclass(frozen=True, slots=True)
class Pace:
    """How long to wait. Seconds."""

    spread: float = 5.0  # within which the first dial comes, and the first after a connection that held
    first: float = 2.0  # the base of the wait after one failure; it doubles with each
    longest: float = 600.0
    holds: float = 60.0  # a connection that lasted so long was a good one: failures before it are forgotten


ANONYMOUS = Pace(spread=120.0)  # what brings all connections down at once should not bring all back at once


class Retry:
    """The waits of one connection that is kept. `chance()` gives a random number from 0 up to, but not, 1."""

    def __init__(self, pace: Pace, chance: Callable[[], float]) -> None:
        self._pace = pace
        self._chance = chance
        self._failures = 0

    def before_first(self) -> float:
        """The wait before the first dial."""
        return self._pace.spread * self._chance()

    def after_failure(self) -> float:
        """The wait after a dial that led nowhere: between half the base and all of it."""
        base = min(self._pace.longest, self._pace.first * 2.0 ** min(self._failures, 60))
        self._failures += 1
        return base * (0.5 + 0.5 * self._chance())

    def after_end(self, held: float) -> float:
        """The wait after a connection that lasted so many seconds."""
        if held < self._pace.holds:
            return self.after_failure()
        self._failures = 0
        return self.before_first()

    def until_ping(self) -> float:
        """How long to leave a connection alone until the next ping."""
        return PING_SECONDS + _PING_SPREAD * self._chance()
