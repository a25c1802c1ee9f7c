"""Row 25: a storage server that keeps a million shares of a thousand accounts, beside one that keeps a few."""

import json
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from measuring import Failed
from report import Line
from stage import Stage

ROWS = frozenset({25})

_OF_ACCOUNT = 1000
_FEW = 3000
_TRIES = 30
_LIMIT = 80 << 20
_SLOWER = 3.0
_WORK = Path(__file__).with_name("storage_work.py")


def measure(stage: Stage) -> list[Line]:
    """Measure it; the lines of the table."""
    many, memory = _measured(stage, "many.shares", max(_FEW, stage.scale.blocks))
    few, _ = _measured(stage, "few.shares", _FEW)
    return [*_memory_lines(memory, stage.scale.blocks), *(_line(name, many[name], few[name]) for name in many)]


def _measured(stage: Stage, name: str, rows: int) -> tuple[dict[str, list[float]], tuple[int, int]]:
    """Seconds of calls by name; what the server's process had in memory before them and at most, in bytes."""
    directory = stage.directory / name
    directory.mkdir()
    python = str(Path(stage.version()[0]).with_name("python"))
    stage.prepare([python, str(_WORK), "fill", str(directory), str(rows // _OF_ACCOUNT), str(rows)])
    with tempfile.TemporaryDirectory(prefix="hold-") as short, _serving(python, directory, Path(short) / "s") as server:
        before = _status(server.pid, "VmRSS")
        stage.prepare([python, str(_WORK), "call", str(Path(short) / "s"), str(rows), str(_TRIES)])
        most = _status(server.pid, "VmHWM")
    stage.retire(directory)
    found: dict[str, list[float]] = json.loads(stage.last_line())
    return found, (before, most)


@contextmanager
def _serving(python: str, directory: Path, socket: Path) -> Iterator["subprocess.Popen[bytes]"]:
    server = subprocess.Popen([python, str(_WORK), "serve", str(directory), str(socket)])
    try:
        end = time.monotonic() + 30
        while not socket.exists():
            if server.poll() is not None or time.monotonic() > end:
                raise Failed("the storage server does not begin to serve")
            time.sleep(0.05)
        yield server
    finally:
        server.terminate()
        server.wait()


def _status(pid: int, name: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) << 10
    raise Failed(f"process {pid} says nothing of its memory")


def _memory_lines(memory: tuple[int, int], rows: int) -> list[Line]:
    what = f"memory of a storage server, {rows} shares of {rows // _OF_ACCOUNT} accounts"
    return [
        Line(25, f"{what}, {when}", f"{size / 2**20:.0f} MiB", "", "", f"≤ {_LIMIT >> 20} MiB", size <= _LIMIT)
        for when, size in zip(("at its begin", "at most"), memory, strict=True)
    ]


def _line(name: str, many: list[float], few: list[float]) -> Line:
    ours, theirs = (statistics.median(seconds) * 1e3 for seconds in (many, few))
    ratio = ours / theirs
    return Line(
        25, f"its {name}", f"{ours:.1f} ms", f"with {_FEW} shares: {theirs:.1f} ms", f"{ratio:.2f}", f"≤ {_SLOWER:g}",
        ratio <= _SLOWER,
    )  # fmt: skip
