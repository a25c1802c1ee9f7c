"""Meshes of introducers in a simulated network: they converge, and what that costs does not run away."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from commonhold.gossip.reading import Reader
from commonhold.gossip.values import Contradicted, Learned
from tests.gossip.baddays import ASKS, DAYS, Day, everything, lies, partition
from tests.gossip.scenarios import Figures, agree, knows_all, measured, mesh, publish, time_to_all
from tests.gossip.statements import DAY, announced
from tests.gossip.world import World

ROOT = Path(__file__).parent.parent.parent


def test_a_mesh_grows_from_one_address_and_what_is_announced_reaches_who_asked() -> None:
    world = World(7)
    mesh(world, 12)
    server = world.subscriber("server", known=("i3",))
    client = world.subscriber("client", known=("i9",), asks=ASKS)
    world.run(10)
    found = publish(world, server, announced("server", until=int(world.now) + DAY))
    assert time_to_all(world, found) < 5
    world.run(3)
    learned = [effect.record.id for effect in client.effects if isinstance(effect, Learned)]
    assert found in learned and client.has(found)
    assert not world.faults


def test_with_signatures_that_everybody_verifies_it_is_the_same() -> None:
    def run(shared: bool) -> tuple[str, int]:
        world = World(3)
        if not shared:
            world.reader = _Forgetful()
        mesh(world, 8)
        return world.trace.hexdigest(), world.messages.total()

    assert run(True) == run(False)


class _Forgetful(Reader):
    """A reader that verifies everything each time."""

    def __init__(self) -> None:
        super().__init__(0)


_TRACE = """
from tests.gossip.scenarios import mesh
from tests.gossip.world import World
world = World(5)
mesh(world, 12, skew=50)
world.stop(world.introducers()[4])
world.run(600)
print(world.trace.hexdigest(), world.messages.total())
"""


def test_the_same_seed_gives_the_same_run_to_the_byte() -> None:
    def run(hashes: str) -> str:
        environment = os.environ | {"PYTHONHASHSEED": hashes}
        words = [sys.executable, "-c", _TRACE]
        return subprocess.run(words, cwd=ROOT, env=environment, check=True, capture_output=True, text=True).stdout

    assert run("1") == run("2") != ""


@pytest.mark.slow
def test_what_an_announcement_costs_grows_no_faster_than_n_log_n() -> None:
    found: list[Figures] = [measured(1, size, 10) for size in (10, 30, 100)]
    for figures in found:
        assert figures.growth < 4 and figures.messages < 14 * figures.size
        assert figures.worst < 5 and figures.idle < 15
    assert found[0].growth > found[1].growth > found[2].growth


def test_halves_that_were_parted_agree_soon_after_they_meet() -> None:
    assert partition(1, 20).converged < 120


def test_liars_are_left_and_all_others_agree() -> None:
    assert lies(1, 20).converged < 30


def test_a_newcomer_after_quiet_hours_learns_all_there_is() -> None:
    world = World(9)
    mesh(world, 10)
    for number in range(40):
        publish(world, world.introducers()[number % 10], announced(f"s{number}", until=int(world.now) + 7 * DAY))
    world.run(4 * 3600)
    late = world.introducer("late", known=("i5",))
    client = world.subscriber("client", known=("i7",), asks=ASKS)
    world.run(15)
    assert len(client.gossip.matching()) == 51
    assert len(late.gossip) == 51 and agree(world) and knows_all(world, 51)
    assert not any(isinstance(effect, Contradicted) for effect in late.effects)


def test_of_introducers_that_hide_nothing_nobody_is_named() -> None:
    world = World(11)
    mesh(world, 12, skew=100)
    client = world.subscriber("client", known=("i2",), asks=ASKS)
    for minute in range(60):
        if minute % 3 == 0:
            host = world.rng.choice(world.introducers())
            publish(world, host, announced(f"s{minute}", until=int(world.now) + 1500))
        if minute % 10 == 5:
            world.stop(world.rng.choice(world.introducers()))
        world.run(60)
        assert client.gossip.findings(world.now) == []
    assert sum(record.purpose != "introducer" for record in client.gossip.matching()) == 9


@pytest.mark.slow
@pytest.mark.parametrize("day", [*DAYS, everything], ids=lambda day: day.__name__)
def test_after_a_bad_day_all_agree(day: Callable[[int, int], Day]) -> None:
    """Fifty introducers in `make soak`, thirty otherwise."""
    assert day(2, 50 if os.environ.get("HOLD_SOAK") else 30).converged < 600
