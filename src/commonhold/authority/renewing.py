"""When to ask for a new blessing or credential: in time, never all at once, and not again and again. Pure.

`chance` is random, from 0 up to but not including 1. docs/spec/authority.md; REQUIREMENTS D20.
"""

from typing import Final

EARLIEST: Final = 0.6  # of its life: two thirds, give or take a fifteenth
LATEST: Final = 0.733
FIRST: Final = 60  # seconds until it is tried again
LONGEST: Final = 6 * 3600


def renewal(not_before: int, not_after: int, chance: float) -> int:
    """Return when to ask anew for what holds between these times."""
    return not_before + int((not_after - not_before) * (EARLIEST + (LATEST - EARLIEST) * chance))


def again(refused: int, chance: float) -> int:
    """Return how many seconds to wait after so many refusals, or failures, one after the other: at least one.

    Twice as long each time, and between half of that and all of it.
    """
    whole = min(LONGEST, FIRST << min(refused - 1, 16))
    return whole // 2 + int(whole / 2 * chance)
