"""A line of shell with `hold` in it: closed and full outputs, signals, limits, other directories."""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.waiting import SECONDS

Shell = Callable[..., "subprocess.CompletedProcess[bytes]"]

_HOLD = f'hold() {{ "{sys.executable}" -m tests.cli.hold "$@"; }}\n'


@pytest.fixture
def shell(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """Runs a script in an empty home directory with no repository; `after`: in one as another script has left it, which
    runs once for all that come after it."""

    def run(script: str, code: int = 0, after: str = "", **more: str) -> "subprocess.CompletedProcess[bytes]":
        if after:
            left = tmp_path_factory.getbasetemp() / f"home-{hashlib.sha256(after.encode()).hexdigest()}"
            if not left.exists():
                left.mkdir()
                _run(after, left, 0, {})
            shutil.copytree(left, tmp_path, symlinks=True, dirs_exist_ok=True)
        return _run(script, tmp_path, code, more)

    return run


def _run(script: str, home: Path, code: int, more: dict[str, str]) -> "subprocess.CompletedProcess[bytes]":
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        ["bash", "-c", _HOLD + script],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        cwd=home,
        env=environment | more,
        check=False,
        timeout=SECONDS,
    )
    assert done.returncode == code, (done.stdout, done.stderr)
    assert b"Traceback" not in done.stderr and b"Exception ignored" not in done.stderr, done.stderr.decode()
    return done
