"""Connections: what each may send, whether there is room for it, and what is under way there. Pure."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from commonhold.formats.gossip import Digest, Id, Subscription
from commonhold.formats.pin import GridId, SpkiPin
from commonhold.gossip.bounds import Bucket
from commonhold.gossip.reconcile import Ids
from commonhold.gossip.values import Config, Peer

MESSAGES: Final = (400.0, 40.0)  # that a peer may send: at once, and then in a second
BYTES: Final = (float(16 << 20), float(512 << 10))  # likewise
GIVEN: Final = (float(8 << 20), float(256 << 10))  # bytes of statements that are sent to it for the asking: fewer
COMPARISONS: Final = (64.0, 2.0)
ASKED_OF: Final = {True: (4096.0, 16.0), False: (64.0, 1.0)}  # statements, of an introducer and of a subscriber
SUBSCRIBING: Final = (8.0, 0.1)
MAX_ASKED: Final = 1024  # statements, until some have come
MAX_VAIN: Final = 256  # that were offered and did not come, one after the other
MAX_SHOWN: Final = 1 << 16
HELLO: Final = 15.0  # seconds in which a peer says who it is
STAY: Final = 20.0  # seconds for which a guest stays, at most
PLACE: Final = 4.0  # seconds after which a guest may have to go for the next


@dataclass(slots=True, eq=False)
class Link:
    """One connection."""

    peer: Peer
    server: SpkiPin | None
    dialled: bool
    since: float
    introducer: bool | None = None  # not known before its hello
    guest: bool = True
    grids: frozenset[GridId] = frozenset()
    subscriptions: tuple[Subscription, ...] = ()
    messages: Bucket = field(default_factory=lambda: Bucket(*MESSAGES))
    incoming: Bucket = field(default_factory=lambda: Bucket(*BYTES))
    outgoing: Bucket = field(default_factory=lambda: Bucket(*GIVEN))
    comparisons: Bucket = field(default_factory=lambda: Bucket(*COMPARISONS))
    asking: Bucket = field(default_factory=lambda: Bucket(*ASKED_OF[False]))
    subscribing: Bucket = field(default_factory=lambda: Bucket(*SUBSCRIBING))
    outbox: dict[Id, int] = field(default_factory=dict)  # what it is to be told of, and over how many that came
    asked: dict[Digest, Id] = field(default_factory=dict)
    vain: int = 0
    gave: float = -math.inf  # when something came that it was asked for
    gained: bool = False  # since the last comparison something new came from it
    more: bool = False  # it has offered more than could be asked for
    interval: float = 0.0
    shown: Ids = field(default_factory=Ids)  # to a subscriber
    greeted: float | None = None  # when its hello came
    matched: tuple[int, Ids] | None = None  # what a subscriber asks for, and of which state of the store that is


class Peers:
    """All connections, and who may stay."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._links: dict[Peer, Link] = {}

    def __iter__(self) -> Iterator[Link]:
        return iter(self._links.values())

    def get(self, peer: Peer) -> Link | None:
        """A connection, while it is there."""
        return self._links.get(peer)

    def came(self, link: Link) -> Link | None:
        """Take a connection in. Returns one that has to go: itself, if there is no room, or the guest of longest."""
        if not link.dialled and not self._config.introducer:
            return link
        guests = [one for one in self._links.values() if one.guest and not one.dialled]
        if not link.dialled and len(guests) >= self._config.guests:
            oldest = guests[0]
            if link.since - oldest.since < PLACE:
                return link
            self._links[link.peer] = link
            return oldest
        self._links[link.peer] = link
        return None

    def greeted(self, link: Link, introducer: bool, now: float) -> None:
        """It is known now who that is: it stays, if there is room for one of its kind."""
        link.introducer, link.greeted, link.asking = introducer, now, Bucket(*ASKED_OF[introducer])
        most = self._config.neighbours if introducer else self._config.subscribers
        alike = sum(
            1 for one in self._links.values() if not one.dialled and not one.guest and one.introducer is introducer
        )
        link.guest = not link.dialled and alike >= most

    def gone(self, peer: Peer) -> Link | None:
        """Let a connection go."""
        return self._links.pop(peer, None)

    def outbound(self) -> list[Link]:
        """Those that were dialled, the oldest first."""
        return [link for link in self._links.values() if link.dialled]
