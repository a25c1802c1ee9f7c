"""Commonhold's mounts on this machine, as the kernel lists them. Source: proc(5), mountinfo.

Anybody may mount a file system of their own that says it is one of ours; what is believed was mounted by root.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

KIND = "fuse.commonhold"
SOURCE = "hold-"  # and the keeper's version
MOUNTINFO = Path("/proc/self/mountinfo")


class Mounted(NamedTuple):
    """One of the places where a mount is: which directory of its tree is there, and the version that serves it."""

    path: Path
    part: str
    version: str


def here() -> list[Mounted]:
    """All that this process can see."""
    return mounted(MOUNTINFO.read_text(errors="surrogateescape"))


def mounted(mountinfo: str) -> list[Mounted]:
    """Every place where a mount of ours is, unless something else covers it."""
    uppermost: dict[Path, Mounted | None] = {}
    for line in mountinfo.splitlines():
        left, _, right = line.partition(" - ")
        part, point = (unescaped(field) for field in left.split(" ")[3:5])
        kind, source, options = right.split(" ")[:3]
        ours = kind == KIND and "user_id=0" in options.split(",")
        uppermost[Path(point)] = Mounted(Path(point), part, source.removeprefix(SOURCE)) if ours else None
    return [one for one in uppermost.values() if one is not None]


def own_tree(places: Sequence[Mounted]) -> Path | None:
    """Where everybody finds their own files: the shortest way there; None without a mount."""
    ways = [one.path / "me" for one in places if one.part == "/hold"]
    ways += [one.path / "hold" / "me" for one in places if one.part == "/"]
    return min(ways, key=lambda way: len(way.parts), default=None)


def unescaped(field: str) -> str:
    """A field of mountinfo as it is: blanks and backslashes are written as octal numbers in it."""
    return re.sub(r"\\(\d{3})", lambda octal: chr(int(octal[1], 8)), field)
