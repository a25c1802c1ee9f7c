"""Real meshes on loopback, in one loop: real TLS, sockets and signatures. Their clock may run faster than ours."""

import asyncio
import os
import random
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

from commonhold.errors import HoldError
from commonhold.formats import gossip as wire
from commonhold.formats.address import Address
from commonhold.formats.blessing import INTRODUCER
from commonhold.formats.gossip import Id, Message, Subscription
from commonhold.formats.hint import Hint, TcpHint
from commonhold.formats.pin import SpkiPin
from commonhold.formats.statement import Kind
from commonhold.gossip.reading import Reader, Record
from commonhold.gossip.values import SUBSCRIBER_OUTBOUND, Config
from commonhold.mesh import service
from commonhold.mesh.framing import Frames, framed
from commonhold.mesh.mesh import PATH, Mesh, Told
from commonhold.mesh.reaching import Reaching, contact
from commonhold.mesh.setting import Setting
from commonhold.transport import listen
from commonhold.transport.connection import Connection
from commonhold.transport.dial import dial
from commonhold.transport.kept import Time
from commonhold.transport.rules import Rules
from commonhold.transport.visitors import Limits, Visitors
from tests.gossip.statements import DAY, EPOCH, GRID, announced, pin, seed
from tests.waiting import SECONDS

M = TypeVar("M")
_LEAP = 5.0  # seconds


class Clock:
    """A clock that runs so many times as fast as ours, as `pace` says now.

    Where this process is stopped for a moment, its time is too: it never leaps over what would have happened meanwhile.
    """

    def __init__(self, pace: float, begun: float = EPOCH) -> None:
        self._pace = pace
        self._at = begun
        self._since = time.monotonic()

    @property
    def time(self) -> Time:
        """As a mesh is given it."""
        return Time(self.now, self.sleep)

    def now(self) -> float:
        now = time.monotonic()
        self._at += min(_LEAP, (now - self._since) * self._pace)
        self._since = now
        return self._at

    def run(self, pace: float) -> None:
        """Run at another pace from now on."""
        self.now()
        self._pace = pace

    def set(self, at: float) -> None:
        """Be set."""
        self._at, self._since = at, time.monotonic()

    async def sleep(self, seconds: float) -> None:
        until = self.now() + seconds
        while (left := until - self.now()) > 0 and left <= seconds:
            await asyncio.sleep(min(left / self._pace, 0.02))
        await asyncio.sleep(0)


class Anywhere(Reaching):
    """Dials what others announce also where that is on this machine."""

    def _may(self, hint: Hint) -> bool:
        return True


@dataclass
class Node:
    """A mesh, where it listens, and what it was told."""

    name: str
    mesh: Mesh
    socket: socket.socket | None
    learned: list[tuple[Record, SpkiPin | None]] = field(default_factory=list)
    contradicted: list[tuple[Record, Record]] = field(default_factory=list)
    stop: Callable[[], Any] = lambda: None

    @property
    def hint(self) -> TcpHint:
        assert self.socket is not None
        found = listen.address(self.socket)
        assert isinstance(found, TcpHint)
        return found

    @property
    def address(self) -> Address:
        """As others are told."""
        return Address(pin(self.name), (self.hint,))

    def has(self, found: Id) -> bool:
        """Whether it keeps this very statement."""
        return self.mesh.machine.find(found) is not None


class Meshes:
    """All nodes of a test, which run until it ends."""

    def __init__(self, pace: float = 1.0, begun: float = EPOCH, rules: Rules | None = None) -> None:
        self.clock = Clock(pace, begun)
        self.rules = rules or Rules()
        self.reader = Reader()
        self.nodes: dict[str, Node] = {}
        self._running: dict[str, asyncio.Task[None]] = {}
        self._ends: dict[str, asyncio.Event] = {}
        self.visitors: dict[str, Visitors] = {}

    def setting(self, configured: Iterable[Address], rules: Rules | None = None, spread: float = 0.0) -> Setting:
        """What a mesh here stands on."""
        return Setting(rules or self.rules, self.clock.time, os.urandom, random.random, Anywhere(configured), spread)

    def introducer(
        self, name: str, known: Iterable[Address] = (), port: int = 0, limits: Limits | None = None,
        rules: Rules | None = None, **config: Any,
    ) -> Node:  # fmt: skip
        """Add an introducer, which listens and announces itself."""
        sock = listen.bind("127.0.0.1", port)
        known = tuple(known)
        usual: dict[str, Any] = {"grids": frozenset((GRID,)), "configured": tuple(map(contact, known))}
        full = Config(introducer=True, server=pin(name), **usual | config)
        node = self._node(name, full, known, sock, rules)
        now = int(self.clock.now())
        for grid in full.grids:
            data = announced(name, now, (), INTRODUCER, grid, now + DAY, (str(node.hint),))
            node.mesh.publish(Kind.ANNOUNCEMENT, data)
        self.run(node, limits)
        return node

    def subscriber(
        self, name: str, known: Iterable[Address], asks: Iterable[Subscription] = (), rules: Rules | None = None,
        spread: float = 0.0, **config: Any,
    ) -> Node:  # fmt: skip
        """Add a subscriber."""
        known = tuple(known)
        usual: dict[str, Any] = {"grids": frozenset((GRID,)), "outbound": SUBSCRIBER_OUTBOUND}
        full = Config(introducer=False, configured=tuple(map(contact, known)), **usual | config)
        node = self._node(name, full, known, None, rules, spread)
        node.mesh.ask(asks)
        self.run(node)
        return node

    def _node(
        self, name: str, config: Config, known: Iterable[Address], sock: socket.socket | None,
        rules: Rules | None = None, spread: float = 0.0,
    ) -> Node:  # fmt: skip
        learned: list[tuple[Record, SpkiPin | None]] = []
        contradicted: list[tuple[Record, Record]] = []
        told = Told(lambda *one: learned.append(one), lambda *both: contradicted.append(both))
        mesh = Mesh(config, self.setting(known, rules, spread), told)
        self.nodes[name] = node = Node(name, mesh, sock, learned, contradicted)
        return node

    def run(self, node: Node, limits: Limits | None = None) -> None:
        """Have a node run."""
        self._ends[node.name] = asyncio.Event()
        self.visitors[node.name] = Visitors(limits)
        self._running[node.name] = asyncio.create_task(self._run(node))

    async def _run(self, node: Node) -> None:
        end, visitors = self._ends[node.name], self.visitors[node.name]
        if node.socket is not None:
            await service.serve(node.mesh, seed(node.name), [node.socket], visitors, end)
            return
        async with asyncio.TaskGroup() as group:
            running = group.create_task(node.mesh.run())
            await end.wait()
            running.cancel()

    async def stop(self, node: Node) -> None:
        """Have a node stop."""
        self._ends[node.name].set()
        await self._running.pop(node.name)
        del self.nodes[node.name]

    async def stop_all(self) -> None:
        for node in list(self.nodes.values()):
            await self.stop(node)

    async def until(self, holds: Callable[[], bool], seconds: float = SECONDS) -> None:
        """Wait until something is so, by our own clock. A node that has failed fails the test."""
        async with asyncio.timeout(seconds):
            while not holds():
                for task in self._running.values():
                    if task.done():
                        task.result()
                await asyncio.sleep(0.01)


class Stranger:
    """Somebody who has connected to an introducer and says what a test wants. Reads as long as it is told to."""

    def __init__(self, connection: Connection) -> None:
        self.heard: list[bytes] = []
        self.reads = asyncio.Event()
        self.reads.set()
        self._connection = connection
        self._going: asyncio.Queue[bytes] = asyncio.Queue()
        self.task = asyncio.create_task(self._talk())

    def say(self, *messages: Message | bytes) -> None:
        """Send messages, each with its length; or bytes as they are."""
        for one in messages:
            self._going.put_nowait(one if isinstance(one, bytes) else framed(wire.encode(one)))

    def said(self, kind: type[M]) -> list[M]:
        """The messages of one type that came."""
        found = [wire.decode(data) for data in self.heard]
        return [message for message in found if isinstance(message, kind)]

    @property
    def gone(self) -> bool:
        """Whether the other end has hung up."""
        return self.task.done()

    async def _talk(self) -> None:
        frames = Frames()
        with suppress(HoldError):
            async with self._connection.request("POST", PATH, body=self._pieces()) as answer:
                async for data in answer.chunks():
                    self.heard += [message for message in frames.feed(data) if message]
                    await self.reads.wait()

    async def _pieces(self) -> AsyncIterator[bytes]:
        while True:
            yield await self._going.get()


@asynccontextmanager
async def stranger(node: Node, *messages: Message | bytes) -> AsyncIterator[Stranger]:
    """Somebody who has connected to a node and begins by saying this."""
    connection = await dial(pin(node.name), [node.hint], Rules(), os.urandom)
    found = Stranger(connection)
    try:
        found.say(*messages)
        yield found
    finally:
        found.task.cancel()
        await asyncio.gather(found.task, return_exceptions=True)
        await connection.close()


@asynccontextmanager
async def meshes(pace: float = 1.0, begun: float = EPOCH, rules: Rules | None = None) -> AsyncIterator[Meshes]:
    """Nodes, all of which have stopped at the end."""
    found = Meshes(pace, begun, rules)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(found.stop_all)
        yield found
