"""A mount beside its yardsticks: a user's own tree, ext4, and a C FUSE server over ext4, for one user of this machine.

Users, node, agents and mount are made by the tests' rig (`tests.system.mounts`): all of it goes again,
whatever happens.
"""

import contextlib
import functools
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import measuring
from measuring import Failed, Sample
from report import Line, Work, compared
from stage import Stage
from tests.system.mounts import Host, Mount, host, mount

T = TypeVar("T")
OURS, EXT4, BINDFS = "mount", "ext4", "bindfs"
_SECONDS = 900.0  # for anything that is measured
_PASS = 0o001


class Place:
    """A directory of the user's: in their tree, on ext4, or on ext4 through bindfs."""

    def __init__(self, name: str, directory: Path) -> None:
        self.name = name
        self.directory = directory


class Mounted:
    """The user, their places, and the processes that serve the mount."""

    def __init__(self, stage: Stage, machine: Host, serving: Mount, places: list[Place]) -> None:
        self.user = machine.alice
        self.places = places
        self._stage = stage
        self._machine = machine
        self._serving = serving

    def do(self, work: Callable[[], T]) -> T:
        """Do something as the user, where the mount is."""
        return self.user.do(work, _SECONDS)

    def all_at_once(self, work: Sequence[Callable[[float], T]]) -> list[T]:
        """Do several things at once, in processes that are told when to begin; what came of each."""
        start = _soon(len(work))
        doing = [self.user.start(functools.partial(one, start)) for one in work]
        return [self._machine.result(one, _SECONDS) for one in doing]

    def at_once(self, work: Sequence[Callable[[float], float]]) -> float:
        """Do several things at once, each of which says how long it was under way; the longest of that."""
        return max(self.all_at_once(work))

    def note(self, name: str, seconds: float) -> None:
        """Note what something took."""
        self._stage.note(name, Sample(seconds, 0.0, 0))

    def run(self, name: str | None, *words: str, cwd: Path | None = None, out: Path | None = None) -> None:
        """Run a program as the user, where the mount is; note what it took, if it has a name."""
        os.sync()
        argv, directory = self.user.program(*words, cwd=cwd), self._stage.directory
        sample = measuring.run(argv, self.user.environment, out or directory / "stdout", directory / "stderr")
        if name is not None:
            self._stage.note(name, sample)

    @staticmethod
    def command(*words: str) -> list[str]:
        """The command line of a `hold` command: of this interpreter, as users may have no way to another."""
        return [sys.executable, "-m", "tests.cli.hold", *words]

    def hold(self, name: str | None, *words: str) -> str:
        """Give a `hold` command as the user; the last line that it wrote."""
        self.run(name, *self.command(*words))
        return self._stage.last_line()

    def memory(self) -> dict[str, int]:
        """Bytes that the processes of the mount need: their own, and their part of what is shared."""
        return {"worker": _memory(self._serving.worker()), "agent": _memory(self.user.agent)}


def _soon(processes: int) -> float:
    """When so many processes will have been started."""
    return time.monotonic() + 0.3 + 0.01 * processes


def comparing(
    stage: Stage, work: Work, row: int, what: str, ours: str, theirs: str, at_least: float | None = None
) -> Line:
    """Compare two series of the ledger."""
    return compared(row, what, stage.ledger.seconds(ours), theirs, stage.ledger.seconds(theirs), work, at_least)


def _memory(pid: int) -> int:
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return next(int(line.split()[1]) << 10 for line in rollup.splitlines() if line.startswith("Pss:"))


@contextlib.contextmanager
def mounted(stage: Stage) -> Iterator[Mounted]:
    """Make users, start what serves them and mount; all is gone when the block is left."""
    stage.directory.chmod(0o755)
    closed = [path for path in stage.directory.parents if not path.stat().st_mode & _PASS]
    if closed:
        raise Failed(f"{closed[0]}: other users have no way through it; choose another place with --dir")
    before, tempfile.tempdir = tempfile.tempdir, str(stage.directory)
    try:
        with host() as machine, mount(machine) as serving:
            alice = machine.alice
            ext4 = Place(EXT4, alice.directory / "ext4")
            alice.do(ext4.directory.mkdir)
            places = [ext4, Place(OURS, serving.spot(alice, "bench"))]
            with contextlib.ExitStack() as also:
                if BINDFS in stage.tools:
                    places.append(Place(BINDFS, also.enter_context(_bindfs(machine, stage.directory, ext4.directory))))
                yield Mounted(stage, machine, serving, places)
    finally:
        tempfile.tempdir = before


@contextlib.contextmanager
def _bindfs(machine: Host, directory: Path, source: Path) -> Iterator[Path]:
    """Show a directory through bindfs, where the mount is."""
    at, below = directory / "bindfs", source / "bindfs"
    at.mkdir()
    machine.alice.do(below.mkdir)
    words = ["bindfs", "-f", "--multithreaded", str(below), str(at)]
    process = subprocess.Popen([*machine.before, *words], stdin=subprocess.DEVNULL)
    stop = time.monotonic() + 10
    try:
        while not machine.do(lambda: os.path.ismount(at)):
            if process.poll() is not None or time.monotonic() > stop:
                raise Failed("bindfs does not mount")
            time.sleep(0.02)
        yield at
    finally:
        subprocess.run([*machine.before, "umount", "-l", str(at)], check=False)
        process.terminate()
        process.wait()
