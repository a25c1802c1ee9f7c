"""Rows 3, 5: many small files in one durable add, and added again."""

import functools
from pathlib import Path

import machine
import sources
import yardsticks
from measuring import Failed
from report import Line, compared, thousand_files
from stage import Stage, Step, in_turn

ROWS = frozenset({3, 5})

ADD = "hold add -r, small files"
AGAIN = "hold add -r, small files again"
REUSE = "hold add -r --reuse, small files again"
_CP, _CP_SYNC, _RESTIC, _BORG = "cp -r", "cp -r + syncfs", "restic, small files", "borg, small files"
_FILE_SIZE = 4096


class _TreeRun:
    """One run over the tree: a fresh repository, and what is measured in it."""

    def __init__(self, stage: Stage, source: Path) -> None:
        self._stage = stage
        self._source = source
        self._repository = stage.fresh("tree.hold")
        self._cid = ""

    def _add(self, name: str, *words: str) -> str:
        machine.warm(self._source)
        argv = self._stage.hold(self._repository, "add", "-r", "--quieter", *words, str(self._source))
        self._stage.measure(name, argv)
        return self._stage.last_line()

    def first_add(self) -> None:
        """Into the fresh repository."""
        self._cid = self._add(ADD)

    def yardstick(self, step: Step) -> None:
        """Another program's copy, of the same files from the same cache."""
        machine.warm(self._source)
        step()

    def add_again(self, name: str, *words: str) -> None:
        """The unchanged tree. The same CID must come out."""
        cid = self._add(name, *words)
        if cid != self._cid:
            raise Failed(f"the tree added again is {cid}, and was {self._cid}")

    def verify(self) -> None:
        """What comes out is what went in; not timed."""
        output = self._stage.directory / "tree.out"
        self._stage.prepare(self._stage.hold(self._repository, "get", self._cid, "-o", str(output)))
        self._stage.verify(output, self._source)
        self._stage.retire(output)

    def close(self) -> None:
        """Take the repository away."""
        self._stage.clear(self._repository)


def measure(stage: Stage, rows: frozenset[int]) -> list[Line]:
    """Measure the rows asked for; the lines of the table."""
    source = stage.directory / "tree"
    sources.make_tree(source, stage.scale.tree_files, _FILE_SIZE)
    for number in range(stage.runs):
        run = _TreeRun(stage, source)
        adds: list[Step] = [run.first_add]
        if 3 in rows:
            adds = [*_yardsticks(stage, run, source), run.first_add]
        for step in in_turn(adds, number):
            step()
        if 5 in rows:
            run.add_again(AGAIN)
            run.add_again(REUSE, "--reuse")
        run.verify()
        run.close()
    stage.retire(source)
    return _lines(stage, rows)


def _yardsticks(stage: Stage, run: _TreeRun, source: Path) -> list[Step]:
    programs = [
        (yardsticks.restic, _RESTIC),
        (yardsticks.borg, _BORG),
        (yardsticks.copy_tree_synced, _CP_SYNC),
        (yardsticks.copy_tree, _CP),
    ]
    return [functools.partial(run.yardstick, functools.partial(use, stage, name, source)) for use, name in programs]


def _lines(stage: Stage, rows: frozenset[int]) -> list[Line]:
    ledger, work = stage.ledger, thousand_files(stage.scale.tree_files)

    def line(row: int, what: str, ours: str, theirs: str, at_least: float | None = None) -> Line:
        return compared(row, what, ledger.seconds(ours), theirs, ledger.seconds(theirs), work, at_least)

    what = f"durable add of {stage.scale.tree_files} files of 4 KiB"
    lines: list[Line] = []
    if 3 in rows:
        lines += [line(3, what, ADD, _CP, 0.6), line(3, what, ADD, _CP_SYNC)]
        lines += [line(3, what, ADD, _RESTIC, 1.0), line(3, what, ADD, _BORG, 1.0)]
    if 5 in rows:
        lines += [line(5, "add of the unchanged tree", AGAIN, ADD)]
        lines += [line(5, "add --reuse of the unchanged tree", REUSE, ADD)]
    return lines
