"""A workload that ends in its middle, and what it had said by then."""

import select
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.waiting import SECONDS, waiting

ROOT = Path(__file__).parents[1]


class Words(NamedTuple):
    """Whole lines, of which so many are promises."""

    lines: list[str]
    promises: int


def killed(words: Sequence[object], seconds: float, cut: Callable[[], object] | None = None) -> Words:
    """Run a module of the tests and kill it so many seconds after its first line; `cut` its disk off before.

    What is said after that is no promise: a sync that was under way when the kernel gives the file system up may
    succeed with nothing on the disk, and in a real cut no power is left to say so with. Only then may it complain.
    """
    command = [sys.executable, "-m", *map(str, words)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT)
    assert process.stdout is not None
    before = b""
    try:
        assert select.select([process.stdout], [], [], SECONDS)[0]
        time.sleep(seconds)
        if cut is not None:
            before = waiting(process.stdout.fileno())
            cut()
    finally:
        process.kill()
        out, err = process.communicate(timeout=SECONDS)
    assert cut is not None or not err, err.decode()
    lines = (before + out).decode().split("\n")[:-1]  # the last may be cut short
    return Words(lines, len(lines) if cut is None else before.count(b"\n"))
