"""Connections to other introducers: as many as are wanted, others for those that are lost, and now and then a new one.

The new one is for two reasons: who holds only old connections never finds those from whom a partition has parted it;
and whoever has surrounded somebody cannot count on it lasting. Pure.
"""

from typing import Final

from commonhold.formats.pin import SpkiPin
from commonhold.gossip.contacts import STEADY
from commonhold.gossip.ground import NOBODY, Due, Ground
from commonhold.gossip.peers import Link
from commonhold.gossip.values import Dial

DIAL: Final[Due] = ("dial", NOBODY)
ROTATE: Final[Due] = ("rotate", NOBODY)
_PAUSE: Final = (0.3, 1.0)  # seconds between two that are dialled
_AGAIN: Final = (3.0, 9.0)  # seconds, if there was nobody to dial
_ROTATE: Final = (240.0, 480.0)
_KEPT: Final = 2  # the connections of longest standing stay


class Dialling:
    """See the module."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._under_way: set[SpkiPin] = set()
        self._extra = 0

    def start(self, now: float) -> None:
        """Begin."""
        self._ground.timers.set(DIAL, now)
        self._ground.timers.set(ROTATE, now + self._ground.between(*_ROTATE))

    def dial(self, now: float) -> None:
        """Dial one more, if more are wanted."""
        if len(self._ground.peers.outbound()) + len(self._under_way) >= self._ground.config.outbound + self._extra:
            return
        pause = _PAUSE if self._one(now) else _AGAIN
        self._ground.timers.set(DIAL, now + self._ground.between(*pause))

    def _one(self, now: float) -> bool:
        ground = self._ground
        linked = {link.server for link in ground.peers if link.server is not None} | self._under_way
        outbound = [link.server for link in ground.peers.outbound() if link.server is not None]
        outbound += self._under_way
        blessed = sum(1 for server in outbound if ground.contacts.is_blessed(server))
        enough = 2 * blessed >= ground.config.outbound
        contact = ground.contacts.choose(linked, ground.contacts.networks(outbound), enough, now)
        if contact is None:
            return False
        self._under_way.add(contact.server)
        ground.effects.append(Dial(contact))
        return True

    def rotate(self, now: float) -> None:
        """Dial one more than are wanted; once it is there, an older one goes."""
        self._extra = 1
        self._ground.timers.set(ROTATE, now + self._ground.between(*_ROTATE))
        self._more(now)

    def _more(self, now: float) -> None:
        if not self._ground.timers.has(DIAL):
            self._ground.timers.set(DIAL, now + self._ground.between(*_PAUSE))

    def answered(self, server: SpkiPin | None) -> None:
        """One that was dialled is there, or failed."""
        if server is not None:
            self._under_way.discard(server)

    def failed(self, server: SpkiPin, now: float) -> None:
        """One could not be reached."""
        self.answered(server)
        self._ground.contacts.failed(server, now)
        self._more(now)

    def lost(self, link: Link, now: float, fault: bool) -> None:
        """A connection is no more: dial another in its place."""
        if link.server is not None:
            if fault or now - link.since < STEADY:
                self._ground.contacts.failed(link.server, now, fault)
            else:
                self._ground.contacts.well(link.server)
        if link.dialled:
            self._more(now)

    def surplus(self, now: float) -> Link | None:
        """One that was dialled turned out to be an introducer: which other has to go for it."""
        outbound = self._ground.peers.outbound()
        if len(outbound) <= self._ground.config.outbound:
            return None
        self._extra = 0
        among = outbound[_KEPT:-1]
        return among[int(self._ground.draw() * len(among))] if among else None
