"""One script in two places, step by step: in a mount, and in ext4. What came of each step, and what there is after it,
must be the same."""

import hashlib
import os
import re
import shutil
import stat
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.system.posix.words import ROOT, Caller, Entry, Words, entries

TICK = 0.0045  # longer than the kernel's clock stands still
_DAY = 86_400_000_000_000
_TRIES = 4


class Cast(NamedTuple):
    """Who does things, by their names, and whose ids names stand for."""

    callers: dict[str, Caller]
    ids: dict[str, int]


class Case(NamedTuple):
    """What is tried, in a few words, and how."""

    title: str
    script: str


def written(text: str) -> Iterator[Case]:
    """Cases as they are written down: a title, and below it, further in, its script."""
    for case in re.split(r"\n(?! )", text.strip()):
        title, *script = case.split("\n")
        yield Case(title, " ".join(line.strip() for line in script))


def steps_of(script: str) -> list[tuple[str, str]]:
    """Who does what."""
    found = []
    for step in script.split(";"):
        who, colon, what = step.strip().partition(": ")
        found.append((who, what) if colon else ("alice", step.strip()))
    return [(who, what) for who, what in found if what]


class _Place:
    """One of the two: its directory, what is open there, and the times that things had. Scripts begin further down."""

    def __init__(self, top: Path, cast: Cast) -> None:
        for path in (top, top / "here"):
            path.mkdir()
            os.chown(path, cast.ids["alice"], cast.ids["staff"])
        self.top = top
        self.words = Words(cast.ids)
        self._cast = cast
        self._set_times = self._set_attribute = False
        self._times: dict[int, tuple[int, int]] = {}
        self._contents: dict[int, tuple[tuple[int, ...], object]] = {}

    def do(self, who: str, what: str) -> object:
        """A step."""
        os.chdir(self.top / "here")
        self._cast.callers[who].become()
        try:
            return self.words.say(what)
        finally:
            ROOT.become()

    def look(self, word: str = "") -> dict[str, object]:
        """All that is there, and what is open, after a word.

        Looking is reading, too: when something was read last is to be seen only after a word that sets it. Whether an
        attribute that stays as it was is a change is for each to say: see `differences`.
        """
        self._set_times = word == "times"
        self._set_attribute = word in ("setx", "acl", "noacl")
        found: dict[str, object] = {}
        times: dict[int, tuple[int, int]] = {}
        self._look(os.fsencode(self.top), b"", found, times)
        for handle, fd in self.words.handles.items():
            status = os.fstat(fd)
            found[f"[{handle}]"] = self._shown(status, times)
        self._times = times
        return found

    def _look(self, path: bytes, name: bytes, found: dict[str, object], times: dict[int, tuple[int, int]]) -> None:
        status = os.lstat(path)
        told: list[object] = [self._shown(status, times), _attributes(path)]
        if stat.S_ISLNK(status.st_mode):
            told.append(os.readlink(path))
        elif stat.S_ISREG(status.st_mode):
            told.append(self._content(path, status))
        found[repr(name)] = told
        if stat.S_ISDIR(status.st_mode):
            for entry in _inside(path):
                below = os.path.join(path, entry.name)
                if entry.number != os.lstat(below).st_ino or entry.kind != stat.S_IFMT(os.lstat(below).st_mode) >> 12:
                    told.append(("listed otherwise", entry.name, entry.kind))
                self._look(below, os.path.join(name, entry.name), found, times)

    def _shown(self, status: os.stat_result, times: dict[int, tuple[int, int]]) -> tuple[object, ...]:
        """What stat(2) says of which both places must agree."""
        now = time.time_ns()
        before = self._times.get(status.st_ino)
        times[status.st_ino] = status.st_mtime_ns, status.st_ctime_ns
        kind = stat.S_IFMT(status.st_mode)
        device = status.st_rdev if kind in (stat.S_IFCHR, stat.S_IFBLK) else 0
        changed = before is None or before[1] != status.st_ctime_ns
        accessed = status.st_atime_ns if self._set_times and abs(status.st_atime_ns - now) > _DAY else 0
        modified: object = before is None or before[0] != status.st_mtime_ns
        if abs(status.st_mtime_ns - now) > _DAY:
            modified = status.st_mtime_ns
        return (
            stat.filemode(status.st_mode), status.st_uid, status.st_gid, status.st_nlink,
            None if kind == stat.S_IFDIR else status.st_size, device, accessed, modified,
            changed and not self._set_attribute,
        )  # fmt: skip

    def _content(self, path: bytes, status: os.stat_result) -> object:
        """Read only what has changed: huge files are mostly holes, and not read at all."""
        if status.st_size > 32 << 20:
            return "huge"
        key = status.st_size, status.st_mtime_ns, status.st_ctime_ns
        known = self._contents.get(status.st_ino)
        if known is None or known[0] != key:
            fd = os.open(path, os.O_RDONLY | os.O_NOATIME)
            try:
                digest = hashlib.sha256(os.read(fd, 33 << 20)).hexdigest()[:12]
            finally:
                os.close(fd)
            known = self._contents[status.st_ino] = (key, digest)
        return known[1]


def _inside(path: bytes) -> list[Entry]:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOATIME)
    try:
        found: list[Entry] = []
        while more := entries(fd):
            found += more
    finally:
        os.close(fd)
    assert sorted(entry.name for entry in found if entry.name in (b".", b"..")) == [b".", b".."]
    return sorted(entry for entry in found if entry.name not in (b".", b".."))


def _attributes(path: bytes) -> dict[str, bytes]:
    return {
        name: os.getxattr(path, name, follow_symlinks=False)
        for name in sorted(os.listxattr(path, follow_symlinks=False))
    }


class Difference(NamedTuple):
    """Where two places part."""

    title: str
    script: str  # up to there
    here: object
    right: object

    def __str__(self) -> str:
        return f"{self.title}\n  {self.script}\n  mount: {self.here!r}\n  ext4:  {self.right!r}"


def compare(tried: Path, right: Path, case: Case, cast: Cast) -> Difference | None:
    """Do a script in two new directories, which belong to alice; where it comes out otherwise, if it does."""
    places = [_Place(top, cast) for top in (tried, right)]
    done: list[str] = []
    try:
        for place in places:
            place.look()
        for who, what in steps_of(case.script):
            done.append(f"{who}: {what}")
            time.sleep(TICK)
            said = [place.do(who, what) for place in places]
            if said[0] != said[1]:
                return Difference(case.title, "; ".join(done), said[0], said[1])
            seen = _same([place.look(what.split()[0] if said[0] is None else "") for place in places])
            if seen is not None:
                return Difference(case.title, "; ".join(done), *seen)
    finally:
        os.umask(0o022)
        os.chdir("/")
        for place in places:
            place.words.end()
    return None


def differs(tried: Path, right: Path, case: Case, cast: Cast, *, tidy: bool = False) -> Difference | None:
    """The same, again where it comes out otherwise: two steps in one tick of the clock leave one time. `tidy`: what
    comes out the same is taken away."""
    difference = None
    for again in range(_TRIES):
        places = [top.with_name(f"{top.name} {os.getpid()}-{again}") for top in (tried, right)]
        difference = compare(places[0], places[1], case, cast)
        if difference is None:
            for place in places if tidy else ():
                shutil.rmtree(place)
            return None
    return difference


def _same(looks: Sequence[dict[str, object]]) -> tuple[object, object] | None:
    """Nothing if they are; else what is only in each of them."""
    here, right = looks
    if here == right:
        return None
    names = [name for name in here.keys() | right.keys() if here.get(name) != right.get(name)]
    return {name: here.get(name) for name in names}, {name: right.get(name) for name in names}


def outcome(top: Path, script: str, cast: Cast) -> object:
    """What comes of a script's last step in one place."""
    place = _Place(top, cast)
    said: object = None
    try:
        for who, what in steps_of(script):
            time.sleep(TICK)
            said = place.do(who, what)
        return said
    finally:
        os.chdir("/")
        place.words.end()
