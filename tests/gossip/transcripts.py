"""One machine, and a test that plays its peers by hand."""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from commonhold.formats import gossip as wire
from commonhold.formats.gossip import Have, Hello, Id, Message, Records, Subscribe, Subscription, Want
from commonhold.formats.pin import GridId, SpkiPin
from commonhold.formats.statement import Kind
from commonhold.gossip.machine import Machine
from commonhold.gossip.reading import Reader, Record
from commonhold.gossip.values import Config, Connected, Dial, Effect, Event, HangUp, Peer, Received, Send, Tick
from tests.gossip.statements import EPOCH, GRID, pin

E = TypeVar("E")
READER = Reader()


def record(data: bytes, kind: Kind = Kind.ANNOUNCEMENT) -> Record:
    """A statement, read."""
    return READER.read(kind, data)


class Played:
    """A machine whose time and peers are a test's."""

    def __init__(self, introducer: bool = True, draw: Callable[[], float] = lambda: 0.5, **config: Any) -> None:
        usual: dict[str, Any] = {"grids": frozenset((GRID,)), "introducer": introducer, "server": pin("me")}
        self.now = float(EPOCH)
        self.machine = Machine(Config(**usual | config), draw, self.now)
        self._peers = 0
        self.effects: list[Effect] = []

    def do(self, event: Event) -> list[Effect]:
        """Have something happen; what comes of it."""
        found = self.machine.step(event, self.now)
        self.effects += found
        return found

    def wait(self, seconds: float) -> list[Effect]:
        """Let time pass, with a tick whenever one is due."""
        end, found = self.now + seconds, list[Effect]()
        while self.machine.wakes <= end:
            self.now = max(self.now, self.machine.wakes)
            found += self.do(Tick())
        self.now = end
        return found

    def peer(
        self, introducer: bool = True, dialled: bool = False, server: SpkiPin | None = None, grid: GridId = GRID
    ) -> Peer:
        """Connect somebody, who says hello."""
        peer = self.connect(dialled, server)
        self.say(peer, Hello(introducer, (grid,)))
        return peer

    def connect(self, dialled: bool = False, server: SpkiPin | None = None) -> Peer:
        """Connect somebody who says nothing."""
        self._peers += 1
        self.do(Connected(Peer(self._peers), server, dialled))
        return Peer(self._peers)

    def subscriber(self, *asks: Subscription) -> Peer:
        """Connect a subscriber."""
        peer = self.peer(introducer=False)
        self.say(peer, Subscribe(asks))
        return peer

    def say(self, peer: Peer, message: Message | bytes) -> list[Effect]:
        """Have a peer send something."""
        return self.do(Received(peer, message if isinstance(message, bytes) else wire.encode(message)))

    def offer(self, peer: Peer, *statements: bytes, hops: int = 0, kind: Kind = Kind.ANNOUNCEMENT) -> list[Effect]:
        """Have a peer offer statements."""
        return self.say(peer, Have(tuple((record(data, kind).id, hops) for data in statements)))

    def give(self, peer: Peer, *statements: bytes, kind: Kind = Kind.ANNOUNCEMENT) -> list[Effect]:
        """Have a peer offer statements, and give those that it is asked for, whatever they are."""
        asked = {found for want in said(self.offer(peer, *statements, kind=kind), peer, Want) for found in want.ids}
        given = tuple(data for data in statements if record(data, kind).id in asked)
        return self.say(peer, Records(given, ()) if kind is Kind.ANNOUNCEMENT else Records((), given))

    def kept(self) -> set[bytes]:
        """All that it keeps."""
        return {one.data for one in self.machine.records()}


def said(effects: Iterable[Effect], peer: Peer, kind: type[E]) -> list[E]:
    """The messages of one type that are sent to a peer."""
    messages = [wire.decode(one.data) for one in effects if isinstance(one, Send) and one.peer == peer]
    return [one for one in messages if isinstance(one, kind)]


def told(effects: Iterable[Effect], peer: Peer) -> list[tuple[Id, int]]:
    """What a peer is offered."""
    return [offer for have in said(effects, peer, Have) for offer in have.offers]


def given(effects: Iterable[Effect], peer: Peer) -> list[bytes]:
    """The statements that are sent to a peer."""
    return [data for found in said(effects, peer, Records) for data in (*found.announcements, *found.revocations)]


def hung_up(effects: Iterable[Effect]) -> list[HangUp]:
    """Who is hung up on."""
    return [one for one in effects if isinstance(one, HangUp)]


def dialled(effects: Iterable[Effect]) -> list[SpkiPin]:
    """Who is dialled."""
    return [one.contact.server for one in effects if isinstance(one, Dial)]
