"""Runs of a workload that end in the middle, and what must be there afterwards."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from commonhold.blockstore import reclaim
from commonhold.blockstore.store import Store
from commonhold.blockstore.verify import verify
from tests.killing import killed
from tests.volume.workload import Files, begin, follow, found, opened, steps

_SPREAD = 1000  # steps that may have been done since the last one that is certain


class Said(NamedTuple):
    """The last steps that a workload has done, and synced."""

    done: int
    synced: int


def run_for(place: Path, seed: int, seconds: float, cut: Callable[[], object] | None = None) -> Said:
    """Run the workload; see `killed`. After a kill all that it did is there, after a cut what it promised is synced."""
    said = killed(["tests.volume.workload", place, seed], seconds, cut)
    steps_said = [line.split() for line in said.lines]
    synced = [int(at) for at, how in steps_said[: said.promises] if how == "synced"]
    return Said(int(steps_said[-1][0]), max(synced, default=0))


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
