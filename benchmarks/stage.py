"""The stage: a temporary directory in which commands are measured, one after another, and their results compared."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import measuring
from measuring import Failed, Ledger, Sample

Step = Callable[[], None]
T = TypeVar("T")

GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is measured. Bytes, files, blocks."""

    name: str
    file_size: int
    quarter_size: int
    tree_files: int
    blocks: int

    @property
    def space(self) -> int:
        """Disk space needed: the sources, a store, and what one yardstick or `get` writes beside it; with room."""
        return 6 * self.file_size + GIB


SCALES = {
    "full": Scale("full", 4 * GIB, GIB, 20_000, 1_000_000),
    "small": Scale("small", 64 << 20, 16 << 20, 2_000, 20_000),
}


class Stage:
    """Where everything happens. `tools` are the yardsticks' commands that are installed."""

    def __init__(self, directory: Path, hold: Path, scale: Scale, runs: int, tools: set[str]) -> None:
        self.directory = directory
        self.scale = scale
        self.runs = runs
        self.tools = tools
        self.ledger = Ledger()
        self._hold = str(hold)
        self._retired = 0
        home = directory / "home"
        home.mkdir()
        self._env = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(home),
            "LANG": "C.UTF-8",
            "RESTIC_PASSWORD": "benchmark",
            "BORG_BASE_DIR": str(home),
            "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes",
        }

    # ── commands ──

    def prepare(self, argv: list[str], out: Path | None = None) -> Sample:
        """Run a command whose time does not count, after all that is under way has reached the disk."""
        os.sync()
        words = self.directory / "stdout"
        return measuring.run(argv, self._env, out or words, self.directory / "stderr")

    def measure(self, name: str, argv: list[str], out: Path | None = None) -> Sample:
        """Run a command and note what it took."""
        sample = self.prepare(argv, out)
        self.note(name, sample)
        return sample

    def note(self, name: str, sample: Sample) -> None:
        """Note what something took."""
        self.ledger.note(name, sample)
        print(
            f"  {name}: {sample.seconds:.3f} s, {sample.cpu:.2f} s of CPU, {sample.peak / 2**20:.0f} MiB",
            file=sys.stderr,
        )

    def last_line(self) -> str:
        """The last line that the last command wrote to standard output."""
        lines = (self.directory / "stdout").read_text().splitlines()
        if not lines:
            raise Failed("a command that should have named a CID wrote nothing")
        return lines[-1]

    def hold(self, repository: Path, *words: str) -> list[str]:
        """The command line of a `hold` command."""
        return [self._hold, "--repo", str(repository), *words]

    def version(self) -> list[str]:
        """The command line of `hold version`."""
        return [self._hold, "version"]

    def fresh(self, name: str) -> Path:
        """Make an empty repository."""
        repository = self.directory / name
        self.clear(repository)
        self.prepare(self.hold(repository, "init"))
        return repository

    # ── files ──

    def clear(self, *paths: Path) -> None:
        """Remove files and trees, if they are there."""
        for path in paths:
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)

    def retire(self, *paths: Path) -> None:
        """Put trees of many files out of the way; they are removed with everything else at the end.

        ext4 without a journal passes over inodes freed in the last minutes one by one (recently_deleted() in its
        ialloc.c): removing a tree makes whoever creates files next many times slower.
        """
        for path in paths:
            self._retired += 1
            path.rename(self.directory / f"retired-{self._retired}")

    def verify(self, got: Path, source: Path) -> None:
        """Failed unless two files, or two trees, are the same."""
        tool = ["diff", "-r"] if source.is_dir() else ["cmp"]
        result = subprocess.run([*tool, str(got), str(source)], capture_output=True, text=True, check=False)
        if result.returncode != 0:
            raise Failed(f"{got} is not what was added: {(result.stdout + result.stderr)[:500]}")


def in_turn(steps: list[T], run: int) -> list[T]:
    """Return the steps, backwards in every other run: neighbours stay neighbours, and each goes first in turn."""
    return steps[::-1] if run % 2 else steps
