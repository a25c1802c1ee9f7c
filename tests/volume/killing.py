"""Runs of a workload that end in the middle, and what must be there afterwards."""

import select
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from commonhold.blockstore import reclaim
from commonhold.blockstore.store import Store
from commonhold.blockstore.verify import verify
from tests.volume.workload import Files, begin, follow, found, opened, steps
from tests.waiting import SECONDS, waiting

_SPREAD = 1000  # steps that may have been done since the last one that is certain


class Said(NamedTuple):
    """The last steps that a workload has done, and synced."""

    done: int
    synced: int


def run_for(place: Path, seed: int, seconds: float, first: Callable[[], None], *, noisy: bool = False) -> Said:
    """Run the workload; so long after its first step do something and kill it. `noisy`: what is done first makes it
    fail, as a power cut does. What it says is synced after that is no promise: a sync that was under way when the
    kernel gives the file system up may succeed with nothing on the disk, and no power was left to say so with."""
    words = [sys.executable, "-m", "tests.volume.workload", str(place), str(seed)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=Path(__file__).parents[2])
    assert process.stdout is not None
    try:
        select.select([process.stdout], [], [], SECONDS)
        time.sleep(seconds)
        before = waiting(process.stdout.fileno()) if noisy else b""
        first()
        process.kill()
        out, err = process.communicate(timeout=SECONDS)
    finally:
        process.kill()
        process.wait()
    assert not err or noisy, err.decode()
    said, counts = _lines(before + out), _lines(before if noisy else out)
    assert said
    return Said(int(said[-1][0]), max([int(at) for at, how in counts if how == "synced"], default=0))


def _lines(said: bytes) -> list[list[str]]:
    return [line.split() for line in said.decode().split("\n")[:-1]]


def check_reopened(place: Path, files: Files, seed: int, since: int, boot: bytes | None = None) -> None:
    """The tree is as it was after some call since a step; `files` is brought there. `boot`: see `opened`."""
    with opened(place, boot) as (volume, store):
        assert list(volume.verify()) == []
        now = found(volume)
        assert store.usage().pins <= 32
    with Store(place / "store") as store:
        reclaim.collect(store)
        assert verify(store).damage == []
    for step in steps(seed):
        if step.at > since and now in (files, begin(files, step)):
            files |= now
            break
        assert step.at < since + _SPREAD, f"{now} is not the tree of any step since {since}"
        follow(files, step)
