"""Rows 12, 13: how soon an agent answers, what it needs when it has nothing to do; sealed beside plain."""

import contextlib
import os
import socket
import subprocess
import time
from pathlib import Path

import pairs
from measuring import Failed
from pairs import Way
from report import Line, limited
from stage import Stage

ROWS = frozenset({12, 13})

_TRIES_PER_RUN = 5
_HELLO = b"\0\0\0\x08\x92\xa5hello\x90"  # docs/spec/agent.md
_SECONDS = 30.0


def measure(stage: Stage, rows: frozenset[int]) -> list[Line]:
    """Measure the rows asked for; the lines of the table."""
    lines: list[Line] = []
    if 12 in rows:
        lines += _starting(stage)
    if 13 in rows:
        lines += pairs.measure(stage, 13, Way("sealed", ("--sealed",)), Way("plain"), "sealed {}", 0.8)
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
