"""Comparisons with neighbours, now and then: what a flood has missed is found by them. Pure.

Whoever dialled begins. While something comes of it, the next follows at once; else they are ever rarer.
"""

from typing import Final

from commonhold.formats.gossip import Id, Listing, Part, Range, Ranges
from commonhold.gossip.ground import Due, Ground
from commonhold.gossip.peers import Link
from commonhold.gossip.reconcile import answer, echo
from commonhold.gossip.spreading import Spreading

SOON: Final = 2.0  # seconds until the next comparison, if something came of the last
RARELY: Final = 120.0  # seconds, of which each pause is half to one and a half
_MANY: Final = 1 << 16


class Comparing:
    """See the module."""

    def __init__(self, ground: Ground, spreading: Spreading) -> None:
        self._ground = ground
        self._spreading = spreading

    def begin(self, link: Link, now: float) -> None:
        """Say what there is, and have the next time be due."""
        if not link.dialled or not link.introducer:
            return
        if not self._ground.config.introducer:
            for record in self._ground.store.own():
                self._spreading.tell(link, record.id, 0, now)
        ids = self._ground.ids_for(link) if self._ground.config.introducer else link.shown
        self._ground.send(link, Ranges((ids.whole(),)))
        link.interval = SOON if link.gained or link.more or not link.interval else min(RARELY, 2 * link.interval)
        link.gained = link.more = False
        self.later(link, now + link.interval * self._ground.between(0.5, 1.5))

    def later(self, link: Link, at: float) -> None:
        """Have a comparison begin at a time."""
        due: Due = ("compare", link.peer)
        self._ground.timers.set(due, at)

    def compared(self, link: Link, ranges: tuple[Range, ...], now: float) -> None:
        """A peer says what it has in ranges: narrow it down where that is not what there is here."""
        if not link.comparisons.take(1, now):
            self._ground.counts["compared too often"] += 1
            return
        if not self._ground.config.introducer:
            differing = echo(link.shown, ranges)
            if differing:
                self._ground.send(link, Ranges(tuple(differing)))
            return
        offset = int(self._ground.draw() * _MANY)
        narrower, parts = answer(self._ground.ids_for(link), ranges, offset)
        if narrower:
            self._ground.send(link, Ranges(tuple(narrower)))
        if parts:
            self._ground.send(link, Listing(tuple(parts)))

    def listed(self, link: Link, parts: tuple[Part, ...], now: float) -> None:
        """A peer lists all that it has in some ranges: ask for what is lacking here, offer what is lacking there."""
        if not link.introducer:
            return
        theirs: list[tuple[Id, int]] = [(found, 0) for part in parts for found in part.ids]
        if self._ground.config.introducer:
            ids = self._ground.ids_for(link)
            for part in parts:
                shown = {found.slot: found for found in part.ids}
                for found in ids.between(part.first, part.last):
                    if shown.get(found.slot, b"") < found:
                        self._spreading.tell(link, found, 1, now)
        else:
            for part in parts:
                link.shown.replace(part)
        self._spreading.offered(link, theirs, now)
