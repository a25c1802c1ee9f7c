"""Rows 9 to 11: the same work through a node as without one, block reads in batches, and daemons with nothing to do."""

import contextlib
import functools
import json
import statistics
import time
from pathlib import Path

import machine
import sources
from measuring import Failed
from report import Line, compared, gigabytes, thousand_files
from stage import Stage, Step, in_turn

ROWS = frozenset({9, 10, 11})

_FILE_SIZE = 4096
_READS = 200_000
_IDLE_SECONDS = 5.0
_SHAPES = ("embedded", "node")


class _Run:
    """One run over a source, a file or a tree: a fresh repository of each shape, and what is measured in them."""

    def __init__(self, stage: Stage, what: str, source: Path) -> None:
        self._stage = stage
        self._what = what
        self._source = source
        self._places = {shape: stage.fresh(f"{shape}.hold") for shape in _SHAPES}
        stage.prepare(stage.hold(self._places["node"], "up"))
        self._cids: dict[str, str] = {}

    def add(self, shape: str) -> None:
        """Into the fresh repository."""
        machine.warm(self._source)
        words = ["-r"] if self._source.is_dir() else []
        argv = self._stage.hold(self._places[shape], "add", "--quieter", *words, str(self._source))
        self._stage.measure(named("add", self._what, shape), argv)
        self._cids[shape] = self._stage.last_line()

    def get(self, shape: str) -> None:
        """Write it out where there is nothing, and compare."""
        output = self._stage.directory / f"{shape}.out"
        machine.chill([self._places[shape]])
        argv = self._stage.hold(self._places[shape], "get", self._cids[shape], "-o", str(output))
        self._stage.measure(named("get", self._what, shape), argv)
        self._stage.verify(output, self._source)
        self._stage.retire(output) if output.is_dir() else self._stage.clear(output)

    def close(self) -> None:
        """Stop the node and take the repositories away."""
        self._stage.prepare(self._stage.hold(self._places["node"], "down"))
        self._stage.clear(*self._places.values())


def named(verb: str, what: str, shape: str) -> str:
    """The name of a series."""
    return f"hold {verb}, the {what}, {shape}"


def measure(stage: Stage, rows: frozenset[int]) -> list[Line]:
    """Measure the rows asked for; the lines of the table."""
    lines: list[Line] = []
    if 9 in rows:
        lines += _shapes(stage)
    if {10, 11} & rows:
        lines += _serving(stage)
    return lines


# ── row 9 ──


def _shapes(stage: Stage) -> list[Line]:
    tree, file = stage.directory / "shapes.tree", stage.directory / "shapes.bin"
    sources.make_tree(tree, stage.scale.tree_files, _FILE_SIZE)
    sources.make_file(file, stage.scale.quarter_size)
    for number in range(stage.runs):
        for what, source in (("tree", tree), ("file", file)):
            with contextlib.closing(_Run(stage, what, source)) as run:
                for verb in (run.add, run.get):
                    steps: list[Step] = [functools.partial(verb, shape) for shape in _SHAPES]
                    for step in in_turn(steps, number):
                        step()
    stage.retire(tree)
    stage.clear(file)
    return [_line(stage, verb, what) for what in ("file", "tree") for verb in ("add", "get")]


def _line(stage: Stage, verb: str, what: str) -> Line:
    ours, theirs = (stage.ledger.seconds(named(verb, what, shape)) for shape in ("node", "embedded"))
    scale = stage.scale
    if what == "file":
        work, said = gigabytes(scale.quarter_size), f"{scale.quarter_size >> 20} MiB"
    else:
        work, said = thousand_files(scale.tree_files), f"{scale.tree_files} files of 4 KiB"
    return compared(9, f"{verb} of {said} through a node", ours, "embedded", theirs, work, 0.75)


# ── rows 10, 11 ──


def _serving(stage: Stage) -> list[Line]:
    repository = stage.fresh("serving.hold")
    tree = stage.directory / "serving.tree"
    sources.make_tree(tree, 2000, _FILE_SIZE)
    stage.prepare(stage.hold(repository, "up", "--json"))
    said = json.loads(stage.last_line())
    daemons = {"node": int(said["pid"]), "agent": int(said["agent"])}
    rates = []
    try:
        stage.prepare(stage.hold(repository, "add", "-r", "--quieter", str(tree)))
        python = Path(stage.version()[0]).with_name("python")
        reader = Path(__file__).with_name("block_reads.py")
        for _ in range(stage.runs):
            stage.prepare([str(python), str(reader), str(repository / "node.sock"), str(_READS)])
            rates.append(float(stage.last_line()))
        before = {name: _wakeups(pid) for name, pid in daemons.items()}
        time.sleep(_IDLE_SECONDS)
        idle = [
            line
            for name, pid in daemons.items()
            for line in _idle_lines(name, _wakeups(pid) - before[name], _memory(pid))
        ]
    finally:
        stage.prepare(stage.hold(repository, "down"))
    stage.clear(repository)
    stage.retire(tree)
    rate = statistics.median(rates)
    spread = f"{rate / 1e3:.1f} ({min(rates) / 1e3:.1f}–{max(rates) / 1e3:.1f}) k/s"
    what = "cached 4 KiB blocks over the socket, in batches"
    return [Line(10, what, spread, "", "", "≥ 20 k/s", met=rate >= 20_000), *idle]


def _idle_lines(name: str, woken: int, memory: int) -> list[Line]:
    what = f"wake-ups of an idle {name} in {_IDLE_SECONDS:.0f} s"
    return [
        Line(11, what, str(woken), "", "", "0", met=woken == 0),
        Line(11, f"memory of an idle {name}", f"{memory >> 20} MiB", "", "", "≤ 60 MiB", met=memory <= 60 << 20),
    ]


def _wakeups(pid: int) -> int:
    """How often the threads of a process have run so far."""
    count = 0
    for status in Path(f"/proc/{pid}/task").glob("*/status"):
        fields = dict(line.split(":", 1) for line in status.read_text().splitlines())
        count += int(fields["voluntary_ctxt_switches"]) + int(fields["nonvoluntary_ctxt_switches"])
    if not count:
        raise Failed(f"process {pid} is not there")
    return count


def _memory(pid: int) -> int:
    """Its share of memory, in bytes."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) << 10
    raise Failed(f"process {pid} says nothing of its memory")
