"""Rows 18 to 21: names through the mount, many clients at once, and the memory of who serves them."""

import functools
import statistics
from pathlib import Path

import machine
import mount_work
from mounted import BINDFS, EXT4, OURS, Mounted, Place, comparing
from report import Line, rated, thousands
from stage import Stage, in_turn

ROWS = frozenset({18, 19, 20, 21})

_OTHERS = (EXT4, BINDFS)
_AT_ONCE = 4
_CLIENTS, _SECONDS = 100, 5.0
_C_FILES = 60


def measure(stage: Stage, rows: frozenset[int], mounted: Mounted) -> list[Line]:
    """Measure the rows asked for; the lines of the table."""
    lines: list[Line] = []
    before = mounted.memory()
    if {18, 19} & rows:
        lines += _files(stage, mounted)
    if 20 in rows:
        lines += _programs(stage, mounted)
    if 21 in rows:
        lines += _crowd(stage, mounted, before)
    return lines


# ── rows 18, 19 ──


def _files(stage: Stage, mounted: Mounted) -> list[Line]:
    count = stage.scale.tree_files // _AT_ONCE
    for number in range(stage.runs):
        for place in in_turn(mounted.places, number):
            for clients in (1, _AT_ONCE):
                directories = [place.directory / f"run-{number}-{clients}-{client}" for client in range(clients)]
                work = [functools.partial(mount_work.create, directory, count) for directory in directories]
                mounted.note(f"create, {clients}, {place.name}", mounted.at_once(work))
        for place in in_turn(mounted.places, number):
            directories = [place.directory / f"run-{number}-{_AT_ONCE}-{client}" for client in range(_AT_ONCE)]
            machine.forget_names()
            work = [functools.partial(mount_work.stat, directory, count) for directory in directories]
            mounted.note(f"stat, {place.name}", mounted.at_once(work))
    return _file_lines(stage, count)


def _file_lines(stage: Stage, count: int) -> list[Line]:
    lines = []
    for clients, said in ((1, "one client"), (_AT_ONCE, f"{_AT_ONCE} clients")):
        work, what = thousands(count * clients, "files"), f"create, write and close of 1 KiB, {said}"
        ours = f"create, {clients}, {OURS}"
        lines.append(rated(18, what, stage.ledger.seconds(ours), work, 3.0))
        lines += [comparing(stage, work, 18, what, ours, f"create, {clients}, {other}") for other in _OTHERS]
    work, what, ours = thousands(count * _AT_ONCE, "files"), f"cold stat, {_AT_ONCE} clients", f"stat, {OURS}"
    lines.append(rated(19, what, stage.ledger.seconds(ours), work, 30.0))
    return lines + [comparing(stage, work, 19, what, ours, f"stat, {other}") for other in _OTHERS]


# ── row 20 ──


def _programs(stage: Stage, mounted: Mounted) -> list[Line]:
    files = stage.scale.tree_files * 5 // 2
    for place in mounted.places:
        mounted.do(functools.partial(mount_work.make_project, place.directory / "project", files, _C_FILES))
        for words in (("git", "init", "-q"), ("git", "add", "-A"), ("git", "status")):
            mounted.run(None, *words, cwd=place.directory / "project")
    archive = mounted.user.directory / "project.tar"
    mounted.run(None, "tar", "cf", str(archive), "--exclude", ".git", "project", cwd=mounted.places[0].directory)
    for number in range(stage.runs):
        for place in in_turn(mounted.places, number):
            _one_run(mounted, place, archive, number)
    return _program_lines(stage, files)


def _one_run(mounted: Mounted, place: Place, archive: Path, number: int) -> None:
    project = place.directory / "project"
    mounted.run(None, "git", "status", cwd=project)
    mounted.run(f"git status, {place.name}", "git", "status", cwd=project)
    machine.chill([])
    mounted.run(f"ls -lR, {place.name}", "ls", "-lR", cwd=project)
    mounted.run(f"make -j4, {place.name}", "make", "-s", "-j4", "-C", "c", cwd=project)
    mounted.run(None, "make", "-s", "-C", "c", "clean", cwd=project)
    out = place.directory / f"out-{number}"
    mounted.do(out.mkdir)
    mounted.run(f"tar x, {place.name}", "tar", "xf", str(archive), cwd=out)


def _program_lines(stage: Stage, files: int) -> list[Line]:
    lines = []
    compiled, all_files = thousands(_C_FILES, "files"), thousands(files, "files")
    for what, program, work, at_least in (
        (f"git status of {files} files, warm", "git status", all_files, 0.333),
        (f"ls -lR of {files} files, cold", "ls -lR", all_files, None),
        (f"make -j4 of {_C_FILES} files of C", "make -j4", compiled, None),
        (f"tar x of {files} files", "tar x", all_files, None),
    ):
        for other in _OTHERS:
            target = at_least if other == EXT4 else None
            lines.append(comparing(stage, work, 20, what, f"{program}, {OURS}", f"{program}, {other}", target))
    return lines


# ── row 21 ──


def _crowd(stage: Stage, mounted: Mounted, before: dict[str, int]) -> list[Line]:
    memory: list[dict[str, int]] = []
    found: dict[str, list[list[list[float]]]] = {place.name: [] for place in mounted.places}
    for number in range(stage.runs):
        for place in in_turn(mounted.places, number):
            directories = [place.directory / f"crowd-{number}-{client}" for client in range(_CLIENTS)]
            work = [functools.partial(mount_work.live, directory, _SECONDS) for directory in directories]
            found[place.name].append(mounted.all_at_once(work))
        memory.append(mounted.memory())
    crowds = [_crowd_line(found[OURS], name, found.get(name, [])) for name in _OTHERS]
    return [*crowds, *(_memory_line(name, before[name], [one[name] for one in memory]) for name in before)]


def _memory_line(name: str, before: int, after: list[int]) -> Line:
    """Whether who serves needs more after each run."""
    more = after[-1] / after[0]
    beside = f"after the first: {after[0] >> 20} MiB; before rows 18 to 21: {before >> 20} MiB"
    what = f"memory of the mount's {name} after the last run"
    return Line(21, what, f"{after[-1] >> 20} MiB", beside, f"{more:.2f}", "≤ 1.1", met=more <= 1.1)


def _crowd_line(ours: list[list[list[float]]], name: str, theirs: list[list[list[float]]]) -> Line:
    least = statistics.median(_least(run) for run in ours)
    what = f"{_CLIENTS} clients at once: turns, the least of one to the mean, 99 of 100 within"
    beside = f"{name}: {_said(theirs)}" if theirs else f"{name}: not installed"
    return Line(21, what, _said(ours), beside, f"{least:.2f}", "≥ 0.2", met=least >= 0.2)


def _least(run: list[list[float]]) -> float:
    """Who got the least, beside the mean."""
    counts = [len(client) for client in run]
    return min(counts) / statistics.mean(counts)


def _said(runs: list[list[list[float]]]) -> str:
    turns = statistics.median(sum(map(len, run)) for run in runs) / _SECONDS / 1e3
    least = statistics.median(map(_least, runs))
    late = statistics.median(statistics.quantiles([one for client in run for one in client], n=100)[98] for run in runs)
    return f"{turns:.2f} k/s, {least:.2f}, {late * 1e3:.0f} ms"
