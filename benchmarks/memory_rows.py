"""Row 6: peak memory of everything measured, and whether it depends on the size of a file."""

import file_rows
import sources
from report import Line
from stage import Stage

ROWS = frozenset({6})

_LIMIT = 200 << 20
_ALLOWANCE = 1.1  # peaks of the same command differ by this much from run to run
_QUARTER_ADD = "hold add, a quarter of the file"
_QUARTER_GET = "hold get, a quarter of the file"
_WORK = ("hold add", "hold get", "hold cat", "hold import")


def measure(stage: Stage) -> list[Line]:
    """Measure a file a quarter the size, and report every `hold` command measured so far."""
    source, output = stage.directory / "quarter.bin", stage.directory / "quarter.out"
    sources.make_file(source, stage.scale.quarter_size)
    for _ in range(stage.runs):
        repository = stage.fresh("quarter.hold")
        stage.measure(_QUARTER_ADD, stage.hold(repository, "add", "--quieter", str(source)))
        cid = stage.last_line()
        stage.measure(_QUARTER_GET, stage.hold(repository, "get", cid, "-o", str(output)))
        stage.verify(output, source)
        stage.clear(repository, output)
    stage.clear(source)
    return [
        *(_peak(stage, name) for name in stage.ledger.names() if name.startswith(_WORK)),
        _independence(stage, "add", file_rows.ADD, _QUARTER_ADD),
        _independence(stage, "get", file_rows.GET, _QUARTER_GET),
    ]


def _mib(size: int) -> str:
    return f"{size / 2**20:.0f} MiB"


def _peak(stage: Stage, name: str) -> Line:
    peak = stage.ledger.peak(name)
    return Line(6, f"peak memory: {name.removeprefix('hold ')}", _mib(peak), "", "", f"< {_mib(_LIMIT)}", peak < _LIMIT)


def _independence(stage: Stage, what: str, whole: str, quarter: str) -> Line:
    """The peak with the file against that with a quarter of it."""
    large, small = stage.ledger.peak(whole), stage.ledger.peak(quarter)
    sizes = f"{stage.scale.file_size >> 20} MiB against {stage.scale.quarter_size >> 20} MiB"
    ratio = large / small
    return Line(
        6, f"peak memory of {what}: {sizes}", _mib(large), _mib(small), f"{ratio:.2f}", f"≤ {_ALLOWANCE}",
        ratio <= _ALLOWANCE,
    )  # fmt: skip
