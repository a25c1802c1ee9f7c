"""Which code is the quickest on this machine."""

from collections.abc import Iterable

from commonhold.erasure import isal
from commonhold.erasure.code import Code
from commonhold.erasure.isal import IsaL, Unusable
from commonhold.erasure.portable import Portable


def quickest(places: Iterable[str] | None = None) -> Code:
    """Return the code by the first usable library, of these or of those there are; else the portable one. It says by
    its name which one it is."""
    for place in isal.places() if places is None else places:
        try:
            return IsaL(place)
        except Unusable:
            continue
    return Portable()
