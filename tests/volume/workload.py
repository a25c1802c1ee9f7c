"""A process to be killed: changes a volume over a real store, and says what it has done and what it has synced.

Run as `python -m tests.volume.workload PLACE SEED`. What it does follows from the seed, so that whoever reads what it
says can tell what the tree was after each step.
"""

import contextlib
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from commonhold.blockstore.store import Store
from commonhold.blockstore.store import create as create_store
from commonhold.trees import ROOT, Change
from commonhold.volume.nodevault import NodeVault
from commonhold.volume.volume import Volume, create
from tests.volume.volumes import content, names, open_or_make, write

SECRET = bytes(range(32))
Files = dict[bytes, tuple[int, int]]  # by name: the size, and the step that wrote it


class Step(NamedTuple):
    """One change: `what` says which."""

    at: int
    what: str
    name: bytes
    other: bytes
    size: int


def steps(seed: int) -> Iterator[Step]:
    """What a workload does, without end."""
    rng = random.Random(seed)
    at = 0
    while True:
        at += 1
        what = rng.choice(["write"] * 8 + ["append", "remove", "rename", "sync", "sync", "sync", "settle"])
        name, other = (b"%d" % rng.randrange(8) for _ in range(2))
        yield Step(at, what, name, other, rng.choice([100, 4096, 300_000, 2_000_000]))


def begin(files: Files, step: Step) -> Files:
    """A model with a part of a step done, of which that can be seen."""
    return files | {step.name: (0, 0)} if step.what == "write" else files


def follow(files: Files, step: Step) -> None:
    """Do a step to a model."""
    if step.what == "write":
        files[step.name] = step.size, step.at
    elif step.what == "remove":
        files.pop(step.name, None)
    elif step.what == "rename" and step.name in files and step.name != step.other:
        files[step.other] = files.pop(step.name)


def take(volume: Volume, step: Step) -> None:
    """Do a step to a volume. A file's bytes are the number of the step that wrote it, again and again."""
    there = step.name in names(volume)
    if step.what == "write":
        number = open_or_make(volume, step.name)
        volume.change(number, Change(size=0))
        write(volume, number, 0, step.at.to_bytes(4, "big") * (step.size // 4))
    elif step.what == "remove" and there:
        number = volume.lookup(ROOT, step.name).number
        volume.unlink(ROOT, step.name)
        volume.forget([number])
    elif step.what == "rename" and there:
        volume.rename(ROOT, step.name, ROOT, step.other, 0)
    elif step.what == "sync":
        volume.sync(0)
    elif step.what == "settle":
        volume.settle()


def found(volume: Volume) -> Files:
    """What a volume has, as a model says it."""
    files: Files = {}
    for name in names(volume):
        data = content(volume, volume.lookup(ROOT, name).number)
        assert data == data[:4] * (len(data) // 4)
        files[name] = len(data), int.from_bytes(data[:4], "big")
    return files


@contextlib.contextmanager
def opened(place: Path, boot: bytes | None = None) -> Iterator[tuple[Volume, Store]]:
    """A volume and its store, made if there is none, closed in the end. `boot`: of the machine, if not this one."""
    if not (place / "store").exists():
        create_store(place / "store")
        create(place, "alice@family", "embedded")
    with Store(place / "store") as store:
        volume = Volume(place, "embedded", lambda name: NodeVault(store, SECRET, name), boot=boot)
        try:
            yield volume, store
        except BaseException:
            volume.abandon()
            raise
        volume.close()


def main() -> None:
    with opened(Path(sys.argv[1])) as (volume, _):
        for step in steps(int(sys.argv[2])):
            take(volume, step)
            sys.stdout.write(f"{step.at} {'synced' if step.what in ('sync', 'settle') else 'done'}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
