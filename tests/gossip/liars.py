"""Hosts that do not play by the rules."""

import hashlib
from collections.abc import Callable, Iterable

from commonhold.formats import gossip as wire
from commonhold.formats.gossip import Digest, Have, Hello, Id, Message, Records, Slot, Want
from commonhold.formats.statement import Kind
from commonhold.gossip.machine import Machine
from commonhold.gossip.peers import Link
from commonhold.gossip.reading import Reader
from commonhold.gossip.reconcile import Ids
from commonhold.gossip.values import Closed, Connected, Contact, Dial, Effect, Event, Peer, Received, Send, Tick
from tests.gossip.statements import GRID, pin


class Talker:
    """Somebody who connects to one introducer after another, says hello, and offers what it has as fast as it is told
    to. Whatever it is asked for, it gives, right or wrong."""

    def __init__(
        self, now: float, targets: Iterable[str], offers: Callable[[int], dict[Id, bytes]], pause: float
    ) -> None:
        self._targets = [pin(name) for name in targets]
        self._offers = offers
        self._pause = pause
        self._round = 0
        self._turn = 0
        self._has: dict[Id, bytes] = {}
        self._peers: dict[Peer, float] = {}
        self._next = now
        self.hung_up = 0

    @property
    def wakes(self) -> float:
        """When it talks next."""
        return self._next

    def step(self, event: Event, now: float) -> list[Effect]:
        """Talk."""
        match event:
            case Connected():
                self._peers[event.peer] = now
                return [Send(event.peer, wire.encode(Hello(True, (GRID,))))]
            case Closed():
                self._peers.pop(event.peer, None)
                self.hung_up += 1
            case Received():
                return self._answer(event.peer, event.data)
            case Tick():
                return self._talk(now)
            case _:
                pass
        return []

    def _answer(self, peer: Peer, data: bytes) -> list[Effect]:
        message = wire.decode(data)
        if not isinstance(message, Want):
            return []
        found = tuple(self._has[one] for one in message.ids if one in self._has)
        return [Send(peer, wire.encode(Records(found[at : at + 100], ()))) for at in range(0, len(found), 100)]

    def _talk(self, now: float) -> list[Effect]:
        self._next = now + self._pause
        if len(self._peers) < len(self._targets):
            self._turn += 1
            return [Dial(Contact(self._targets[self._turn % len(self._targets)], ()))]
        self._round += 1
        news = self._offers(self._round)
        self._has |= news
        offers = tuple((found, 0) for found in news)
        return [Send(peer, wire.encode(Have(offers))) for peer in self._peers if offers]


def offer_of(reader: Reader, data: bytes) -> dict[Id, bytes]:
    """A sound announcement, as something to be offered."""
    return {reader.read(Kind.ANNOUNCEMENT, data).id: data}


def forged(reader: Reader, data: bytes) -> dict[Id, bytes]:
    """The same with a signature that is not right, as whoever forged it would offer it."""
    record = reader.read(Kind.ANNOUNCEMENT, data)
    at = data.index(b"signature") + 20
    broken = data[:at] + bytes((data[at] ^ 1,)) + data[at + 1 :]
    return {wire.id_of(record.slot, record.id.sequence + 1, Digest(hashlib.sha256(broken).digest()[:16])): broken}


def hide(machine: Machine, slot: Slot) -> None:
    """Have an introducer keep one slot from all others: in comparisons it is not there, and nobody is told of it."""
    ground = machine._ground
    truth, send = ground.ids_for, ground.send

    def without(link: Link) -> Ids:
        return Ids(one for one in truth(link) if one.slot != slot)

    def silent(link: Link, message: Message) -> int:
        if isinstance(message, Have):
            message = Have(tuple(one for one in message.offers if one[0].slot != slot))
            if not message.offers:
                return 0
        return send(link, message)

    ground.ids_for = without  # type: ignore[method-assign]
    ground.send = silent  # type: ignore[method-assign]
