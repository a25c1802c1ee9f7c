"""Facets: the private addresses that a door gives, each of one account over one connection, for a while. Pure.

Whoever knows a facet but has another connection finds nothing, as if it were not there. docs/spec/authority.md;
REQUIREMENTS B19, B21, B25.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

from commonhold.authority.entering import Admitted, Door, may_store, revoked
from commonhold.authority.lists import Lists
from commonhold.formats.credential import AccountId
from commonhold.formats.pin import SpkiPin

LIFE: Final = 3600  # seconds, if the credential does not end before
OF_ACCOUNT: Final = 64
IN_ALL: Final = 65_536


class Facet(bytes):
    """A facet's name: 32 secret random bytes. Nothing prints them by accident."""

    __slots__ = ()
    LENGTH: Final = 32

    def __repr__(self) -> str:
        return "Facet()"

    def __str__(self) -> str:
        return "a facet"


class Opened(NamedTuple):
    """Whose a facet is, and the first second at which it is no more."""

    admitted: Admitted
    until: int


class Facets:
    """All facets of a server."""

    def __init__(self, door: Door, in_all: int = IN_ALL) -> None:
        self._door = door
        self._in_all = in_all
        self._opened: dict[Facet, Opened] = {}  # of one account in the order in which they were opened
        self._of: dict[AccountId, dict[Facet, None]] = {}

    def __len__(self) -> int:
        return len(self._opened)

    def open(self, facet: Facet, admitted: Admitted, now: int) -> int | None:
        """Open a facet, of 32 random bytes, for who was admitted, and return the second at which it ends.

        None: there are too many. Of one account the oldest goes for the newest.
        """
        if facet in self._opened or now >= admitted.until:  # so it is not random, or nothing to open one for
            return None
        mine = self._of.get(admitted.account, {})
        if len(mine) >= OF_ACCOUNT:
            self._close(next(iter(mine)))
        elif len(self._opened) >= self._in_all and not self._close_where(lambda one: now >= one.until):
            return None
        until = min(now + LIFE, admitted.until)
        self._opened[facet] = Opened(admitted, until)
        self._of.setdefault(admitted.account, {})[facet] = None
        return until

    def reader(self, facet: Facet, connection: SpkiPin, now: int) -> Admitted | None:
        """Return whose a facet is, who may read. None for another connection, as for one that is not there."""
        found = self._opened.get(facet)
        if found is None or found.admitted.connection != connection:
            return None
        if now >= found.until:
            self._close(facet)
            return None
        return found.admitted

    def writer(self, facet: Facet, connection: SpkiPin, lists: Lists, now: int) -> Admitted | str | None:
        """Return whose a facet is, who may put shares; why they may not; None as in `reader`."""
        found = self.reader(facet, connection, now)
        return None if found is None else may_store(self._door, found, lists, now) or found

    def sweep(self, lists: Lists, now: int) -> list[Admitted]:
        """End all facets that have expired or whose credential was revoked, and return whose they were.

        To be called whenever a list was taken: until then a revoked credential's facet still reads.
        """
        return self._close_where(lambda one: now >= one.until or revoked(one.admitted, lists))

    def left(self, connection: SpkiPin) -> list[Admitted]:
        """A connection has ended for good: so have its facets."""
        return self._close_where(lambda one: one.admitted.connection == connection)

    def _close_where(self, whether: Callable[[Opened], bool]) -> list[Admitted]:
        ended = [facet for facet, one in self._opened.items() if whether(one)]
        return [self._close(facet) for facet in ended]

    def _close(self, facet: Facet) -> Admitted:
        admitted = self._opened.pop(facet).admitted
        mine = self._of[admitted.account]
        del mine[facet]
        if not mine:
            del self._of[admitted.account]
        return admitted
