"""Rows 9 to 11: the same work through a node as without one, block reads in batches, and daemons with nothing to do."""

import json
import statistics
import time
from pathlib import Path

import pairs
import sources
from measuring import Failed
from pairs import Way
from report import Line
from stage import Stage

ROWS = frozenset({9, 10, 11})

_FILE_SIZE = 4096
_READS = 200_000
_IDLE_SECONDS = 5.0


def measure(stage: Stage, rows: frozenset[int]) -> list[Line]:
    """Measure the rows asked for; the lines of the table."""
    lines: list[Line] = []
    if 9 in rows:
        node = Way("node", before="up", after="down")
        lines += pairs.measure(stage, 9, node, Way("embedded"), "{} through a node", 0.75)
    if {10, 11} & rows:
        lines += _serving(stage)
    return lines


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
