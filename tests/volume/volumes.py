"""Volumes for tests: a fake vault, a clock that goes on by one, and short ways to say things."""

import itertools
import shutil
from pathlib import Path
from typing import Any

from commonhold.trees import ROOT, Attr, Item, Tree, Who
from commonhold.volume.volume import Volume, create
from tests.fakes.vault import MemoryVault

ALICE = Who("alice@family", "users@family")
FILE, DIRECTORY, LINK = 0o100644, 0o040755, 0o120777


class Clock:
    """A second at every look."""

    def __init__(self) -> None:
        self.now = 1_000_000_000_000_000_000

    def __call__(self) -> int:
        self.now += 1_000_000_000
        return self.now


class Place:
    """A volume's directory and vault, which stay when its process dies."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.vault = MemoryVault()
        self.clock = Clock()
        self.opened: list[Volume] = []
        self.boot = bytes(16)
        self._copies = itertools.count()
        create(directory, ALICE.owner, "node", self.clock)

    def open(self, *, keep_orphans: bool = False) -> Volume:
        volume = Volume(
            self.directory, "node", lambda _: self.vault, self.clock, boot=self.boot, keep_orphans=keep_orphans
        )
        self.opened.append(volume)
        return volume

    def crash(self, volume: Volume, *, keep_orphans: bool = False) -> Volume:
        """The volume as it is after its process died: opened from a copy of the files as they are now."""
        copy = self.directory.with_name(f"{self.directory.name}-{next(self._copies)}")
        copy.mkdir()
        for path in self.directory.iterdir():
            shutil.copy(path, copy)
        volume.abandon()
        self.directory = copy
        return self.open(keep_orphans=keep_orphans)

    def power_cut(self, volume: Volume, *, keep_orphans: bool = False) -> Volume:
        """The volume as it is after the machine was started again, if the disk happens to have all that was written."""
        self.boot = (int.from_bytes(self.boot, "big") + 1).to_bytes(16, "big")
        return self.crash(volume, keep_orphans=keep_orphans)

    def close(self) -> None:
        for volume in self.opened:
            if volume._held.lost is None:
                volume.abandon()


def log(place: Place) -> Path:
    """The file of its journal."""
    return place.directory / "volume.log"


def as_tree(volume: Volume) -> Tree:
    """What the type checker says: a volume is one."""
    return volume


def make(volume: Volume, name: bytes, mode: int = FILE, parent: int = ROOT, target: bytes = b"") -> Attr:
    return volume.make(parent, name, mode, 0, target, ALICE, True)


def open_or_make(volume: Volume, name: bytes) -> int:
    """As open(2) with O_CREAT does it: a file of the root's."""
    try:
        return volume.lookup(ROOT, name).number
    except FileNotFoundError:
        return make(volume, name).number


def write(volume: Volume, number: int, offset: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        done = volume.write(number, offset, view, False, False)
        offset, view = offset + done, view[done:]


def content(volume: Volume, number: int) -> bytes:
    size = volume.attr(number).size
    return b"".join(volume.read(number, at, 1 << 20) for at in range(0, size, 1 << 20))


def names(volume: Volume, number: int = ROOT) -> list[bytes]:
    return [item.name for item in listed(volume, number)]


def everything(volume: Volume, numbers: list[int]) -> dict[int, tuple[Any, ...]]:
    """All that there is to see of these objects and of all below the root; what was to be noted of reading them is."""
    found: dict[int, tuple[Any, ...]] = {}
    left = [ROOT, *numbers]
    while left:
        number = left.pop()
        if number in found:
            continue
        kind = volume.attr(number).mode & 0o170000
        xattrs = {name: volume.xattr(number, name) for name in volume.xattrs(number)}
        items = listed(volume, number) if kind == 0o040000 else []
        said = content(volume, number) if kind == 0o100000 else volume.target(number) if kind == 0o120000 else b""
        found[number] = (volume.attr(number), xattrs, [item[:4] for item in items], said)
        left += [item.number for item in items]
    return found


def listed(volume: Volume, number: int = ROOT, most: int = 100) -> list[Item]:
    found: list[Item] = []
    while items := volume.listing(number, found[-1].position if found else 0, most, False):
        found += items
    return found
