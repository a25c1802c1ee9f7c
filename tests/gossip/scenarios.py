"""Good days in the world: a mesh comes up from one address, and what an announcement costs there."""

import math
from collections import Counter
from typing import NamedTuple

from commonhold.formats.gossip import Id
from commonhold.formats.statement import Kind
from commonhold.gossip.values import Publish
from tests.gossip.statements import DAY, announced
from tests.gossip.world import Host, World

FLOOD = ("have", "want", "records")


def mesh(world: World, size: int, within: float = 30.0, skew: float = 0.0) -> float:
    """Have introducers come up, all but the first knowing the first alone; seconds until each knows of all.

    `skew`: their clocks are off by up to so much.
    """
    begun = world.now
    world.introducer("i0")
    for number in range(1, size):
        off = world.rng.uniform(-skew, skew)
        world.at(world.now + world.rng.uniform(0.5, within), _come, world, f"i{number}", off)
    world.run(within)
    world.run_until(lambda: knows_all(world, size), 1800, 1.0)
    return world.now - begun


def _come(world: World, name: str, skew: float) -> None:
    world.introducer(name, known=("i0",), skew=skew)


def knows_all(world: World, count: int) -> bool:
    """Whether each introducer keeps so many statements."""
    return all(len(host.gossip) >= count for host in world.introducers())


def agree(world: World) -> bool:
    """Whether all introducers keep the same statements."""
    states = {host.gossip.state for host in world.introducers()}
    return len(states) == 1


def publish(world: World, host: Host, data: bytes) -> Id:
    """Have a host announce something."""
    host.do(Publish(Kind.ANNOUNCEMENT, data))
    return world.reader.read(Kind.ANNOUNCEMENT, data).id


def time_to_all(world: World, found: Id, limit: float = 600.0, step: float = 0.1) -> float:
    """Let time pass until every introducer keeps a statement; how long that took."""
    missing = world.introducers()

    def everywhere() -> bool:
        while missing and (not missing[-1].up or missing[-1].has(found)):
            missing.pop()
        return not missing

    return world.run_until(everywhere, limit, step)


class Figures(NamedTuple):
    """What was counted in a mesh of one size."""

    size: int
    formed: float
    messages: float  # for each announcement
    bytes: float
    mean: float  # seconds until it is everywhere
    worst: float
    idle: float  # messages of each introducer in a minute without news
    idle_bytes: float

    @property
    def growth(self) -> float:
        """Messages for each announcement, over n log n."""
        return self.messages / (self.size * math.log2(self.size))


def measured(seed: int, size: int, announcements: int = 20) -> Figures:
    """Form a mesh, let it settle, and have servers announce themselves there one after another."""
    world = World(seed)
    formed = mesh(world, size)
    known = [f"i{world.rng.randrange(size)}" for _ in range(6)]
    servers = [world.subscriber(f"s{number}", known=known) for number in range(5)]
    world.run(600)
    before, bytes_before = Counter(world.messages), Counter(world.bytes)
    world.run(120)
    idle, idle_bytes = world.messages - before, world.bytes - bytes_before

    before, bytes_before, begun = Counter(world.messages), Counter(world.bytes), world.now
    seconds: list[float] = []
    for number in range(announcements):
        server = servers[number % len(servers)]
        data = announced(server.name, 1 + number, until=int(world.now) + 7 * DAY)
        seconds.append(time_to_all(world, publish(world, server, data)))
    world.run(5)
    share = (world.now - begun) / 120
    messages = sum(world.messages[kind] - before[kind] - share * idle[kind] for kind in FLOOD)
    size_of = sum(world.bytes[kind] - bytes_before[kind] - share * idle_bytes[kind] for kind in FLOOD)
    return Figures(
        size, formed, messages / announcements, size_of / announcements, sum(seconds) / len(seconds), max(seconds),
        idle.total() / size / 2, idle_bytes.total() / size / 2,
    )  # fmt: skip
