"""Statements on their way: who is told that there is one, who is asked for it, and to whom it is given. Pure.

Only ids are pushed, a few at a time; whoever lacks a statement asks one of those who have it. So it goes over each
connection at most once, and nothing comes that was not asked for.
"""

from collections.abc import Iterable
from typing import Final

from commonhold.formats.announcement import Announcement
from commonhold.formats.blessing import INTRODUCER
from commonhold.formats.gossip import MAX_HOPS, MAX_OFFERS, Have, Id, Records, Want
from commonhold.formats.malformed import Malformed, Unsupported
from commonhold.formats.statement import Kind
from commonhold.gossip.flood import Asked
from commonhold.gossip.ground import NOBODY, Due, Fault, Ground
from commonhold.gossip.peers import MAX_SHOWN, MAX_VAIN, Link
from commonhold.gossip.reading import Record, digest_of
from commonhold.gossip.records import TRUSTED, Outcome, Source, Verdict
from commonhold.gossip.subscriptions import matches
from commonhold.gossip.values import Contact, Contradicted, Learned

FLUSH: Final = (0.05, 0.5)  # seconds for which ids are gathered
_PIECE: Final = 256 << 10  # bytes of statements after which another message begins
_DUE: Final[Due] = ("overdue", NOBODY)


class Spreading:
    """See the module."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    # ── telling ──

    def tell(self, link: Link, found: Id, hops: int, now: float) -> None:
        """Have somebody be told of a statement soon."""
        link.outbox[found] = hops
        timer: Due = ("flush", link.peer)
        if not self._ground.timers.has(timer):
            self._ground.timers.set(timer, now + self._ground.between(*FLUSH))

    def flush(self, link: Link, now: float) -> None:
        """Tell somebody of what has gathered and still counts."""
        offers: list[tuple[Id, int]] = []
        while link.outbox and len(offers) < MAX_OFFERS:
            found = next(iter(link.outbox))
            hops = link.outbox.pop(found)
            if self._ground.store.find(found) is not None:
                offers.append((found, hops))
        if offers:
            self._ground.send(link, Have(tuple(offers)))
        if link.outbox:
            self._ground.timers.set(("flush", link.peer), now + self._ground.between(*FLUSH))

    def spread(self, record: Record, hops: int, knows: Iterable[int], now: float) -> None:
        """Have all be told of a statement who are to know it, but those who do already."""
        for link in self._ground.peers:
            if link.peer not in knows and self._is_for(link, record, hops):
                self.tell(link, record.id, min(hops, MAX_HOPS), now)

    def _is_for(self, link: Link, record: Record, hops: int) -> bool:
        if link.introducer is None or record.grid not in link.grids:
            return False
        if link.introducer:
            return hops <= MAX_HOPS
        return matches(record, link.subscriptions)

    def publish(self, kind: Kind, data: bytes, now: float) -> Verdict:
        """Take in a statement of one's own, and have all be told."""
        record = self._ground.reader.read(kind, data)
        outcome = self._ground.store.offer(record, now, Source.OWN)
        self._took(record, outcome)
        if outcome.verdict is Verdict.KEPT:
            self.spread(record, 0, (), now)
        if outcome.verdict is Verdict.OLD and outcome.before is not None and outcome.before.id == record.id:
            return Verdict.KEPT
        return outcome.verdict

    def restore(self, kind: Kind, data: bytes, now: float) -> None:
        """Take in a statement that was kept before."""
        record = self._ground.reader.read(kind, data)
        self._took(record, self._ground.store.offer(record, now, Source.KEPT))

    # ── asking ──

    def offered(self, link: Link, offers: Iterable[tuple[Id, int]], now: float) -> None:
        """Somebody has statements: ask for those that are lacking."""
        wants: list[Id] = []
        for found, hops in offers:
            link.outbox.pop(found, None)
            if not self._ground.config.introducer:
                self._shown(link, found)
            if self._ground.store.lacks(found, now) and self._ground.asking.offered(link, found, hops, now):
                wants.append(found)
        self.ask(link, wants)

    def _shown(self, link: Link, found: Id) -> None:
        before = link.shown.get(found.slot)
        if (before is None and len(link.shown) < MAX_SHOWN) or (before is not None and before < found):
            link.shown.put(found)

    def ask(self, link: Link, wants: list[Id]) -> None:
        """Send for what is asked of somebody."""
        for at in range(0, len(wants), MAX_OFFERS):
            self._ground.send(link, Want(tuple(wants[at : at + MAX_OFFERS])))
        self._watch()

    def _watch(self) -> None:
        """See to it that nothing is waited for without end."""
        due = self._ground.asking.due
        if due is not None and not self._ground.timers.has(_DUE):
            self._ground.timers.set(_DUE, due)

    def overdue(self, now: float) -> list[Link]:
        """Ask others for what did not come in time; who let too many wait."""
        again: dict[Link, list[Id]] = {}
        vain: dict[Link, None] = {}
        for link, found, other in self._ground.asking.overdue(now):
            if link is not None and link.vain >= MAX_VAIN:
                vain[link] = None
            if other is not None:
                again.setdefault(other, []).append(found)
        for other, wants in again.items():
            self.ask(other, wants)
        self._watch()
        return list(vain)

    def lost(self, link: Link, now: float) -> None:
        """Ask others for what was asked of somebody who is gone."""
        again: dict[Link, list[Id]] = {}
        for found, other in self._ground.asking.lost(link, now):
            again.setdefault(other, []).append(found)
        for other, wants in again.items():
            self.ask(other, wants)

    # ── giving and taking ──

    def give(self, link: Link, wants: Iterable[Id], now: float) -> None:
        """Send what is asked for, as far as it is there and the peer has not had too much lately."""
        size = 0
        announcements: list[bytes] = []
        revocations: list[bytes] = []
        own = None if self._ground.config.introducer else {record.id for record in self._ground.store.own()}
        for found in wants:
            record = self._ground.store.find(found)
            if record is None or record.grid not in link.grids or (own is not None and found not in own):
                continue
            if not link.outgoing.take(len(record.data), now):
                break
            if size and size + len(record.data) > _PIECE:
                self._ground.send(link, Records(tuple(announcements), tuple(revocations)))
                size, announcements, revocations = 0, [], []
            size += len(record.data)
            (announcements if record.kind is Kind.ANNOUNCEMENT else revocations).append(record.data)
        if size:
            self._ground.send(link, Records(tuple(announcements), tuple(revocations)))

    def came(self, link: Link, kind: Kind, statements: Iterable[bytes], now: float) -> None:
        """Statements came. What was not asked for is not looked at."""
        for data in statements:
            found = self._ground.asking.came(link, digest_of(data))
            if found is None:
                self._ground.counts["not asked for"] += 1
                continue
            link.vain, link.gave = 0, now
            self._take(link, kind, data, *found, now)

    def _take(self, link: Link, kind: Kind, data: bytes, said: Id, asked: Asked, now: float) -> None:
        try:
            record = self._ground.reader.read(kind, data)
        except Unsupported as error:  # of a later version: not known here, and nobody's fault
            self._ground.counts[error.why] += 1
            self._ground.store.refuse(said, now)
            return
        except Malformed as error:
            raise Fault(f"it passed on what is no statement: {error.why}") from None
        if record.id != said:
            raise Fault("it offered a statement as another than it is")
        if not self._ground.config.introducer and not matches(record, self._ground.subscriptions):
            self._ground.counts["not asked for"] += 1
            self._ground.store.refuse(said, now)
            return
        outcome = self._ground.store.offer(record, now)
        self._took(record, outcome)
        if outcome.verdict is Verdict.KEPT:
            link.gained = True
            if self._ground.config.introducer:
                self.spread(record, asked.hops + 1, (link.peer, *asked.others), now)
        elif outcome.verdict is not Verdict.OLD:
            self._ground.counts[outcome.verdict.value] += 1

    # ── what comes of it here ──

    def _took(self, record: Record, outcome: Outcome) -> None:
        ground = self._ground
        self.gone(outcome.gone)
        if outcome.contradicts is not None:
            counts, other = sorted((record, outcome.contradicts), key=lambda one: one.id, reverse=True)
            ground.effects.append(Contradicted(counts, other))
        if outcome.verdict is not Verdict.KEPT:
            return
        self.introduced(record)
        if matches(record, ground.subscriptions):
            ground.effects.append(Learned(record))

    def introduced(self, record: Record) -> None:
        """If that is an introducer, it is one that can be dialled."""
        if isinstance(record.said, Announcement) and record.purpose == INTRODUCER:
            blessed = self._ground.store.level(record.slot) >= TRUSTED
            self._ground.contacts.learned(Contact(record.said.server, record.said.addresses), blessed)

    def gone(self, records: Iterable[Record]) -> None:
        """Statements are not kept any more."""
        for record in records:
            if isinstance(record.said, Announcement) and record.purpose == INTRODUCER:
                self._ground.contacts.forgotten(record.said.server)
