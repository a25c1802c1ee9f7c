"""Rows 1, 2, 4: one large file added durably, got back from a cold start, added again."""

import functools
from pathlib import Path

import machine
import sources
import yardsticks
from measuring import Failed
from report import Line, compared, gigabytes
from stage import Stage, Step, in_turn

ROWS = frozenset({1, 2, 4})

ADD = "hold add, the file"
AGAIN = "hold add, the file again"
REUSE = "hold add --reuse, the file again"
GET = "hold get, the file, cold"
CAT = "hold cat, the file, cold"
_DD, _RESTIC, _BORG, _SHA = "dd direct+fsync", "restic", "borg", "sha256, all cores"
_READ_ONE, _READ_ALL = "read + sha256, one thread, cold", "read + sha256, all cores, cold"
_READ_DIRECT = "direct read + sha256, one thread, cold"


class _FileRun:
    """One run over the file: a fresh repository, and what is measured in it."""

    def __init__(self, stage: Stage, source: Path) -> None:
        self._stage = stage
        self._source = source
        self._repository = stage.fresh("file.hold")
        self._output = stage.directory / "get.out"
        self._cid = ""

    def first_add(self) -> None:
        """Into the fresh repository."""
        machine.warm(self._source)
        self._stage.measure(ADD, self._stage.hold(self._repository, "add", "--quieter", str(self._source)))
        self._cid = self._stage.last_line()

    def yardstick(self, step: Step) -> None:
        """Another program's add, of the same bytes from the same cache."""
        machine.warm(self._source)
        step()

    def add_again(self, name: str, *words: str) -> None:
        """The unchanged file. The same CID must come out."""
        machine.warm(self._source)
        self._stage.measure(name, self._stage.hold(self._repository, "add", "--quieter", *words, str(self._source)))
        self._same()

    def _same(self) -> None:
        if self._stage.last_line() != self._cid:
            raise Failed(f"the file added again is {self._stage.last_line()}, and was {self._cid}")

    def cold(self, step: Step) -> None:
        """A step from a cold start."""
        machine.chill([self._source, self._repository])
        step()

    def get(self) -> None:
        """Write the file out where there is nothing, and compare."""
        stage = self._stage
        stage.measure(GET, stage.hold(self._repository, "get", self._cid, "-o", str(self._output)))
        self._check_output()

    def cat(self) -> None:
        """Stream the file to nowhere."""
        self._stage.measure(CAT, self._stage.hold(self._repository, "cat", self._cid), Path("/dev/null"))

    def verify(self) -> None:
        """What comes out of `get` and `cat` is what went in; not timed."""
        stage = self._stage
        stage.prepare(stage.hold(self._repository, "get", self._cid, "-o", str(self._output)))
        self._check_output()
        stage.prepare(stage.hold(self._repository, "cat", self._cid), self._output)
        self._check_output()

    def _check_output(self) -> None:
        self._stage.verify(self._output, self._source)
        self._stage.clear(self._output)

    def close(self) -> None:
        """Take the repository away."""
        self._stage.clear(self._repository)


def measure(stage: Stage, rows: frozenset[int]) -> list[Line]:
    """Measure the rows asked for; the lines of the table."""
    source = stage.directory / "file.bin"
    sources.make_file(source, stage.scale.file_size)
    for number in range(stage.runs):
        run = _FileRun(stage, source)
        adds: list[Step] = [run.first_add]
        if 1 in rows:
            adds = [*_add_yardsticks(stage, run, source), run.first_add]
        for step in in_turn(adds, number):
            step()
        if number == 0 or 2 not in rows:
            run.verify()
        if 4 in rows:
            run.add_again(AGAIN)
            run.add_again(REUSE, "--reuse")
        if 2 in rows:
            for step in in_turn(_reads(stage, run, source), number):
                run.cold(step)
        run.close()
    stage.clear(source)
    return _lines(stage, rows)


def _add_yardsticks(stage: Stage, run: _FileRun, source: Path) -> list[Step]:
    found: list[Step] = [
        functools.partial(yardsticks.sha256, stage, _SHA, source),
        functools.partial(yardsticks.restic, stage, _RESTIC, source),
        functools.partial(yardsticks.borg, stage, _BORG, source),
        functools.partial(yardsticks.copy_direct, stage, _DD, source),
    ]
    return [functools.partial(run.yardstick, step) for step in found]


def _reads(stage: Stage, run: _FileRun, source: Path) -> list[Step]:
    return [
        functools.partial(yardsticks.sha256, stage, _READ_ONE, source, threads=1),
        run.get,
        functools.partial(yardsticks.sha256_direct, stage, _READ_DIRECT, source),
        functools.partial(yardsticks.sha256, stage, _READ_ALL, source),
        run.cat,
    ]


def _lines(stage: Stage, rows: frozenset[int]) -> list[Line]:
    ledger, work = stage.ledger, gigabytes(stage.scale.file_size)

    def line(row: int, what: str, ours: str, theirs: str, at_least: float | None = None) -> Line:
        return compared(row, what, ledger.seconds(ours), theirs, ledger.seconds(theirs), work, at_least)

    size = f"{stage.scale.file_size >> 20} MiB"
    lines: list[Line] = []
    if 1 in rows:
        what = f"durable add of {size}"
        lines += [line(1, what, ADD, _DD, 0.7), line(1, what, ADD, _RESTIC, 3.0)]
        lines += [line(1, what, ADD, _BORG), line(1, what, ADD, _SHA)]
    if 2 in rows:
        for what, ours, at_least in (("get", GET, 0.7), ("cat", CAT, None)):
            what = f"{what} of {size}, cold"
            lines += [line(2, what, ours, _READ_ONE, at_least), line(2, what, ours, _READ_DIRECT)]
            lines += [line(2, what, ours, _READ_ALL)]
    if 4 in rows:
        lines += [line(4, "add of the unchanged file", AGAIN, ADD)]
        lines += [line(4, "add --reuse of the unchanged file", REUSE, ADD, 5.0)]
    return lines
