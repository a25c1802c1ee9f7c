"""What the rooms of a machine stand on: its store, its connections, what is due, and the effects of a step. Pure."""

from collections import Counter
from typing import Final, TypeAlias

from commonhold.formats import gossip as wire
from commonhold.formats.gossip import Message, Subscription
from commonhold.formats.keys import PublicKey
from commonhold.gossip.contacts import Contacts
from commonhold.gossip.flood import Asking
from commonhold.gossip.peers import Link, Peers
from commonhold.gossip.reading import Reader
from commonhold.gossip.reconcile import Ids
from commonhold.gossip.records import Store
from commonhold.gossip.subscriptions import blessers, matches
from commonhold.gossip.timers import Timers
from commonhold.gossip.values import Config, Draw, Effect, Peer, Send

NOBODY: Final = Peer(-1)
Due: TypeAlias = tuple[str, Peer]


class Fault(Exception):
    """What a peer has done for which it is hung up on."""


class Ground:
    """See the module."""

    def __init__(self, config: Config, draw: Draw, reader: Reader) -> None:
        self.config = config
        self.draw = draw
        self.reader = reader
        self.store = Store(config.grids, config.trusted, config.bounds)
        self.peers = Peers(config)
        self.asking = Asking(self.peers)
        self.contacts = Contacts(config.server, config.configured, draw)
        self.timers: Timers[Due] = Timers()
        self.subscriptions: tuple[Subscription, ...] = ()
        self.effects: list[Effect] = []
        self.counts: Counter[str] = Counter()  # of what was refused, by why

    def between(self, least: float, most: float) -> float:
        """A random number in a range."""
        return least + (most - least) * self.draw()

    def send(self, link: Link, message: Message) -> int:
        """Have a message be sent; its bytes."""
        data = wire.encode(message)
        self.effects.append(Send(link.peer, data))
        return len(data)

    def ids_for(self, link: Link) -> Ids:
        """What is to be compared with a peer: all of its grids for an introducer, what it asks for for a subscriber."""
        if link.introducer and self.config.grids <= link.grids:
            return self.store.ids
        if link.matched is None or link.matched[0] != self.store.changes:
            found = Ids(
                record.id
                for record in self.store
                if record.grid in link.grids and (link.introducer or matches(record, link.subscriptions))
            )
            link.matched = self.store.changes, found
        return link.matched[1]

    def wanted(self, now: float) -> None:
        """Somebody asks for something else than before."""
        elsewhere = frozenset[PublicKey]().union(*(blessers(link.subscriptions) for link in self.peers))
        self.store.want(blessers(self.subscriptions), elsewhere, now)
