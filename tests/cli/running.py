"""`hold` as a process of its own, in a home directory of its own."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

Hold = Callable[..., "subprocess.CompletedProcess[bytes]"]


def runner(home: Path) -> Hold:
    """Runs the command in a home directory, on the repository `repo` in it. `code`: the exit code, None for any."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "HOLD_REPO": str(home / "repo")}

    def run(
        *words: str, code: int | None = 0, given: bytes = b"", cwd: Path = home, **extra: str | None
    ) -> "subprocess.CompletedProcess[bytes]":
        seen = environment | {"PYTHONPATH": str(Path(__file__).parents[2])} | extra
        done = subprocess.run(
            [sys.executable, "-m", "tests.cli.hold", *words],
            input=given,
            capture_output=True,
            cwd=cwd,
            env={name: value for name, value in seen.items() if value is not None},
            check=False,
        )
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
    until = time.monotonic() + 30
    while found := daemons(home):
        assert time.monotonic() < until, found
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        time.sleep(0.02)


def last(done: "subprocess.CompletedProcess[bytes]") -> str:
    """The last line on standard output."""
    return done.stdout.decode().splitlines()[-1]
