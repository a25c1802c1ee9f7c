"""When a kept set is looked at, how, and what is then to be mended. Pure: time and draws are arguments.

docs/spec/keeping.md, "Tending". A draw is a number from 0 to before 1, new each time.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from commonhold.exchange.checking import Health

DAY: Final = 86_400
LEASE: Final = 90 * DAY
PATIENCE: Final = 3 * DAY  # with a server that cannot be reached
STALE: Final = 7 * DAY  # without a look, after which that is told
_RENEW: Final = LEASE // 3
_EARLY, _LATE = 18 * 3600, 30 * 3600
_DEEP_EARLY, _DEEP_LATE = 25 * DAY, 35 * DAY
_AGAIN, _AGAIN_MOST = 900, 6 * 3600

Draw = Callable[[], float]


class State(Enum):
    """How a set is: all shares are there; not all, but enough; not enough."""

    WHOLE = "whole"
    READABLE = "readable"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Care:
    """What is known of a set, in seconds since 1970: the last look and what came of it, and when the next is due.

    `failures`: how often in a row nobody could be reached. `said`: what is wrong, for people.
    """

    next: int
    deep_due: int
    looked: int | None = None
    state: State | None = None
    said: str = ""
    failures: int = 0


@dataclass(frozen=True, slots=True)
class Visit:
    """What is to be done at servers: `deep`: read all; `until`: the end of the leases then, None to leave them."""

    deep: bool
    until: int | None


def begun(now: int, draw: Draw) -> Care:
    """A set that was just kept, or is seen for the first time."""
    return Care(now + int(draw() * DAY), now + _between(_DEEP_EARLY, _DEEP_LATE, draw))


def turn(care: Care, now: int) -> int:
    """When a set's turn is. What is later than is ever said was written by a clock that was wrong, here and below."""
    return care.next if care.next <= now + 2 * DAY else now


def due(care: Care, until: int, now: int) -> Visit | None:
    """What is to be done for a set whose leases last until then; None: nothing yet."""
    if now < turn(care, now):
        return None
    deep = not now < care.deep_due <= now + _DEEP_LATE
    lasting = LEASE - _RENEW < until - now <= LEASE + DAY
    return Visit(deep, None if lasting else now + LEASE)


def waits(reached: int, now: int) -> bool:
    """Whether a server that is away, and was last reached then, is waited for."""
    return -DAY <= now - reached < PATIENCE


def looked(care: Care, found: tuple[State, str], deep: bool, now: int, draw: Draw) -> Care:
    """A look has ended, and this is what it found."""
    state, said = found
    after = Care(now + _between(_EARLY, _LATE, draw), care.deep_due, now, state, said)
    return replace(after, deep_due=now + _between(_DEEP_EARLY, _DEEP_LATE, draw)) if deep else after


def unreached(care: Care, why: str, now: int, draw: Draw) -> Care:
    """Nobody could be asked. What was seen before stays."""
    wait = min(_AGAIN_MOST, _AGAIN << min(care.failures, 16))
    return replace(care, next=now + _between(wait // 2, wait * 3 // 2, draw), failures=care.failures + 1, said=why)


def _between(low: int, high: int, draw: Draw) -> int:
    return low + int(draw() * (high - low))


def to_mend(health: "Health", away: int) -> bool:
    """Whether a pack is to be mended now, where so many servers are away and may come back with what they have."""
    if health.whole or not health.readable:
        return False
    missing = health.shape.n - health.placed
    return missing > away or health.placed <= health.shape.k


def state_of(packs: "Sequence[Health]") -> State:
    """How a set is whose packs are so."""
    if not all(one.readable for one in packs):
        return State.MISSING
    return State.WHOLE if all(one.whole for one in packs) else State.READABLE


def wrong(care: Care | None, made: int, now: int) -> str | None:
    """What its owner should know of a set that was kept at some time; None: all is well."""
    if care is not None and care.state is State.MISSING:
        return "it cannot be read now: too few shares are there"
    if care is not None and care.state is State.READABLE:
        return f"shares of it are missing{f': {care.said}' if care.said else ''}"
    last = care.looked if care is not None and care.looked is not None else made
    if now - last > STALE:
        return f"it was not looked at for {(now - last) // DAY} days" + (f": {care.said}" if care and care.said else "")
    return None
