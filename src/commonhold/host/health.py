"""Whether a machine and a repository's files are fit for their work: observed facts in, findings out. Pure.

Each check is a function of what was seen; it says at least one thing, and for what is wrong a line to paste.
"""

import os
import stat
import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from shlex import quote

from commonhold.errors import HoldError
from commonhold.host.mounted import Mounted
from commonhold.host.names import shown
from commonhold.host.private import refuse_shared
from commonhold.host.repository import MARKER, Candidate, Choice
from commonhold.host.units import Drift


class Status(Enum):
    """How bad a finding is."""

    OK = "OK"
    WARN = "WARN"
    FAIL = "FAIL"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found, in a sentence, and the line that helps (None: nothing is to be done)."""

    status: Status
    check: str
    said: str
    remedy: str | None = None


def ok(check: str, said: str) -> Finding:
    """Nothing to be done."""
    return Finding(Status.OK, check, said)


def warn(check: str, said: str, remedy: str) -> Finding:
    """Works, but."""
    return Finding(Status.WARN, check, said, remedy)


def fail(check: str, said: str, remedy: str) -> Finding:
    """Does not work, or lets in whom it should not."""
    return Finding(Status.FAIL, check, said, remedy)


# ── clock ──

_SLACK = 120.0  # seconds that two clocks may be apart
_LATEST = 4_102_444_800.0  # 2100
_SET_CLOCK = "sudo timedatectl set-ntp true"


def clock(now: float, built: float, newest: float | None, synchronised: bool | None) -> Finding:
    """Times in seconds since 1970: of this program's files, and of the repository's newest file, if it may be seen.

    `synchronised`: whether something keeps the clock right, None if nobody can say.
    """
    said = _date(now)
    if now < built - _SLACK:
        return fail("clock", f"it says {said}, but this program was installed {_date(built)}", _SET_CLOCK)
    if now > _LATEST:
        return fail("clock", f"it says {said}", _SET_CLOCK)
    if newest is not None and newest > now + _SLACK:
        return warn("clock", f"it says {said}, but a file of the repository is of {_date(newest)}", _SET_CLOCK)
    if synchronised is False:
        return warn("clock", f"{said}; nothing keeps it right", _SET_CLOCK)
    kept = "kept right" if synchronised else "whether it is kept right cannot be told here"
    return ok("clock", f"{said}; {kept}")


def _date(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))


# ── which repository ──


def repository(choice: Choice, others: Sequence[Candidate], exists: bool, owner: int | None, uid: int) -> list[Finding]:
    """The choice: why, what was passed over, and what it hides of the others that the search would find.

    `owner` is the uid that the directory belongs to, None where that cannot be seen.
    """
    said = f"{shown(str(choice.path))} ({choice.why})"
    if not exists:
        return [fail("repository", f"{said} is none", f"hold --repo {_word(choice.path)} init")]
    if owner not in (None, 0, uid):
        why = f"{said} belongs to uid {owner}, who can change what is in it"
        found = [warn("repository", why, f"ls -ld {_word(choice.path)}")]
    else:
        found = [ok("repository", said)]
    for path, why in choice.passed_over:
        found.append(warn("repository", f"passed over {shown(str(path))}: {why}", f"ls -ld {_word(path)}"))
    passable = {one.path: one for one in others if one.why_not is None}
    for other in passable.values() if choice.path in passable else ():  # one that was named hides nothing by accident
        if other.path != choice.path:
            hidden = f"hides {shown(str(other.path))} ({other.why})"
            found.append(warn("repository", hidden, f"hold --repo {_word(other.path)} status"))
    return found


def closed(path: Path) -> Finding:
    """A directory that may be a repository, but is not for the caller to look into."""
    return fail("repository", f"{shown(str(path))} is closed to you", f"ls -ld {_word(path)}")


# ── modes ──


@dataclass(frozen=True, slots=True)
class Entry:
    """A file or directory, as lstat(2) has it."""

    path: Path
    mode: int
    uid: int


def files(entries: Sequence[Entry]) -> list[Finding]:
    """The repository's directory (first, no link), and what is in it: one owner's, changed by nobody else.

    The directory and the file with the store's secret are not to be read by others either. Sockets are left.
    """
    found = []
    directory = entries[0]
    for one in entries:
        remedy = f"chmod {'700' if stat.S_ISDIR(one.mode) else '600'} {_word(one.path)}"
        if stat.S_ISSOCK(one.mode):
            continue
        if stat.S_ISLNK(one.mode):
            found.append(warn("modes", f"{_shown(one)} is a symbolic link", f"ls -ld {_word(one.path)}"))
        elif one.uid != directory.uid:
            owned = f"sudo chown -R {directory.uid} {_word(directory.path)}"
            found.append(fail("modes", f"{_shown(one)} is not of uid {directory.uid}, as the repository is", owned))
        elif one.mode & 0o022:
            found.append(fail("modes", f"{_shown(one)} can be changed by others", remedy))
        elif one.mode & 0o055 and (one is directory or one.path.name == MARKER):
            found.append(warn("modes", f"{_shown(one)} can be looked into by others", remedy))
    return found or [ok("modes", "the repository's files are its owner's only")]


def secrets(found: Sequence[tuple[Path, os.stat_result, int]], owner: int) -> list[Finding]:
    """Directories and files of keys, each with its `os.stat_result` and the kind that it should have."""
    wrong = []
    for path, status, kind in found:
        try:
            refuse_shared("key", status, path, owner, kind)
        except HoldError as error:
            wrong.append(fail("keys", str(error), error.hint))
    return wrong or [ok("keys", "nobody else can read them" if found else "there are none yet")]


def config(entry: Entry | None) -> list[Finding]:
    """A daemon's config file, if this host has it (A51)."""
    if entry is None:
        return []
    said = _shown(entry)
    if entry.mode & stat.S_IWOTH or entry.uid != 0:
        path = _word(entry.path)
        return [
            fail("config", f"{said}: others than root can change it", f"sudo chown root {path}; sudo chmod 640 {path}")
        ]
    if entry.mode & stat.S_IROTH:
        return [fail("config", f"{said}: everybody can read it", f"sudo chmod o-rwx {_word(entry.path)}")]
    return [ok("config", said)]


def _shown(entry: Entry) -> str:
    return f"{shown(str(entry.path))} (mode {stat.S_IMODE(entry.mode):04o}, uid {entry.uid})"


# ── whose turn, and the disk below ──


def lock(holder: str | None, path: Path, served: bool) -> Finding:
    """Whose turn it is. A node has it for good, and everybody calls the node."""
    if holder is None:
        return ok("lock", "free")
    if served:
        return ok("lock", f"in use by {holder}")
    return warn("lock", f"in use by {holder}; other commands are turned away", f"fuser -v {_word(path)}")


@dataclass(frozen=True, slots=True)
class Space:
    """What a file system has left for the caller, and in all: bytes and inodes (0 of 0: it does not count them)."""

    free: int
    size: int
    free_inodes: int
    inodes: int
    read_only: bool


_MIN_FREE = 64 << 20
_LOW_FREE = 1 << 30
_LOW_PART = 0.1
_MIN_INODES = 64


def disk(space: Space, path: Path) -> list[Finding]:
    """Whether there is room for more."""
    found = []
    if space.read_only:
        mount = f"sudo mount -o remount,rw $(stat -c %m {_word(path)})"
        found.append(fail("disk", f"{shown(str(path))} can only be read", mount))
    mebibytes = space.free >> 20
    part = space.free / space.size if space.size else 0.0
    said = f"{mebibytes} MiB free, {part:.0%}"
    if space.free < _MIN_FREE:
        found.append(fail("disk", said, "hold gc"))
    elif space.free < _LOW_FREE or part < _LOW_PART:
        found.append(warn("disk", said, "hold gc"))
    if space.inodes and space.free_inodes < _MIN_INODES:
        found.append(fail("disk", f"{space.free_inodes} inodes free", f"df -i {_word(path)}"))
    elif space.free_inodes < space.inodes * _LOW_PART:
        found.append(warn("disk", f"{space.free_inodes} of {space.inodes} inodes free", f"df -i {_word(path)}"))
    return found or [ok("disk", said)]


_PUNCHES = {"ext4", "xfs", "btrfs", "f2fs", "zfs", "bcachefs", "gfs2", "ocfs2"}
_FLEETING = {"tmpfs": "is gone after a restart of the machine", "ramfs": "is gone after a restart of the machine"}
_FLEETING["overlay"] = "mostly goes with its container"
_REMOTE = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "ceph", "glusterfs", "afs"}


def file_system(kind: str | None, path: Path) -> Finding:
    """The type of file system that a repository is on, as the kernel names it; None if unknown."""
    remedy = f"findmnt -T {_word(path)}"
    if kind is None:
        return warn("file system", f"of {shown(str(path))}: unknown", remedy)
    if kind in _FLEETING:
        return warn("file system", f"{kind}: what is on it {_FLEETING[kind]}", remedy)
    if kind in _REMOTE or kind.startswith("fuse."):
        return warn("file system", f"{kind}: the index wants locks and shared memory of this machine", remedy)
    if kind not in _PUNCHES:
        return warn("file system", f"{kind} may have no holes: what gc deletes gives less space back", remedy)
    return ok("file system", kind)


# ── the mount ──


@dataclass(frozen=True, slots=True)
class Shown:
    """One of the places where a mount is, and why nobody gets in there (None: it answers)."""

    at: Mounted
    why_not: str | None


def mount(found: Sequence[Shown], enabled: bool, version: str) -> list[Finding]:
    """The mount of this host, as far as it is seen from here. `enabled`: its service is to run from the start on."""
    restart = "sudo systemctl restart commonhold-mount" if enabled else "sudo hold mount --off"
    if not found and enabled:
        return [fail("mount", "its service is enabled, but nothing is mounted", "systemctl status commonhold-mount")]
    wrong = []
    for one in found:
        where = shown(str(one.at.path))
        if one.why_not is not None:
            wrong.append(fail("mount", f"{where}: {one.why_not}", restart))
        elif one.at.version != version:
            said = f"{where} is by hold {shown(one.at.version)}, this command of {version}"
            wrong.append(warn("mount", said, restart))
    paths = ", ".join(shown(str(one.at.path)) for one in found)
    return wrong or [ok("mount", f"{paths}: there, and answers" if found else "there is none here")]


# ── units ──


def units(drifts: Sequence[Drift]) -> list[Finding]:
    """The units that are installed, against those of this version."""
    if all(one.path is None for one in drifts):
        return [ok("units", "none are installed")]
    found = []
    for one in drifts:
        if one.path is None:
            remedy = "sudo apt-get install --reinstall commonhold"
            found.append(warn("units", f"{one.unit} is not installed, though others are", remedy))
        elif not one.same:
            differences = [f"+{line}" for line in one.added] + [f"-{line}" for line in one.missing]
            said = f"{one.path} is not this version's: {len(differences)} lines differ, such as {differences[0]}"
            local = one.path.is_relative_to("/etc")
            remedy = f"sudo systemctl revert {one.unit}" if local else "sudo apt-get install --reinstall commonhold"
            found.append(warn("units", said, remedy))
    drop_ins = ", ".join(str(path) for one in drifts for path in one.drop_ins)
    return found or [ok("units", "those of this version" + (f"; and your own: {drop_ins}" if drop_ins else ""))]


def _word(path: Path) -> str:
    """A path as a word of a line to paste."""
    return quote(shown(str(path)))
