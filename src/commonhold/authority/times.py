"""Times of statements: from when until when one holds, by clocks that are not quite right; and their text. Pure.

All are seconds since 1970. Whoever judges tolerates SKEW in either direction: a statement holds from SKEW before its
`not_before` up to, and not at, SKEW after its `not_after`. docs/spec/authority.md.
"""

from typing import Final

from commonhold.formats import instant
from commonhold.formats.malformed import Malformed

SKEW: Final = 300


def begun(not_before: int, now: int) -> bool:
    """Whether what holds from then on holds now."""
    return now >= not_before - SKEW


def end(not_after: int) -> int:
    """The first second at which what holds until then holds no more."""
    return not_after + SKEW


def shown(seconds: int) -> str:
    """A time as people read it: `2026-11-21T20:07:00Z`."""
    try:
        return instant.format_rfc3339(seconds * instant.SECOND).partition(".")[0] + "Z"
    except Malformed:
        return "the end of time"
