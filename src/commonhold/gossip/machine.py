"""The machine: events in, effects out. It wires the rooms beside it. Pure; docs/spec/gossip.md.

One machine serves both: an introducer keeps what anybody publishes and passes it on; a subscriber connects to a few
introducers, publishes what is its own, and is told what it asked for.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from commonhold.formats import gossip as wire
from commonhold.formats.gossip import Digest, Have, Hello, Id, Listing, Ranges, Records, Subscribe, Want
from commonhold.formats.malformed import Malformed, Unsupported
from commonhold.formats.statement import Kind
from commonhold.gossip.comparing import Comparing
from commonhold.gossip.dialling import Dialling
from commonhold.gossip.ground import NOBODY, Due, Fault, Ground
from commonhold.gossip.peers import HELLO, STAY, Link
from commonhold.gossip.reading import Reader, Record
from commonhold.gossip.records import Verdict
from commonhold.gossip.spreading import Spreading
from commonhold.gossip.subscriptions import matches
from commonhold.gossip.values import (
    Ask,
    Closed,
    Config,
    Connected,
    Draw,
    Effect,
    Event,
    Failed,
    HangUp,
    Learned,
    Publish,
    Received,
    Restore,
    Tick,
)
from commonhold.gossip.views import Finding, Seen, View, findings

_EXPIRE: Final[Due] = ("expire", NOBODY)
_EXPIRE_EVERY: Final = 60.0


class Machine:
    """See the module. `draw` is its randomness; `now` is in seconds since 1970, by its own clock.

    A `reader` may be shared: what it remembers are facts about bytes.
    """

    def __init__(self, config: Config, draw: Draw, now: float, reader: Reader | None = None) -> None:
        self._ground = Ground(config, draw, reader or Reader())
        self._spreading = Spreading(self._ground)
        self._comparing = Comparing(self._ground, self._spreading)
        self._dialling = Dialling(self._ground)
        self._dialling.start(now)
        self._ground.timers.set(_EXPIRE, now + _EXPIRE_EVERY)

    # ── what others may know ──

    @property
    def wakes(self) -> float:
        """When a tick is due: a time, maybe one that has passed."""
        return self._ground.timers.next

    @property
    def counts(self) -> Mapping[str, int]:
        """How many statements were refused, by why."""
        return self._ground.counts

    @property
    def introducer(self) -> bool:
        """Whether it passes on what others publish."""
        return self._ground.config.introducer

    @property
    def state(self) -> Digest:
        """A digest of all that is kept: two machines of one state keep the same."""
        return self._ground.store.ids.whole().digest

    @property
    def weight(self) -> int:
        """Bytes that all of it takes."""
        return self._ground.store.weight

    def find(self, found: Id) -> Record | None:
        """The statement of an id, if it is kept and the one of its slot that counts."""
        return self._ground.store.find(found)

    def __len__(self) -> int:
        return len(self._ground.store)

    def records(self) -> Iterator[Record]:
        """All statements that are kept."""
        return iter(self._ground.store)

    def own(self) -> list[Record]:
        """What was published here."""
        return self._ground.store.own()

    def matching(self) -> list[Record]:
        """The statements that are asked for here."""
        return [record for record in self._ground.store if matches(record, self._ground.subscriptions)]

    def findings(self, now: float) -> list[Finding]:
        """What introducers have not shown to this subscriber that others have, with the evidence."""
        store = self._ground.store
        return findings(self.views(), [Seen(record, store.since(record)) for record in self.matching()], now)

    def views(self) -> list[View]:
        """What each introducer that is connected to has shown to this subscriber."""
        return [
            View(link.server, link.greeted, link.shown)
            for link in self._ground.peers
            if link.server is not None and link.greeted is not None and not self.introducer
        ]

    # ── events ──

    def step(self, event: Event, now: float) -> list[Effect]:
        """Return what is to be done about an event, in order. Malformed for a statement that cannot be published."""
        match event:
            case Received():
                self._received(event, now)
            case Tick():
                self._tick(now)
            case Connected():
                self._connected(event, now)
            case Closed():
                self._closed(event, now)
            case Failed():
                self._dialling.failed(event.server, now)
            case Publish():
                self._publish(event, now)
            case Restore():
                self._spreading.restore(event.kind, event.data, now)
            case Ask():
                self._ask(event, now)
        effects, self._ground.effects = self._ground.effects, []
        return effects

    def _connected(self, event: Connected, now: float) -> None:
        ground = self._ground
        link = Link(event.peer, event.server, event.dialled, now)
        if event.dialled:
            self._dialling.answered(event.server)
        if event.server is not None and ground.contacts.shunned(event.server, now):
            ground.effects.append(HangUp(event.peer, "it did wrong a short while ago", False))
            return
        leaves = ground.peers.came(link)
        if leaves is not None:
            self._leave(leaves, "there is no room", False, now)
        if leaves is not link:
            ground.send(link, Hello(ground.config.introducer, tuple(sorted(ground.config.grids))))
            ground.timers.set(("stay", link.peer), now + HELLO)

    def _closed(self, event: Closed, now: float) -> None:
        link = self._ground.peers.get(event.peer)
        if link is not None:
            self._forget(link, event.fault, now)

    def _publish(self, event: Publish, now: float) -> None:
        verdict = self._spreading.publish(event.kind, event.data, now)
        if verdict is not Verdict.KEPT:
            raise Malformed(event.kind, f"it cannot be published: {verdict.value}")

    def _ask(self, event: Ask, now: float) -> None:
        before, self._ground.subscriptions = self._ground.subscriptions, event.subscriptions
        self._ground.wanted(now)
        self._ground.store.reconsider()
        for record in self._ground.store:
            self._spreading.introduced(record)
            if matches(record, event.subscriptions) and not matches(record, before):
                self._ground.effects.append(Learned(record))
        for link in self._ground.peers:
            if link.introducer and not self._ground.config.introducer:
                self._ground.send(link, Subscribe(event.subscriptions))
                self._comparing.later(link, now)

    def _tick(self, now: float) -> None:
        while (due := self._ground.timers.pop(now)) is not None:
            what, peer = due
            link = self._ground.peers.get(peer)
            match what:
                case "flush" if link is not None:
                    self._spreading.flush(link, now)
                case "compare" if link is not None:
                    self._comparing.begin(link, now)
                case "stay" if link is not None and link.guest:
                    self._leave(link, "no hello" if link.introducer is None else "there is no room", False, now)
                case "overdue":
                    for late in self._spreading.overdue(now):
                        self._leave(late, "it does not give what it offers", True, now)
                case "dial":
                    self._dialling.dial(now)
                case "rotate":
                    self._dialling.rotate(now)
                case "expire":
                    self._spreading.gone(self._ground.store.expire(now))
                    self._ground.timers.set(_EXPIRE, now + _EXPIRE_EVERY)

    # ── messages ──

    def _received(self, event: Received, now: float) -> None:
        link = self._ground.peers.get(event.peer)
        if link is None:
            return
        try:
            if not link.messages.take(1, now) or not link.incoming.take(len(event.data), now):
                raise Fault("it sends too much")
            self._message(link, wire.decode(event.data), now)
        except Unsupported as error:
            self._leave(link, error.why, False, now)
        except Malformed as error:
            self._leave(link, f"it sent what is no message: {error.why}", True, now)
        except Fault as fault:
            self._leave(link, str(fault), True, now)

    def _message(self, link: Link, message: wire.Message, now: float) -> None:
        if isinstance(message, Hello):
            self._greeted(link, message, now)
            return
        if link.introducer is None:
            raise Fault("it said something before hello")
        match message:
            case Have():
                self._spreading.offered(link, message.offers, now)
            case Want():
                self._spreading.give(link, message.ids, now)
            case Records():
                self._spreading.came(link, Kind.ANNOUNCEMENT, message.announcements, now)
                self._spreading.came(link, Kind.REVOCATIONS, message.revocations, now)
                if link.more and not link.asked:
                    self._comparing.later(link, now + 0.1)
            case Ranges():
                self._comparing.compared(link, message.ranges, now)
            case Listing():
                self._comparing.listed(link, message.parts, now)
            case Subscribe():
                self._subscribed(link, message, now)

    def _greeted(self, link: Link, hello: Hello, now: float) -> None:
        ground = self._ground
        if link.introducer is not None:
            raise Fault("it said hello twice")
        link.grids = ground.config.grids & frozenset(hello.grids)
        if not link.grids:
            self._leave(link, "it is of another grid", False, now)
            return
        if not hello.introducer and (link.dialled or not ground.config.introducer):
            self._leave(link, "it passes nothing on", False, now)
            return
        ground.peers.greeted(link, hello.introducer, now)
        ground.timers.set(("stay", link.peer), now + STAY)
        if not ground.config.introducer:
            ground.send(link, Subscribe(ground.subscriptions))
        for record in ground.store.own():
            if record.grid in link.grids and link.introducer:
                self._spreading.tell(link, record.id, 0, now)
        self._comparing.begin(link, now)
        if link.dialled and (surplus := self._dialling.surplus(now)) is not None:
            self._leave(surplus, "another is in its place", False, now)

    def _subscribed(self, link: Link, message: Subscribe, now: float) -> None:
        if not link.subscribing.take(1, now):
            raise Fault("it subscribes too often")
        if link.introducer or not self._ground.config.introducer:
            return
        link.subscriptions = message.subscriptions
        link.matched = None
        self._ground.wanted(now)

    # ── ends ──

    def _leave(self, link: Link, why: str, fault: bool, now: float) -> None:
        """Hang up on somebody."""
        self._ground.effects.append(HangUp(link.peer, why, fault))
        self._forget(link, fault, now)

    def _forget(self, link: Link, fault: bool, now: float) -> None:
        self._ground.peers.gone(link.peer)
        for what in ("flush", "compare", "stay"):
            self._ground.timers.drop((what, link.peer))
        self._spreading.lost(link, now)
        if link.subscriptions:
            self._ground.wanted(now)
        self._dialling.lost(link, now, fault)
