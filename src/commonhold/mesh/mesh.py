"""One gossip machine on real connections: its effects are performed, what happens is told to it.

It dials by the one function that knows the rules, waits by the clock that it is given, and decides nothing itself but
who has to go where too much waits to be sent. docs/spec/gossip.md; REQUIREMENTS B5, B9-B15, D14, D20, D25.
"""

import asyncio
import math
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import aclosing, contextmanager, suppress
from dataclasses import dataclass
from typing import Final, NamedTuple

from commonhold.errors import HoldError
from commonhold.formats import statement
from commonhold.formats.gossip import Subscription
from commonhold.formats.hint import Hint
from commonhold.formats.malformed import Malformed
from commonhold.formats.pin import SpkiPin
from commonhold.gossip.machine import Machine
from commonhold.gossip.reading import Reader, Record
from commonhold.gossip.values import (
    Ask,
    Closed,
    Config,
    Connected,
    Contact,
    Contradicted,
    Dial,
    Effect,
    Event,
    Failed,
    HangUp,
    Learned,
    Peer,
    Publish,
    Received,
    Restore,
    Send,
    Tick,
)
from commonhold.gossip.views import Finding
from commonhold.mesh.conversation import Conversation, Turns, Write, asked
from commonhold.mesh.outbox import Room
from commonhold.mesh.pulse import Beat
from commonhold.mesh.setting import Setting
from commonhold.transport.dial import dial

PATH: Final = "/v1/gossip"
_LONGEST: Final = 60.0  # seconds of a sleep: a clock may be set meanwhile
_SET_BACK: Final = 60.0  # seconds by which a clock may go back and nothing comes of it
_FAILURES: Final = 64


@dataclass(frozen=True, slots=True)
class Told:
    """Who is told. `learned`: a statement that was asked for, and the introducer that gave it; None if it was published
    or kept here. `contradicted`: two statements of a key with one sequence; the first counts."""

    learned: Callable[[Record, SpkiPin | None], None] = lambda record, introducer: None
    contradicted: Callable[[Record, Record], None] = lambda counts, other: None


class Neighbour(NamedTuple):
    """One connection: the pin that TLS has proved, by which address it was dialled, and since when.

    Who has dialled us has no address (None), and the pin is that of a key made for this connection.
    """

    server: SpkiPin
    hint: Hint | None
    since: float


class _Link(NamedTuple):
    conversation: Conversation
    neighbour: Neighbour


class Mesh:
    """See the module. `run` keeps it up; all calls are from the loop that it runs in.

    `machine` is to be looked at; whoever stepped it would lose its effects.
    """

    def __init__(self, config: Config, setting: Setting, told: Told | None = None) -> None:
        self._config = config
        self._setting = setting
        self._told = told or Told()
        self._reader = Reader()
        self.machine = Machine(config, setting.draw, setting.time.now(), self._reader)
        self._subscriptions: tuple[Subscription, ...] = ()
        self._links: dict[Peer, _Link] = {}
        self._peers = 0
        self._room = Room()
        self._turns = Turns()
        self._failures: dict[SpkiPin, HoldError] = {}
        self._events: deque[Event] = deque()
        self._stepping = False
        self._group: asyncio.TaskGroup | None = None  # while it runs
        self._nap: asyncio.Future[None] | None = None
        self._nap_until = math.inf

    # ── what it is told ──

    def publish(self, kind: statement.Kind, data: bytes) -> None:
        """Have a statement of one's own be known to all. Malformed for one that cannot be."""
        self._perform(self.machine.step(Publish(kind, data), self._now()))

    def ask(self, subscriptions: Iterable[Subscription]) -> None:
        """Ask for these from now on, in place of what was."""
        self._subscriptions = tuple(subscriptions)
        self._do(Ask(self._subscriptions))

    def restore(self, kind: statement.Kind, data: bytes) -> None:
        """Take in a statement that was kept before a restart. Malformed."""
        self._perform(self.machine.step(Restore(kind, data), self._now()))

    # ── what it tells ──

    def neighbours(self) -> list[Neighbour]:
        """All connections there are."""
        return [link.neighbour for link in self._links.values()]

    def shown(self) -> dict[SpkiPin, tuple[Record, ...]]:
        """What each introducer that a subscriber is connected to shows, of what is known here."""
        found = {}
        for view in self.machine.views():
            records = [self.machine.find(one) for one in view.ids]
            found[view.server] = tuple(record for record in records if record is not None)
        return found

    def findings(self) -> list[Finding]:
        """Which introducers keep from this subscriber what others show, with the evidence."""
        return self.machine.findings(self._now())

    def failures(self) -> dict[SpkiPin, HoldError]:
        """Why introducers could not be reached when they were dialled last: of those the latest."""
        return dict(self._failures)

    # ── running ──

    async def run(self) -> None:
        """Be there until cancelled; then hang up on all."""
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                await self._tick()
        finally:
            self._group = None
            for link in self._links.values():
                link.conversation.end("this end stops")

    async def _tick(self) -> None:
        """Tell the machine when its time has come."""
        now = self._now()
        while True:
            before, now = now, self._now()
            if now < before - _SET_BACK:
                self._begin_anew(now)
            if self.machine.wakes <= now:
                self._do(Tick())
            self._nap_until = self.machine.wakes
            left = min(self._nap_until - now, _LONGEST)
            self._nap = asyncio.ensure_future(self._setting.time.sleep(max(0.0, left)))
            try:
                await asyncio.wait((self._nap,))
            finally:
                self._nap.cancel()

    def _begin_anew(self, now: float) -> None:
        """The clock was set back, and what was due by it would wait for as long: go on with another machine."""
        old, self.machine = self.machine, Machine(self._config, self._setting.draw, now, self._reader)
        for peer in list(self._links):
            self._hang_up(peer, "the clock was set back")
        for record in old.records():
            self._do(Restore(record.kind, record.data))
        for record in old.own():
            with suppress(Malformed):  # its end lies too far ahead now: whoever announces it will do so again
                self._do(Publish(record.kind, record.data))
        self._do(Ask(self._subscriptions))

    # ── connections ──

    async def attend(self, pin: SpkiPin, coming: AsyncIterator[bytes], write: Write) -> None:
        """Talk to somebody who has dialled us, until that ends. `pin` is that of their key, as TLS has proved it."""
        if self._group is not None:
            with self._link(Neighbour(pin, None, self._now()), self._turns) as conversation:
                await conversation.hold(coming, write)

    async def _dial(self, contact: Contact) -> None:
        """Connect to a server, and talk to it until that ends."""
        setting = self._setting
        await setting.time.sleep(setting.spread * setting.draw())
        try:
            found = await dial(contact.server, setting.reaching.hints(contact), setting.rules, setting.randomness)
        except HoldError as error:
            self._failed(contact.server, error)
            return
        self._failures.pop(contact.server, None)
        try:
            with self._link(Neighbour(found.server, found.hint, self._now()), None) as conversation:
                async with aclosing(asked(found, PATH, conversation)) as coming:
                    await conversation.hold(coming, None)
        finally:
            await found.close()

    def _failed(self, server: SpkiPin, error: HoldError) -> None:
        self._failures.pop(server, None)
        self._failures[server] = error
        if len(self._failures) > _FAILURES:
            del self._failures[next(iter(self._failures))]
        self._do(Failed(server))

    @contextmanager
    def _link(self, neighbour: Neighbour, turns: Turns | None) -> Iterator[Conversation]:
        """Have the machine know of a connection while the block runs."""
        self._peers += 1
        peer = Peer(self._peers)
        setting = self._setting
        conversation = Conversation(
            setting.time, setting.draw, self._room, turns, lambda data: self._do(Received(peer, data))
        )
        self._links[peer] = _Link(conversation, neighbour)
        dialled = neighbour.hint is not None
        self._do(Connected(peer, neighbour.server if dialled else None, dialled))
        try:
            yield conversation
        finally:
            if self._links.pop(peer, None) is not None:
                self._do(Closed(peer, conversation.fault))

    # ── the machine ──

    def _now(self) -> float:
        return self._setting.time.now()

    def _do(self, event: Event) -> None:
        """Tell the machine what has happened, and perform what it says; what happens by that, after it."""
        self._events.append(event)
        if self._stepping:
            return
        self._stepping = True
        try:
            while self._events:
                one = self._events.popleft()
                self._perform(self.machine.step(one, self._now()), one)
        finally:
            self._stepping = False

    def _perform(self, effects: Iterable[Effect], of: Event | None = None) -> None:
        for effect in effects:
            match effect:
                case Send():
                    self._send(effect)
                case Dial():
                    assert self._group is not None  # it is an answer to a tick
                    self._group.create_task(self._dial(effect.contact))
                case HangUp():
                    self._hang_up(effect.peer, effect.why)
                case Learned():
                    self._told.learned(effect.record, self._who(of))
                case Contradicted():
                    self._told.contradicted(effect.counts, effect.other)
        if self._nap is not None and self.machine.wakes < self._nap_until:
            self._nap.cancel()

    def _send(self, effect: Send) -> None:
        link = self._links.get(effect.peer)
        if link is None:
            return
        if not link.conversation.send(effect.data):
            self._lose(effect.peer, Beat.SLOW.value)
        elif self._room.over:
            self._lose(max(self._links, key=lambda peer: self._links[peer].conversation.waiting), Beat.SLOW.value)

    def _lose(self, peer: Peer, why: str) -> None:
        """Hang up without having been told to by the machine."""
        self._hang_up(peer, why)
        self._do(Closed(peer))

    def _hang_up(self, peer: Peer, why: str) -> None:
        link = self._links.pop(peer, None)
        if link is not None:
            link.conversation.end(why)

    def _who(self, of: Event | None) -> SpkiPin | None:
        """Which introducer an event came from."""
        link = self._links.get(of.peer) if isinstance(of, Received) else None
        return None if link is None or link.neighbour.hint is None else link.neighbour.server
