"""`hold` as a process of its own, in a home directory of its own."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli import forked
from tests.waiting import SECONDS

Hold = Callable[..., "subprocess.CompletedProcess[bytes]"]


def environment(home: Path) -> dict[str, str]:
    """What the command is told: whose home this is, and its repository."""
    root = str(Path(__file__).parents[2])
    return {"PATH": os.environ["PATH"], "HOME": str(home), "HOLD_REPO": str(home / "repo"), "PYTHONPATH": root}


def runner(home: Path, program: str = "tests.cli.hold") -> Hold:
    """Runs the command in a home directory, on the repository `repo` in it. `code`: the exit code, None for any."""

    def run(
        *words: str, code: int | None = 0, given: bytes = b"", cwd: Path = home, **extra: str | None
    ) -> "subprocess.CompletedProcess[bytes]":
        seen = environment(home) | extra
        kept = {name: value for name, value in seen.items() if value is not None}
        done = forked.origin_for(kept).run(program, words, given, cwd, kept)
        assert code is None or done.returncode == code, (done.stdout, done.stderr)
        return done

    return run


@pytest.fixture
def hold(tmp_path: Path) -> Hold:
    """The command, with an empty repository."""
    run = runner(tmp_path)
    run("init")
    return run


def daemons(home: Path) -> list[int]:
    """The nodes and agents at work for repositories below a directory."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(OSError):
                words = (entry / "cmdline").read_bytes().split(b"\0")
                if {b"node", b"agent"} & set(words) and any(word.startswith(bytes(home)) for word in words):
                    found.append(int(entry.name))
    return found


def end_daemons(home: Path) -> None:
    """End them, and return when they have ended."""
    until = time.monotonic() + SECONDS
    while found := daemons(home):
        assert time.monotonic() < until, found
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        time.sleep(0.02)


def last(done: "subprocess.CompletedProcess[bytes]") -> str:
    """The last line on standard output."""
    return done.stdout.decode().splitlines()[-1]
