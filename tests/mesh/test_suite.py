"""The real mesh does what every mesh must: on loopback, by a clock that runs faster than ours."""

import asyncio
from collections.abc import Callable, Iterable, Iterator

import pytest
import uvloop

from commonhold.formats.gossip import Id, Subscription
from commonhold.formats.pin import GridId
from commonhold.formats.statement import Kind
from commonhold.gossip.machine import Machine
from commonhold.gossip.reading import Record
from tests.gossip.statements import GRID
from tests.mesh.meshes import Meshes
from tests.opened import left_open, opened
from tests.suites.gossip import *  # noqa: F403
from tests.suites.gossip import Grounds

PACE, FAST = 25.0, 200.0


class Real:
    """Meshes in a loop that runs while something is waited for."""

    def __init__(self, runner: asyncio.Runner) -> None:
        self._runner = runner
        self._meshes = Meshes(PACE)
        self._ports: dict[str, int] = {}

    @property
    def now(self) -> float:
        return self._meshes.clock.now()

    def introducer(self, name: str, known: Iterable[str] = (), grids: Iterable[GridId] = (GRID,)) -> None:
        async def add() -> None:
            addresses = [self._meshes.nodes[one].address for one in known]
            node = self._meshes.introducer(name, addresses, self._ports.get(name, 0), grids=frozenset(grids))
            self._ports[name] = node.hint.port

        self._runner.run(add())

    def subscriber(self, name: str, known: Iterable[str], asks: Iterable[Subscription] = ()) -> None:
        async def add() -> None:
            self._meshes.subscriber(name, [self._meshes.nodes[one].address for one in known], asks)

        self._runner.run(add())

    def publish(self, name: str, data: bytes, kind: Kind = Kind.ANNOUNCEMENT) -> Id:
        async def put() -> None:
            self._meshes.nodes[name].mesh.publish(kind, data)

        self._runner.run(put())
        return self._meshes.reader.read(kind, data).id

    def stop(self, name: str) -> None:
        self._runner.run(self._meshes.stop(self._meshes.nodes[name]))

    def machine(self, name: str) -> Machine:
        return self._meshes.nodes[name].mesh.machine

    def learned(self, name: str) -> list[Record]:
        return [record for record, _ in self._meshes.nodes[name].learned]

    def until(self, holds: Callable[[], bool]) -> None:
        self._runner.run(self._meshes.until(holds))

    def wait(self, seconds: float) -> None:
        self._meshes.clock.run(FAST)
        self._runner.run(self._meshes.clock.sleep(seconds))
        self._meshes.clock.run(PACE)

    def close(self) -> None:
        self._runner.run(self._meshes.stop_all())


@pytest.fixture
def grounds() -> Iterator[Grounds]:
    before = opened()
    unseen: list[dict[str, object]] = []
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.get_loop().set_exception_handler(lambda loop, context: unseen.append(context))
        made = Real(runner)
        try:
            yield made
        finally:
            made.close()
    assert unseen == [], unseen
    assert left_open(before) == []
