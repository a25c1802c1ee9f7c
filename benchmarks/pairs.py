"""Two ways to do the same: `add` and `get` of a file and of a tree, in turns, each in a fresh repository of its own."""

import contextlib
import functools
from pathlib import Path
from typing import NamedTuple

import machine
import sources
from report import Line, Work, compared, gigabytes, thousand_files
from stage import Stage, Step, in_turn

_FILE_SIZE = 4096


class Way(NamedTuple):
    """A way to do it: its name, more words for `add`, and a command before the first and after the last."""

    name: str
    words: tuple[str, ...] = ()
    before: str | None = None
    after: str | None = None


class _Run:
    """One run over a source, a file or a tree."""

    def __init__(self, stage: Stage, what: str, source: Path, ways: tuple[Way, Way]) -> None:
        self._stage = stage
        self._what = what
        self._source = source
        self._ways = ways
        self._places = {way: stage.fresh(f"{way.name}.hold") for way in ways}
        self._names: dict[Way, str] = {}
        for way, place in self._places.items():
            if way.before is not None:
                stage.prepare(stage.hold(place, way.before))

    def add(self, way: Way) -> None:
        """Into the fresh repository."""
        machine.warm(self._source)
        words = [*way.words, *(["-r"] if self._source.is_dir() else [])]
        argv = self._stage.hold(self._places[way], "add", "--quieter", *words, str(self._source))
        self._stage.measure(_named("add", self._what, way), argv)
        self._names[way] = self._stage.last_line()

    def get(self, way: Way) -> None:
        """Write it out where there is nothing, and compare."""
        output = self._stage.directory / f"{way.name}.out"
        machine.chill([self._places[way]])
        argv = self._stage.hold(self._places[way], "get", self._names[way], "-o", str(output))
        self._stage.measure(_named("get", self._what, way), argv)
        self._stage.verify(output, self._source)
        self._stage.retire(output) if output.is_dir() else self._stage.clear(output)

    def close(self) -> None:
        """Stop what was started, and take the repositories away."""
        for way, place in self._places.items():
            if way.after is not None:
                self._stage.prepare(self._stage.hold(place, way.after))
        self._stage.clear(*self._places.values())


def _named(verb: str, what: str, way: Way) -> str:
    return f"hold {verb}, the {what}, {way.name}"


def measure(stage: Stage, row: int, ours: Way, theirs: Way, said: str, at_least: float) -> list[Line]:
    """Measure both ways; lines that say how fast ours was beside theirs. `said` has a place for what was done."""
    tree, file = stage.directory / "pairs.tree", stage.directory / "pairs.bin"
    sources.make_tree(tree, stage.scale.tree_files, _FILE_SIZE)
    sources.make_file(file, stage.scale.quarter_size)
    for number in range(stage.runs):
        for what, source in (("tree", tree), ("file", file)):
            with contextlib.closing(_Run(stage, what, source, (theirs, ours))) as run:
                for verb in (run.add, run.get):
                    steps: list[Step] = [functools.partial(verb, way) for way in (theirs, ours)]
                    for step in in_turn(steps, number):
                        step()
    stage.retire(tree)
    stage.clear(file)
    lines = []
    for what in ("file", "tree"):
        for word in ("add", "get"):
            found = [stage.ledger.seconds(_named(word, what, way)) for way in (ours, theirs)]
            work, of = _work(stage, what)
            lines.append(compared(row, said.format(f"{word} of {of}"), found[0], theirs.name, found[1], work, at_least))
    return lines


def _work(stage: Stage, what: str) -> tuple[Work, str]:
    scale = stage.scale
    if what == "file":
        return gigabytes(scale.quarter_size), f"{scale.quarter_size >> 20} MiB"
    return thousand_files(scale.tree_files), f"{scale.tree_files} files of 4 KiB"
