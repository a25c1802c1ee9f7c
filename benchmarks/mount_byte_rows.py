"""Rows 14 to 17: bytes through the mount, beside the same bytes through `hold`, on ext4 and through a C FUSE server."""

import functools
import os
from collections.abc import Callable
from pathlib import Path

import machine
import mount_work
import sources
from mounted import BINDFS, EXT4, OURS, Mounted, Place, comparing
from report import Line, gigabytes, rated, thousands
from stage import Stage, Step, in_turn

ROWS = frozenset({14, 15, 16, 17})

_CAT, _ADD = "hold cat --sealed, cold", "hold add, a file"
_SEEDS, _READS = range(8), 8192
_CACHED, _UNCACHED = (
    32 << 20,
    256 << 20,
)  # a file that an agent's 64 MiB of opened blocks hold, and one that they do not


def measure(stage: Stage, rows: frozenset[int], mounted: Mounted) -> list[Line]:
    """Measure the rows asked for; the lines of the table."""
    lines: list[Line] = []
    if {14, 15, 16} & rows:
        lines += _whole_files(stage, mounted)
    if 17 in rows:
        for size in (_CACHED, min(_UNCACHED, stage.scale.quarter_size)):
            lines += _pages(stage, mounted, size)
    return lines


# ── rows 14 to 16 ──


def _whole_files(stage: Stage, mounted: Mounted) -> list[Line]:
    for number in range(stage.runs):
        run = _Run(stage, mounted)
        adds: list[Step] = [run.add, *run.in_places(run.write)]
        for step in in_turn(adds, number):
            step()
        capability = mounted.hold(None, "add", "-Q", "--sealed", "--name", "sealed", str(run.source))
        reads: list[Step] = [functools.partial(run.cat, capability), *run.in_places(run.read)]
        for step in in_turn(reads, number):
            step()
        run.close()
    return _whole_lines(stage)


class _Run:
    """One run over a new file. What was stored once would not be stored again, so each has bytes of its own."""

    def __init__(self, stage: Stage, mounted: Mounted) -> None:
        self._mounted = mounted
        self.source = stage.directory / "mount.bin"
        sources.make_file(self.source, stage.scale.quarter_size)
        self.source.chmod(0o644)

    def in_places(self, step: Callable[[Place], None]) -> list[Step]:
        """A step in every place."""
        return [functools.partial(step, place) for place in self._mounted.places]

    def add(self) -> None:
        """Durable, plain: its blocks are not those of the tree, which are sealed."""
        machine.warm(self.source)
        self._mounted.hold(_ADD, "add", "-Q", "--name", "plain", str(self.source))

    def write(self, place: Place) -> None:
        """A new file in a place."""
        machine.warm(self.source)
        target = place.directory / "file"
        self._mounted.note(f"write, {place.name}", self._mounted.do(lambda: mount_work.write(self.source, target)))
        self._mounted.run(None, "cmp", str(self.source), str(target))

    def cat(self, capability: str) -> None:
        """The same bytes through the agent's API."""
        machine.chill([])
        self._mounted.run(_CAT, *self._mounted.command("cat", capability), out=Path(os.devnull))

    def read(self, place: Place) -> None:
        """Read it, cold and then warm: the third time, as memory that was never touched is slow."""
        machine.chill([])
        for verb in ("cold", "again", "warm"):
            seconds = self._mounted.do(lambda: mount_work.read(place.directory / "file"))
            self._mounted.note(f"{verb} read, {place.name}", seconds)

    def close(self) -> None:
        """Take the files away."""
        for place in self._mounted.places:
            self._mounted.do((place.directory / "file").unlink)
        self.source.unlink()


def _whole_lines(stage: Stage) -> list[Line]:
    work, size = gigabytes(stage.scale.quarter_size), f"{stage.scale.quarter_size >> 20} MiB"
    beside = functools.partial(comparing, stage, work)
    cold, warm, written = f"cold read of {size}", f"warm read of {size}", f"write of {size} with fsync"
    return [
        rated(14, cold, stage.ledger.seconds(f"cold read, {OURS}"), work, 1.0),
        beside(14, cold, f"cold read, {OURS}", _CAT, 0.5),
        beside(14, cold, f"cold read, {OURS}", f"cold read, {EXT4}"),
        beside(14, cold, f"cold read, {OURS}", f"cold read, {BINDFS}"),
        beside(15, warm, f"warm read, {OURS}", f"warm read, {EXT4}", 0.8),
        beside(15, warm, f"warm read, {OURS}", f"warm read, {BINDFS}"),
        beside(16, written, f"write, {OURS}", _ADD, 0.4),
        beside(16, written, f"write, {OURS}", f"write, {EXT4}"),
        beside(16, written, f"write, {OURS}", f"write, {BINDFS}"),
    ]


# ── row 17 ──


def _pages(stage: Stage, mounted: Mounted, size: int) -> list[Line]:
    source, name = stage.directory / "pages.bin", f"random reads of {size >> 20} MiB"
    sources.make_file(source, size)
    source.chmod(0o644)
    for place in mounted.places:
        mounted.do(functools.partial(mount_work.write, source, place.directory / "pages"))
        mounted.do(functools.partial(mount_work.read, place.directory / "pages"))
    count = _READS if size <= _CACHED else _READS // 8
    for number in range(stage.runs):
        for place in in_turn(mounted.places, number):
            took = mounted.at_once(
                [functools.partial(mount_work.read_pages, place.directory / "pages", seed, count) for seed in _SEEDS]
            )
            mounted.note(f"{name}, {place.name}", took)
    for place in mounted.places:
        mounted.do((place.directory / "pages").unlink)
    source.unlink()
    work = thousands(count * len(_SEEDS), "reads")
    what = f"random reads of 4 KiB of {size >> 20} MiB, {len(_SEEDS)} readers"
    ours = f"{name}, {OURS}"
    beside = functools.partial(comparing, stage, work)
    target = [rated(17, what, stage.ledger.seconds(ours), work, 40.0)] if size <= _CACHED else []
    return [*target, *(beside(17, what, ours, f"{name}, {other}") for other in (EXT4, BINDFS))]
