"""The simulated mesh does what every mesh must."""

from collections.abc import Callable, Iterable

import pytest

from commonhold.formats.gossip import Id, Subscription
from commonhold.formats.pin import GridId
from commonhold.formats.statement import Kind
from commonhold.gossip.machine import Machine
from commonhold.gossip.reading import Record
from commonhold.gossip.values import Learned, Publish
from tests.gossip.statements import GRID
from tests.gossip.world import Host, World
from tests.suites.gossip import *  # noqa: F403
from tests.suites.gossip import Grounds


class Simulated:
    """A world, with hosts by name."""

    def __init__(self) -> None:
        self._world = World(11)
        self._hosts: dict[str, Host] = {}

    @property
    def now(self) -> float:
        return self._world.now

    def introducer(self, name: str, known: Iterable[str] = (), grids: Iterable[GridId] = (GRID,)) -> None:
        self._hosts[name] = self._world.introducer(name, known=known, grids=frozenset(grids))

    def subscriber(self, name: str, known: Iterable[str], asks: Iterable[Subscription] = ()) -> None:
        self._hosts[name] = self._world.subscriber(name, known=known, asks=asks)

    def publish(self, name: str, data: bytes, kind: Kind = Kind.ANNOUNCEMENT) -> Id:
        self._hosts[name].do(Publish(kind, data))
        return self._world.reader.read(kind, data).id

    def stop(self, name: str) -> None:
        self._world.stop(self._hosts[name])

    def machine(self, name: str) -> Machine:
        return self._hosts[name].gossip

    def learned(self, name: str) -> list[Record]:
        return [effect.record for effect in self._hosts[name].effects if isinstance(effect, Learned)]

    def until(self, holds: Callable[[], bool]) -> None:
        self._world.run_until(holds, 120, 0.1)

    def wait(self, seconds: float) -> None:
        self._world.run(seconds)


@pytest.fixture
def grounds() -> Grounds:
    return Simulated()
