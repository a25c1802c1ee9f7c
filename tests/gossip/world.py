"""A network of machines in one process, with a clock of its own. The same seed gives the same run, to the byte.

What is simulated is the network: latency, lost connections, partitions, hosts that come and go, clocks that differ. The
machines are the real ones, and so are their signatures; they share one reader, as what bytes say is the same for all.
"""

import hashlib
import heapq
import random
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from commonhold.formats.blessing import INTRODUCER
from commonhold.formats.gossip import Id, Subscription
from commonhold.formats.pin import GridId, SpkiPin
from commonhold.formats.statement import Kind
from commonhold.gossip.machine import Machine
from commonhold.gossip.reading import Reader
from commonhold.gossip.values import (
    Ask,
    Bounds,
    Closed,
    Config,
    Connected,
    Contact,
    Dial,
    Effect,
    Event,
    Failed,
    HangUp,
    Peer,
    Publish,
    Received,
    Send,
    Tick,
)
from tests.gossip.statements import DAY, EPOCH, GRID, announced, pin

LATENCY = (0.02, 0.15)


class Steps(Protocol):
    """What a host runs: a machine, or somebody who does not play by the rules."""

    @property
    def wakes(self) -> float: ...

    def step(self, event: Event, now: float) -> list[Effect]: ...


class Wire:
    """A connection: two ends, each with its number and how long a message takes there."""

    def __init__(self, ends: tuple["Host", "Host"], peers: tuple[Peer, Peer], latency: float) -> None:
        self.ends = ends
        self.peers = peers
        self.latency = latency
        self.arrived = [0.0, 0.0]  # the last at each end: messages do not overtake each other
        self.open = True


class Host:
    """A machine in the world."""

    def __init__(self, world: "World", name: str, machine: Steps, skew: float) -> None:
        self.world = world
        self.name = name
        self.pin = pin(name)
        self.machine = machine
        self.skew = skew
        self.wires: dict[Peer, tuple[Wire, int]] = {}
        self.up = True
        self.side = 0  # of a partition
        self.tick_at = float("inf")
        self.effects: list[Effect] = []  # that are not for the network
        self.says: Callable[[bytes], bytes | None] = lambda data: data  # what becomes of what it sends

    @property
    def gossip(self) -> Machine:
        """The machine, of one that plays by the rules."""
        assert isinstance(self.machine, Machine)
        return self.machine

    def has(self, found: Id) -> bool:
        """Whether it keeps this very statement."""
        return self.gossip.find(found) is not None

    def do(self, event: Event) -> None:
        """Have something happen to it now."""
        if not self.up:
            return
        now = self.world.now + self.skew
        for effect in self.machine.step(event, now):
            self.world.perform(self, effect)
        self.wake()

    def wake(self) -> None:
        """Have a tick come when it is due."""
        at = max(self.machine.wakes - self.skew, self.world.now)
        if at < self.tick_at:
            self.tick_at = at
            self.world.at(at, self._tick, at)

    def _tick(self, at: float) -> None:
        if at != self.tick_at:
            return
        self.tick_at = float("inf")
        if self.machine.wakes <= self.world.now + self.skew:
            self.do(Tick())
        elif self.up:
            self.wake()


class World:
    """All hosts, and the time."""

    def __init__(self, seed: int, bounds: Bounds | None = None) -> None:
        self.rng = random.Random(seed)
        self.now = float(EPOCH)
        self.reader = Reader(1 << 30)
        self.bounds = bounds or Bounds()
        self.hosts: dict[SpkiPin, Host] = {}
        self.messages: Counter[str] = Counter()
        self.bytes: Counter[str] = Counter()
        self.hung_up: Counter[str] = Counter()
        self.faults = 0
        self.trace = hashlib.sha256()
        self._heap: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._number = 0
        self._peers = 0

    # ── time ──

    def at(self, when: float, what: Callable[..., None], *words: Any) -> None:
        """Have something happen at a time."""
        self._number += 1
        heapq.heappush(self._heap, (when, self._number, what, words))

    def run(self, seconds: float) -> None:
        """Let time pass."""
        end = self.now + seconds
        while self._heap and self._heap[0][0] <= end:
            self.now, _, what, words = heapq.heappop(self._heap)
            what(*words)
        self.now = end

    def run_until(self, whether: Callable[[], bool], limit: float, step: float = 0.5) -> float:
        """Let time pass until something is so; how long that took. AssertionError if it is not so in time."""
        begun = self.now
        while not whether():
            assert self.now - begun < limit, f"not so after {limit} s"
            self.run(step)
        return self.now - begun

    # ── hosts ──

    def introducer(self, name: str, *, known: Iterable[str] = (), skew: float = 0.0, **config: Any) -> Host:
        """Add an introducer, which announces itself."""
        host = self._host(name, known, skew, introducer=True, **config)
        host.do(Publish(Kind.ANNOUNCEMENT, self.own_announcement(host)))
        return host

    def own_announcement(self, host: Host, sequence: int = 1, grid: GridId = GRID) -> bytes:
        """What an introducer says of itself."""
        number = len(self.hosts)
        address = f"tcp:10.{number // 250}.{number % 250}.1:4000"
        until = int(self.now) + 7 * DAY
        return announced(host.name, sequence, (), INTRODUCER, grid, until, (address,))

    def subscriber(self, name: str, *, known: Iterable[str], asks: Iterable[Subscription] = (), **config: Any) -> Host:
        """Add a subscriber."""
        host = self._host(name, known, 0.0, introducer=False, **{"outbound": 3, **config})
        host.do(Ask(tuple(asks)))
        return host

    def _host(self, name: str, known: Iterable[str], skew: float, **config: Any) -> Host:
        configured = tuple(Contact(pin(one), ("tcp:192.0.2.1:4000",)) for one in known)
        usual: dict[str, Any] = {
            "grids": frozenset((GRID,)), "server": pin(name), "configured": configured, "bounds": self.bounds
        }  # fmt: skip
        full = Config(**usual | config)
        machine = Machine(full, random.Random(self.rng.random()).random, self.now + skew, self.reader)
        return self.add(name, machine, skew)

    def add(self, name: str, machine: Steps, skew: float = 0.0) -> Host:
        """Add a host that runs something."""
        host = Host(self, name, machine, skew)
        self.hosts[host.pin] = host
        host.wake()
        return host

    def stop(self, host: Host) -> None:
        """Have a host be gone, from one moment to the next."""
        for peer in list(host.wires):
            self._close(*host.wires[peer])
        host.up = False

    def cut(self, wire: Wire, end: int) -> None:
        """Break a connection: both ends hear of it."""
        self._close(wire, end)
        wire.ends[end].do(Closed(wire.peers[end]))

    def part(self, sides: Callable[[Host], int]) -> None:
        """Part the network: hosts of different sides do not reach each other, and lose their connections."""
        for host in self.hosts.values():
            host.side = sides(host)
        for host in self.hosts.values():
            for wire, end in list(host.wires.values()):
                if wire.ends[0].side != wire.ends[1].side:
                    self.cut(wire, end)

    def introducers(self) -> list[Host]:
        """All introducers that are up and play by the rules."""
        return [
            host
            for host in self.hosts.values()
            if host.up and isinstance(host.machine, Machine) and host.machine.introducer
        ]

    # ── the network ──

    def perform(self, host: Host, effect: Effect) -> None:
        """Do what a machine has said."""
        match effect:
            case Send():
                self._send(host, effect)
            case Dial():
                self._dial(host, effect.contact.server)
            case HangUp():
                self.hung_up[effect.why.partition(":")[0]] += 1
                self.faults += effect.fault
                wire = host.wires.get(effect.peer)
                if wire is not None:
                    self._close(*wire)
            case _:
                host.effects.append(effect)

    def _dial(self, host: Host, server: SpkiPin) -> None:
        latency = self.rng.uniform(*LATENCY)
        other = self.hosts.get(server)
        if other is None or not other.up or other.side != host.side:
            self.at(self.now + 1 + 20 * latency, host.do, Failed(server))
            return
        self.at(self.now + latency, self._connect, host, other, latency)

    def _connect(self, host: Host, other: Host, latency: float) -> None:
        if not host.up or not other.up or host.side != other.side:
            self.at(self.now + 1, host.do, Failed(other.pin))
            return
        self._peers += 2
        wire = Wire((host, other), (Peer(self._peers), Peer(self._peers + 1)), latency)
        host.wires[wire.peers[0]] = wire, 0
        other.wires[wire.peers[1]] = wire, 1
        wire.arrived = [self.now + latency, self.now]
        self.at(self.now + latency, self._open, wire)
        other.do(Connected(wire.peers[1], None, False))

    def _open(self, wire: Wire) -> None:
        host, other = wire.ends
        if wire.peers[0] in host.wires:
            host.do(Connected(wire.peers[0], other.pin, True))

    def _send(self, host: Host, effect: Send) -> None:
        found = host.wires.get(effect.peer)
        data = host.says(effect.data)
        if found is None or data is None:
            return
        wire, end = found
        at = data.find(b"dtype") + 5
        kind = data[at + 1 : at + 1 + (data[at] & 31)].decode()
        self.messages[kind] += 1
        self.bytes[kind] += len(data)
        self.trace.update(f"{self.now} {wire.peers[end]} ".encode() + data)
        arrives = max(wire.arrived[1 - end], self.now + wire.latency)
        wire.arrived[1 - end] = arrives
        self.at(arrives, self._arrive, wire, 1 - end, data)

    def _arrive(self, wire: Wire, end: int, data: bytes) -> None:
        host = wire.ends[end]
        if wire.peers[end] in host.wires:
            host.do(Received(wire.peers[end], data))

    def _close(self, wire: Wire, end: int) -> None:
        """One end is closed now, and the other hears of it."""
        wire.ends[end].wires.pop(wire.peers[end], None)
        if wire.open:
            wire.open = False
            self.at(max(self.now + wire.latency, wire.arrived[1 - end]), self._closed, wire, 1 - end)

    def _closed(self, wire: Wire, end: int) -> None:
        host = wire.ends[end]
        if host.wires.pop(wire.peers[end], None) is not None:
            host.do(Closed(wire.peers[end]))
