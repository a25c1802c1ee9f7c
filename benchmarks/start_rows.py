"""Rows 7, 8: how long it takes to begin: opening a store of a million blocks, `cat` from a cold start, `version`."""

from pathlib import Path

import machine
import sources
import yardsticks
from report import Line, limited
from stage import Stage

ROWS = frozenset({7, 8})
_TRIES_PER_RUN = 5

IMPORT = "hold import, small blocks"
_MANY, _FEW, _VERSION = "hold block stat, many blocks", "hold block stat, one block", "hold version"
_CAT_COLD, _VERSION_COLD = "hold cat, small file, cold", "hold version, cold"
_PYTHON, _PYTHON_COLD = "python -c pass", "python -c pass, cold"
_COLD = ", cold"


def measure(stage: Stage, rows: frozenset[int]) -> list[Line]:
    """Measure the rows asked for; the lines of the table."""
    lines: list[Line] = []
    if 7 in rows:
        lines += _opening(stage)
    if 8 in rows:
        lines += _starting(stage)
    return lines


# ── row 7 ──


def _opening(stage: Stage) -> list[Line]:
    many = _filled(stage, "many.hold", stage.scale.blocks, IMPORT)
    few = _filled(stage, "few.hold", 1, None)
    tries = stage.runs * _TRIES_PER_RUN
    for suffix in ("", _COLD):  # all warm ones first: what follows a cold one would not be warm
        for number in range(tries):
            cid = sources.block_cid(number * stage.scale.blocks // tries)
            for name, argv in (
                (_VERSION, stage.version()),
                (_MANY, stage.hold(many, "block", "stat", cid)),
                (_FEW, stage.hold(few, "block", "stat", sources.block_cid(0))),
            ):
                if suffix:
                    machine.chill([many, few])
                stage.measure(f"{name} (row 7){suffix}", argv)
    stage.clear(many, few)
    blocks = stage.scale.blocks
    seconds = stage.ledger.seconds(IMPORT)[0]
    return [
        *_opening_lines(stage, "", 50.0),
        *_opening_lines(stage, _COLD, None),
        Line(7, f"import of {blocks} blocks of 40 bytes", f"{seconds:.1f} s, {blocks / seconds / 1e3:.1f} k blocks/s"),
    ]


def _filled(stage: Stage, name: str, blocks: int, measured: str | None) -> Path:
    archive = stage.directory / "blocks.car"
    sources.make_archive(archive, blocks)
    repository = stage.fresh(name)
    argv = stage.hold(repository, "import", "--no-pin", str(archive))
    if measured:
        stage.measure(measured, argv)
    else:
        stage.prepare(argv)
    stage.clear(archive)
    return repository


def _opening_lines(stage: Stage, suffix: str, below: float | None) -> list[Line]:
    many, few, version = (stage.ledger.seconds(f"{name} (row 7){suffix}") for name in (_MANY, _FEW, _VERSION))
    what = f"open {stage.scale.blocks} blocks{suffix}: block stat"
    return [
        limited(7, f"{what} − version", _differences(many, version), "", below),
        limited(7, f"{what} − the same with one block", _differences(many, few), ""),
    ]


def _differences(longer: list[float], shorter: list[float]) -> list[float]:
    """Milliseconds, try by try."""
    return [(one - other) * 1e3 for one, other in zip(longer, shorter, strict=True)]


# ── row 8 ──


def _starting(stage: Stage) -> list[Line]:
    source = stage.directory / "small.bin"
    output = stage.directory / "small.out"
    source.write_bytes(b"commonhold\n" * 400)
    repository = stage.fresh("small.hold")
    stage.prepare(stage.hold(repository, "add", "--quieter", str(source)))
    cid = stage.last_line()
    for _ in range(stage.runs * _TRIES_PER_RUN):
        yardsticks.interpreter(stage, _PYTHON)
        stage.measure(_VERSION, stage.version())
        machine.chill([repository])
        yardsticks.interpreter(stage, _PYTHON_COLD)
        machine.chill([repository])
        stage.measure(_VERSION_COLD, stage.version())
        machine.chill([repository])
        stage.measure(_CAT_COLD, stage.hold(repository, "cat", cid), output)
        stage.verify(output, source)
    stage.clear(repository, source, output)

    def line(what: str, name: str, python: str, below: float | None) -> Line:
        beside = [second * 1e3 for second in stage.ledger.seconds(python)]
        yardstick = f"{python}: {limited(8, '', beside, '').hold}"
        return limited(8, what, [second * 1e3 for second in stage.ledger.seconds(name)], yardstick, below)

    return [
        line("cat of a small file, cold", _CAT_COLD, _PYTHON_COLD, 200.0),
        line("version", _VERSION, _PYTHON, 150.0),
        line("version, cold", _VERSION_COLD, _PYTHON_COLD, None),
    ]
