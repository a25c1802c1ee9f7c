"""Benchmarks of the `hold` command against yardsticks on the same machine: see README.md beside this file.

A parts list: reads the words, makes the stage, runs the rows asked for, prints the table, takes the stage away.
"""

import argparse
import contextlib
import datetime
import os
import resource
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from types import FrameType
from typing import NoReturn

import agent_rows
import file_rows
import grid_rows
import machine
import memory_rows
import node_rows
import report
import share_rows
import start_rows
import storage_rows
import transport_rows
import tree_rows
import yardsticks
from measuring import Failed
from report import Line
from stage import SCALES, Stage

_HERE = Path(__file__).resolve().parent
_ALL = frozenset(range(1, 28))
_MOUNT = frozenset(range(14, 22))


def _rows(text: str) -> frozenset[int]:
    """Parse `1,3,7`."""
    rows = frozenset(int(word) for word in text.split(","))
    if not rows <= _ALL:
        raise argparse.ArgumentTypeError("rows are 1 to 27")
    return rows


def _count(text: str) -> int:
    count = int(text)
    if count < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return count


def _arguments() -> argparse.Namespace:
    beside = Path(sys.executable).with_name("hold")
    usual = beside if beside.exists() else _HERE.parent / ".venv" / "bin" / "hold"
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=_rows, default=_ALL, metavar="N,N…", help="which rows (default: all)")
    parser.add_argument("--runs", type=_count, default=3, metavar="N", help="runs of each, interleaved (default: 3)")
    parser.add_argument("--scale", choices=sorted(SCALES), default="full", help="small only tries the harness")
    parser.add_argument("--cores", type=_count, metavar="N", help="pin everything to N cores")
    parser.add_argument("--dir", type=Path, default=_HERE.parent.parent, help="where the temporary directory goes")
    parser.add_argument("--hold", type=Path, default=usual, help="the command under test (default: the venv's)")
    parser.add_argument("--write", action="store_true", help="append the report to benchmarks/README.md")
    return parser.parse_args()


def _measure(stage: Stage, rows: frozenset[int]) -> list[Line]:
    """Measure every row asked for, in groups that share their sources; lines in order of the rows."""
    lines: list[Line] = []
    wanted = rows | {2} if memory_rows.ROWS & rows else rows
    if tree_rows.ROWS & rows:  # before anything is removed: see Stage.retire
        lines += tree_rows.measure(stage, rows)
    if file_rows.ROWS & wanted:
        lines += file_rows.measure(stage, wanted)
    if node_rows.ROWS & rows:
        lines += node_rows.measure(stage, rows)
    if agent_rows.ROWS & rows:
        lines += agent_rows.measure(stage, rows)
    if start_rows.ROWS & rows:
        lines += start_rows.measure(stage, rows)
    if share_rows.ROWS & rows:
        lines += share_rows.measure(stage)
    if memory_rows.ROWS & rows:
        lines += memory_rows.measure(stage)
    if storage_rows.ROWS & rows:
        lines += storage_rows.measure(stage)
    if grid_rows.ROWS & rows:
        lines += grid_rows.measure(stage, rows)
    if _MOUNT & rows:
        lines += _measure_mount(stage, rows)
    if transport_rows.ROWS & rows:
        lines += transport_rows.measure(stage, rows)
    return sorted((line for line in lines if line.row in rows), key=lambda line: line.row)


def _measure_mount(stage: Stage, rows: frozenset[int]) -> list[Line]:
    if os.geteuid() != 0:
        return [Line(row, "the mount", "needs root") for row in _MOUNT & rows]
    sys.path.append(str(_HERE.parent))  # the rig that makes users, and what serves them, is the tests'
    import mount_rows

    return mount_rows.measure(stage, rows)


def _bench(args: argparse.Namespace, directory: Path) -> str:
    """Run it all in an empty directory; the report."""
    scale = SCALES[args.scale]
    print(machine.require_space(directory, scale.space), file=sys.stderr)
    stage = Stage(directory, args.hold.absolute(), scale, args.runs, machine.ensure_tools(yardsticks.PACKAGES))
    stage.prepare(stage.version())
    version = stage.last_line()
    described = machine.describe(directory)  # before our own load
    lines = _measure(stage, args.rows)
    caches = "dropped" if machine.can_drop() else "only the data's own, as this was not run by root"
    floor = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    return (
        f"### {today}, `{version}`, scale {scale.name}, {args.runs} runs\n\n"
        f"{described}. Cold: caches {caches}. Peaks below {floor} MiB are the harness's own.\n\n"
        f"{report.table(lines, judged=scale.name == 'full')}"
    )


def _remove(directory: Path) -> None:
    """Remove a tree, also while somebody else is removing it."""
    while directory.exists():
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(directory)


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def main() -> int:
    """Run the benchmarks; the exit code."""
    args = _arguments()
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGHUP, _interrupt)
    directory: Path | None = None
    try:
        if args.cores:
            machine.use_cores(args.cores)
        if not os.access(args.hold, os.X_OK):
            raise Failed(f"{args.hold}: no such command; install the project, or say --hold")
        directory = Path(tempfile.mkdtemp(prefix="commonhold-bench-", dir=args.dir))
        text = _bench(args, directory)
    except (Failed, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    finally:
        if directory is not None:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second ^C must not leave gigabytes behind
            _remove(directory)
    print(text, end="")
    if args.write:
        report.append(_HERE / "README.md", text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
