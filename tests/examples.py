"""How many examples a test that makes them up takes: as many as it says; by `--hypothesis-profile=fast` an eighth."""

from typing import Final

from hypothesis import settings

FAST: Final = "fast"
USUAL: Final = 100  # where a test says nothing
_PART: Final = 8
_LEAST: Final = 5


def examples(count: int, profile: str | None = None) -> int:
    """Return how many to take where `count` are taken at length."""
    if (profile or settings.get_current_profile_name()) != FAST:
        return count
    return min(count, max(_LEAST, count // _PART))
