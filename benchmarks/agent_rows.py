"""Rows 12, 13: how soon an agent answers, what it needs when it has nothing to do; sealed beside plain."""

import contextlib
import functools
import os
import socket
import subprocess
import time
from pathlib import Path

import machine
import sources
from measuring import Failed
from report import Line, compared, gigabytes, limited, thousand_files
from stage import Stage, Step, in_turn

ROWS = frozenset({12, 13})

_TRIES_PER_RUN = 5
_HELLO = b"\0\0\0\x08\x92\xa5hello\x90"  # docs/spec/agent.md
_SECONDS = 30.0
_FILE_SIZE = 4096
_KINDS = ("plain", "sealed")


def measure(stage: Stage, rows: frozenset[int]) -> list[Line]:
    """Measure the rows asked for; the lines of the table."""
    lines: list[Line] = []
    if 12 in rows:
        lines += _starting(stage)
    if 13 in rows:
        lines += _sealing(stage)
    return lines


# ── row 12 ──


def _starting(stage: Stage) -> list[Line]:
    repository = stage.fresh("agent.hold")
    found = [_first_answer(stage, repository) * 1e3 for _ in range(stage.runs * _TRIES_PER_RUN)]
    stage.clear(repository)
    return [limited(12, "start of an agent, to its first answer", found, "", 400.0)]


def _first_answer(stage: Stage, repository: Path) -> float:
    """Seconds from the start of an agent's process until it has answered."""
    began = time.monotonic()
    agent = subprocess.Popen(stage.hold(repository, "agent"), env=os.environ)
    try:
        while time.monotonic() < began + _SECONDS:
            with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as sock:
                sock.connect(str(repository / "agent.sock"))
                sock.sendall(_HELLO)
                if sock.recv(4):
                    return time.monotonic() - began
            time.sleep(0.001)
        raise Failed(f"no answer of an agent in {_SECONDS:g} s")
    finally:
        agent.terminate()
        agent.wait()


# ── row 13 ──


class _Run:
    """One run over a source: a fresh repository of each kind, and what is measured in them."""

    def __init__(self, stage: Stage, what: str, source: Path) -> None:
        self._stage = stage
        self._what = what
        self._source = source
        self._places = {kind: stage.fresh(f"{kind}.hold") for kind in _KINDS}
        self._names: dict[str, str] = {}

    def add(self, kind: str) -> None:
        """Into the fresh repository."""
        machine.warm(self._source)
        words = (["-r"] if self._source.is_dir() else []) + (["--sealed"] if kind == "sealed" else [])
        argv = self._stage.hold(self._places[kind], "add", "--quieter", *words, str(self._source))
        self._stage.measure(_named("add", self._what, kind), argv)
        self._names[kind] = self._stage.last_line()

    def get(self, kind: str) -> None:
        """Write it out where there is nothing, and compare."""
        output = self._stage.directory / f"{kind}.out"
        machine.chill([self._places[kind]])
        argv = self._stage.hold(self._places[kind], "get", self._names[kind], "-o", str(output))
        self._stage.measure(_named("get", self._what, kind), argv)
        self._stage.verify(output, self._source)
        self._stage.retire(output) if output.is_dir() else self._stage.clear(output)

    def close(self) -> None:
        """Take the repositories away."""
        self._stage.clear(*self._places.values())


def _named(verb: str, what: str, kind: str) -> str:
    return f"hold {verb}, the {what}, {kind}"


def _sealing(stage: Stage) -> list[Line]:
    tree, file = stage.directory / "sealing.tree", stage.directory / "sealing.bin"
    sources.make_tree(tree, stage.scale.tree_files, _FILE_SIZE)
    sources.make_file(file, stage.scale.quarter_size)
    for number in range(stage.runs):
        for what, source in (("tree", tree), ("file", file)):
            with contextlib.closing(_Run(stage, what, source)) as run:
                for verb in (run.add, run.get):
                    steps: list[Step] = [functools.partial(verb, kind) for kind in _KINDS]
                    for step in in_turn(steps, number):
                        step()
    stage.retire(tree)
    stage.clear(file)
    return [_line(stage, verb, what) for what in ("file", "tree") for verb in ("add", "get")]


def _line(stage: Stage, verb: str, what: str) -> Line:
    ours, theirs = (stage.ledger.seconds(_named(verb, what, kind)) for kind in ("sealed", "plain"))
    scale = stage.scale
    if what == "file":
        work, said = gigabytes(scale.quarter_size), f"{scale.quarter_size >> 20} MiB"
    else:
        work, said = thousand_files(scale.tree_files), f"{scale.tree_files} files of 4 KiB"
    return compared(13, f"sealed {verb} of {said}", ours, "plain", theirs, work, 0.8)
