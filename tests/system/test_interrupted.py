"""Signals at random points of an add and a collection: the exit code says which, the lock is free, all is sound."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from commonhold.blockstore.store import Store
from commonhold.blockstore.verify import verify
from commonhold.host.repository import Lock
from tests.killing import ROOT
from tests.waiting import SECONDS

_ROUNDS = 200 if os.environ.get("HOLD_SOAK") else 10
_CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}


def hold(repository: Path, *words: str) -> "subprocess.Popen[bytes]":
    """Start a command."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.cli.hold", "--repo", str(repository), *words],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def ended(process: "subprocess.Popen[bytes]", number: signal.Signals) -> bool:
    """Whether the signal ended it; it may have been done by then, and nothing else may have happened."""
    _, told = process.communicate(timeout=SECONDS)
    assert process.returncode in (0, _CODES[number]), (process.returncode, told.decode())
    assert b"Traceback" not in told
    return process.returncode != 0


def locked(repository: Path, process: "subprocess.Popen[bytes]") -> None:
    """Wait until a command has its turn, or had it: what comes before does not touch the repository."""
    stop = time.monotonic() + SECONDS
    lock = repository / "lock"
    while process.poll() is None and not (lock.exists() and lock.read_bytes()):
        assert time.monotonic() < stop
        time.sleep(0.001)


@pytest.mark.slow
@pytest.mark.parametrize("number", _CODES)
def test_an_interrupted_add_or_gc_leaves_a_sound_repository(tmp_path: Path, number: signal.Signals) -> None:
    rng = random.Random(int(number))
    repository, tree = tmp_path / "repo", tmp_path / "tree"
    tree.mkdir()
    assert hold(repository, "init").wait() == 0
    interrupted = 0
    for turn in range(_ROUNDS):
        for name in range(300):
            (tree / str(name)).write_bytes(rng.randbytes(rng.choice([10, 5_000, 100_000])))
        for words in (["add", "-r", "--name", f"kept {turn}", str(tree)], ["pin", "rm", f"kept {turn}"], ["gc"]):
            process = hold(repository, *words)
            if words[0] == "pin":
                process.communicate(timeout=SECONDS)  # there is no such pin if its add did not get that far
                continue
            locked(repository, process)
            time.sleep(rng.random() * 0.25)
            process.send_signal(number)
            interrupted += ended(process, number)
            Lock(repository, "verify").release()
            with Store(repository) as store:
                assert verify(store).damage == []
    assert interrupted
