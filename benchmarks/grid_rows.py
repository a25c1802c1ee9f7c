"""Rows 26, 27: blocks put onto a grid of processes on this machine and got back, beside bare TLS and a plain write."""

import contextlib
import json
import statistics
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from measuring import Failed, Sample, ratios, spread
from report import Line, Work, limited, timed
from stage import Stage, in_turn

ROWS = frozenset({26, 27})

_WORK = Path(__file__).with_name("grid_work.py")
_SHAPES = ((3, 10), (3, 5))
_BLOCK = 1 << 20
_LARGE = 100  # blocks of that size
_SMALL = 1000  # of a page
_PAGE = 4096
_HALF = 0.5  # of what bare TLS does
_RATES = {"put": 250.0, "get": 400.0}  # MB/s of user data, or the half of bare TLS
_MILLIS = 1000.0


@dataclass(frozen=True, slots=True)
class _Load:
    """What is put, and over how many servers."""

    k: int
    n: int
    size: int
    count: int

    @property
    def name(self) -> str:
        """What a line says it is."""
        much = f"{self.count} × {self.size >> 10} KiB"
        return f"{much}, {self.k}-of-{self.n}"

    @property
    def share(self) -> int:
        """Bytes for each server."""
        return -(-self.size * self.count // self.k)


def measure(stage: Stage, rows: frozenset[int]) -> list[Line]:
    """Measure the rows asked for; the lines of the table."""
    large = _LARGE if stage.scale.name == "full" else _LARGE // 10
    lines: list[Line] = []
    for k, n in _SHAPES:
        loads = [_Load(k, n, _BLOCK, large)] * (26 in rows) + [_Load(k, n, _PAGE, _SMALL)] * (27 in rows)
        with _servers(stage, n) as grid:
            for number in range(stage.runs):
                for load in loads:
                    _run(stage, grid, load, number)
        for load in loads:
            lines += _large_lines(stage, load) if load.size == _BLOCK else _small_lines(stage, load)
    return sorted(lines, key=lambda line: line.row)


# ── running ──


def _command(stage: Stage, *words: object) -> list[str]:
    python = str(Path(stage.version()[0]).with_name("python"))
    return [python, str(_WORK), *map(str, words)]


@contextlib.contextmanager
def _servers(stage: Stage, count: int) -> Iterator[Path]:
    """So many storage servers, each a process; the file that says where they are. They end with their input."""
    directory = stage.directory / f"grid of {count}"
    directory.mkdir()
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(_server(stage, directory / str(number))) for number in range(count)]
        grid = directory / "servers.json"
        grid.write_text(json.dumps([_said(server) for server in servers]))
        yield grid
    stage.retire(directory)


@contextlib.contextmanager
def _server(stage: Stage, directory: Path) -> Iterator["subprocess.Popen[str]"]:
    server = subprocess.Popen(
        _command(stage, "serve", directory), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        yield server
    finally:
        server.kill()
        server.wait()


def _said(server: "subprocess.Popen[str]") -> tuple[str, int, int]:
    assert server.stdout is not None
    words = server.stdout.readline().split()
    if len(words) != 3:
        raise Failed("a storage server did not start")
    return words[0], int(words[1]), int(words[2])


def _run(stage: Stage, grid: Path, load: _Load, number: int) -> None:
    """Put and get, and the same bytes by bare means: to and from as many servers as it takes."""
    steps: list[tuple[dict[str, str], list[object]]] = [
        ({"put": "put", "get": "get"}, ["grid", grid, load.k, load.size, load.count]),
        ({"up": "put over bare TLS"}, ["tls", grid, load.n, load.share]),
        ({"down": "get over bare TLS"}, ["tls", grid, load.k, load.share]),
        ({"disk": "plain write"}, ["disk", grid.parent, load.n, load.share]),
    ]
    for names, words in in_turn(steps, number):
        whole = stage.prepare(_command(stage, *words))
        found = json.loads(stage.last_line())
        for said, name in names.items():
            stage.note(_named(load, name), Sample(found[said], whole.cpu, whole.peak))


def _named(load: _Load, what: str) -> str:
    return f"{what}, {load.name}"


# ── lines ──


def _large_lines(stage: Stage, load: _Load) -> list[Line]:
    work = Work(load.size * load.count / 1e6, "MB")
    disk = stage.ledger.seconds(_named(load, "plain write"))
    lines = []
    for what in ("put", "get"):
        ours, bare = (stage.ledger.seconds(_named(load, name)) for name in (what, f"{what} over bare TLS"))
        lines.append(_either(f"{what} of {load.name}", ours, bare, work, _RATES[what]))
        if what == "put":
            found = spread(ratios(disk, ours), ".2f")
            said = f"a file at each of {load.n} processes, with fsync: {timed(disk, work)}"
            lines.append(Line(26, f"{what} of {load.name}", timed(ours, work), said, found))
    return lines


def _either(what: str, ours: Sequence[float], bare: Sequence[float], work: Work, rate: float) -> Line:
    """A rate, or the half of what bare TLS does with all the bytes that it takes: one of the two has to be met."""
    found = ratios(bare, ours)
    met = work.amount / statistics.median(ours) >= rate or statistics.median(found) >= _HALF
    yardstick = f"the bytes of all shares over bare TLS: {timed(bare, work)}"
    target = f"≥ {rate:g} {work.unit}/s or ≥ {_HALF:g}"
    return Line(26, what, timed(ours, work), yardstick, spread(found, ".2f"), target, met)


def _small_lines(stage: Stage, load: _Load) -> list[Line]:
    disk = [seconds * 1e3 for seconds in stage.ledger.seconds(_named(load, "plain write"))]
    said = {"put": f"a file at each of {load.n} processes, with fsync: {spread(disk, '.0f')} ms", "get": ""}
    return [
        limited(
            27, f"{what} of {load.name}",
            [seconds * 1e3 for seconds in stage.ledger.seconds(_named(load, what))], yardstick, _MILLIS,
        )
        for what, yardstick in said.items()
    ]  # fmt: skip
