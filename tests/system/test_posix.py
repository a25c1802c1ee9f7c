"""A mount beside ext4: what every program may ask of a file system comes out the same, but for what is told."""

import grp
import os
import random
import stat
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import pytest

from tests.system.disks import ext4
from tests.system.fsx import exercise
from tests.system.mounts import Host, Mount, host, mount
from tests.system.people import Doing, People, people
from tests.system.posix import attributes, content, lists, naming, opening
from tests.system.posix.differences import KNOWN
from tests.system.posix.differing import Case, Cast, Difference, differs, outcome
from tests.system.posix.sequences import search
from tests.system.posix.words import GROUPS, ROOT, Caller, entries

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
        return [one for doing in at_work for one in self.host.result(doing)]

    def _part(self, cases: list[Case], first: int) -> list[Difference]:
        tried = (self._tried(cases[number], number) for number in range(first, len(cases), _AT_ONCE))
        return [difference for difference in tried if difference is not None]

    def _tried(self, case: Case, number: int) -> Difference | None:
        name = f"{case.title[:20].replace('/', ' ')} {number}"
        return differs(self.tried / name, self.right / name, case, self.cast)


@pytest.fixture(scope="module")
def right() -> Iterator[Path]:
    """Where everybody has a way to."""
    with tempfile.TemporaryDirectory(prefix="hold-") as directory:
        Path(directory).chmod(0o755)
        with ext4(Path(directory), 1024, "-b 4096 -I 256", "loop,nosuid,nodev") as mounted:
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
    groups = {name: grp.getgrnam(made.group(name)).gr_gid for name in GROUPS}
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
    "about", [opening, naming, attributes, content, lists], ids=lambda about: about.__name__.split(".")[-1]
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


class Seen(NamedTuple):
    """An object of a tree."""

    what: tuple[object, ...]
    modified: int
    changed: int


def _raise(error: OSError) -> None:
    raise error


def everything(top: Path) -> dict[Path, Seen]:
    """All that a tree is."""
    found: dict[Path, Seen] = {}
    for directory, names, files in os.walk(top, onerror=_raise):
        for path in [Path(directory), *[Path(directory) / name for name in names + files]]:
            status = path.lstat()
            shown = (status.st_ino, status.st_mode, status.st_uid, status.st_gid, status.st_nlink, status.st_size)
            attributes_here = sorted(os.listxattr(path, follow_symlinks=False))
            content_here = path.read_bytes() if stat.S_ISREG(status.st_mode) and status.st_size < 1 << 20 else None
            what = (*shown, attributes_here, content_here)
            found[path] = Seen(what, status.st_mtime_ns, status.st_ctime_ns)
    return found


def test_what_was_done_is_so_when_it_is_mounted_again(stage: Stage, mounted: Mount) -> None:
    """What the kernel had in memory only is what the tree has."""
    cases = [case for about in (attributes, naming, content, lists) for case in about.cases()][::9]
    stage = stage._replace(tried=stage.tried / "again", right=stage.right / "again")
    stage.host.do(stage.tried.mkdir)
    stage.host.do(stage.right.mkdir)
    assert not stage.differences(cases)
    before = stage.host.do(lambda: everything(stage.tried))
    assert mounted.stop() == 0
    mounted.start()
    after = stage.host.do(lambda: everything(stage.tried))
    assert len(after) == len(before) > 1000
    for path, was in before.items():
        found = after[path]
        assert found == was, path


def test_what_is_done_later_is_not_older(stage: Stage) -> None:
    """Names are made by the agent, contents are written by the kernel: two clocks that have to be one."""

    def order() -> list[int]:
        top = stage.tried / "order"
        top.mkdir()
        times = []
        with open(top / "written", "wb", buffering=0) as file:
            for number in range(200):
                (top / f"{number}").mkdir()
                file.write(b"x")
                times += [(top / f"{number}").lstat().st_mtime_ns, os.fstat(file.fileno()).st_mtime_ns]
        return times

    times = stage.host.do(order)
    assert times == sorted(times)


def test_setfacl_and_getfacl_find_what_they_know(stage: Stage) -> None:
    """Also a default for what is made later, and a copy that keeps lists."""
    alice, bob = stage.host.alice, stage.host.bob
    script = """
      mkdir acls; cd acls; mkdir d; echo text >f; chmod 600 f
      setfacl -m "u:$1:r" f; setfacl -d -m "u:$1:rwx" -m "o::-" d; setfacl -m "u:$1:rwx" d
      echo more >d/g; mkdir d/e; cp -a d copy; setfacl -x "u:$1" copy; setfacl -b copy/g; chmod 640 f
      getfacl f d d/g d/e copy copy/g copy/e
    """
    places = [stage.tried, stage.right]
    for place in places:
        stage.host.do(partial(os.chmod, place, 0o777))
    said = [alice.run("sh", "-euc", script, "sh", bob.person.name, cwd=place) for place in places]
    assert said[0] == said[1] and f"user:{bob.person.name}:rwx".encode() in said[0]
    assert [bob.run("cat", "acls/f", "acls/d/g", cwd=place) for place in places] == [b"text\nmore\n"] * 2


def test_a_place_in_a_listing_is_good_while_names_come_and_go(stage: Stage) -> None:
    def read() -> tuple[list[bytes], list[bytes], list[bytes]]:
        top = stage.tried / "many"
        top.mkdir()
        for number in range(500):
            (top / f"stays-{number}").touch()
        fd = os.open(top, os.O_RDONLY | os.O_DIRECTORY)
        first = entries(fd, 4096)
        for entry in first[2::2]:
            (top / os.fsdecode(entry.name)).unlink()
        (top / "comes").touch()
        rest = []
        while more := entries(fd, 4096):
            rest += more
        os.lseek(fd, first[-1].position, os.SEEK_SET)
        again = []
        while more := entries(fd, 4096):
            again += more
        os.lseek(fd, 0, os.SEEK_SET)
        anew = []
        while more := entries(fd, 4096):
            anew += more
        os.close(fd)
        assert sorted(entry.name for entry in anew) == sorted([*os.listdir(os.fsencode(top)), b".", b".."])
        return [[entry.name for entry in part if entry.name != b"comes"] for part in (first, rest, again)]  # type: ignore[return-value]

    first, rest, again = stage.host.do(read)
    assert rest == again and len(first) + len(rest) == 502
    assert len({*first, *rest}) == 502


@pytest.mark.soak
def test_a_file_is_what_was_done_to_it_for_minutes(stage: Stage, mounted: Mount) -> None:
    alice = stage.host.alice
    spot = mounted.spot(alice, "fsx")

    def work(seed: int) -> None:
        stop = time.monotonic() + 600
        while time.monotonic() < stop:
            exercise(spot / f"{seed}", seed, 20_000)
            (spot / f"{seed}").unlink()
            seed += 1000

    at_work = [alice.start(partial(work, seed)) for seed in range(4)]
    for doing in at_work:
        stage.host.result(doing, 900)
