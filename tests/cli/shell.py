"""A line of shell with `hold` in it: closed and full outputs, signals, limits, other directories."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Shell = Callable[..., "subprocess.CompletedProcess[bytes]"]

_HOLD = f'hold() {{ "{sys.executable}" -m tests.cli.hold "$@"; }}\n'


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """Runs a script in an empty home directory with no repository."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[2])}

    def run(script: str, code: int = 0, **more: str) -> "subprocess.CompletedProcess[bytes]":
        done = subprocess.run(
            ["bash", "-c", _HOLD + script],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            cwd=tmp_path,
            env=environment | more,
            check=False,
            timeout=60,
        )
        assert done.returncode == code, (done.stdout, done.stderr)
        assert b"Traceback" not in done.stderr and b"Exception ignored" not in done.stderr, done.stderr.decode()
        return done

    return run
