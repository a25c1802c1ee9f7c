"""A mount beside ext4: what every program may ask of a file system comes out the same, but for what is told."""

import grp
import os
import random
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import pytest

from tests.system.disks import ext4
from tests.system.mounts import Host, Mount, host, mount
from tests.system.people import Doing, People, people
from tests.system.posix import attributes, content, naming, opening
from tests.system.posix.differences import KNOWN
from tests.system.posix.differing import Case, Cast, Difference, compare, outcome
from tests.system.posix.sequences import search
from tests.system.posix.words import ROOT, Caller

pytestmark = [
    pytest.mark.root,
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount and to make users"),
]
_AT_ONCE = 12  # scripts; each mostly waits for the clock


class Stage(NamedTuple):
    """The two places, and who is there."""

    host: Host
    tried: Path
    right: Path
    cast: Cast

    def differences(self, cases: list[Case]) -> list[Difference]:
        """Do all of them; where they part."""
        at_work = [Doing(self.host.enter, partial(self._part, cases, first)) for first in range(_AT_ONCE)]
        return [one for doing in at_work for one in self.host.result(doing, 60)]

    def _part(self, cases: list[Case], first: int) -> list[Difference]:
        found = []
        for number in range(first, len(cases), _AT_ONCE):
            name = f"{cases[number].title[:20].replace('/', ' ')} {os.getpid()}-{number}"
            difference = compare(self.tried / name, self.right / name, cases[number], self.cast)
            if difference is not None:
                found.append(difference)
        return found


@pytest.fixture(scope="module")
def right(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    directory = tmp_path_factory.mktemp("posix")
    with ext4(directory, 1024, "-b 4096 -I 256", "loop,nosuid,nodev") as mounted:
        yield mounted


@pytest.fixture(scope="module")
def machine(right: Path) -> Iterator[Host]:
    """As `right` is mounted already, it is where this host's users are, too."""
    with host() as one:
        yield one


@pytest.fixture(scope="module")
def mounted(machine: Host) -> Iterator[Mount]:
    with mount(machine) as one:
        yield one
        assert one.errors.read_text() == ""


def cast_of(machine: Host, made: People) -> Cast:
    """Three users: of a group of their own, and two of them of another."""
    groups = {name: grp.getgrnam(made.group(name)).gr_gid for name in ("staff", "crew", "others")}
    uids = {"alice": machine.alice.person.uid, "bob": machine.bob.person.uid, "carol": made.user("carol").uid}
    callers = {
        "root": ROOT,
        "alice": Caller(uids["alice"], groups["staff"], [groups["staff"], groups["crew"]]),
        "bob": Caller(uids["bob"], groups["crew"], [groups["crew"]]),
        "carol": Caller(uids["carol"], groups["others"], [groups["others"]]),
        "stranger": Caller(54321, 54321, []),
        "nobody": Caller(65534, 65534, []),
    }
    return Cast(callers, {"root": 0} | uids | groups)


@pytest.fixture(scope="module")
def stage(machine: Host, mounted: Mount, right: Path) -> Iterator[Stage]:
    with people() as made:
        tried = mounted.spot(machine.alice, "posix")
        yield Stage(machine, tried, right, cast_of(machine, made))


@pytest.mark.parametrize(
    "about", [opening, naming, attributes, content], ids=lambda about: about.__name__.split(".")[-1]
)
def test_what_programs_ask_comes_out_as_on_ext4(stage: Stage, about: ModuleType) -> None:
    cases = list(about.cases())
    assert len({case.title for case in cases}) == len(cases)
    found = stage.differences(cases)
    assert not found, f"{len(found)} of {len(cases)}:\n" + "\n".join(str(x)[:3000] for x in found)


def test_where_it_is_not_ext4_it_differs_as_is_told(stage: Stage) -> None:
    def told() -> list[tuple[str, object, object]]:
        found = []
        for number, known in enumerate(KNOWN):
            here, right = (
                outcome(top / f"known {number}", known.script, stage.cast) for top in (stage.tried, stage.right)
            )
            found.append((known.why, here, right))
        return found

    assert stage.host.do(told) == [(known.why, known.here, known.right) for known in KNOWN]


def at_random(stage: Stage, first: int, each: int, seconds: float) -> None:
    """Several scripts at once, each process with its own."""
    at_work = [
        Doing(stage.host.enter, partial(search, stage.tried, stage.right, stage.cast, start, each))
        for start in range(first, first + _AT_ONCE)
    ]
    for doing in at_work:
        stage.host.result(doing, seconds)


def test_whatever_users_do_in_any_order_comes_out_as_on_ext4(stage: Stage) -> None:
    at_random(stage, 0, 30, 120)


@pytest.mark.soak
def test_whatever_they_do_for_minutes_does_too(stage: Stage) -> None:
    stop = time.monotonic() + 600
    first = random.randrange(1 << 30)
    while time.monotonic() < stop:
        at_random(stage, first, 100, 600)
        first += _AT_ONCE
