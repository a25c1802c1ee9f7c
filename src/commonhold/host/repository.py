"""Where the repository is, and whose turn it is. Search order of A28 with its owner check; a lock that says who has it.

Knows paths and owners; does not look into a repository.
"""

import contextlib
import errno
import fcntl
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from commonhold.errors import HoldError, Kind, from_os

NAME = ".hold"
MARKER = "format.json"
SOCKET = "node.sock"
AGENT_SOCKET = "agent.sock"
LOCK = "lock"
VOLUME = "volume.sqlite"  # the owner's own tree, once there is one
KEYS = "keys"  # a directory of its owner alone
SYSTEM = Path("/var/lib/commonhold")
SYSTEM_SOCKET = Path("/run/commonhold/node.sock")
SYSTEM_CONFIG = Path("/etc/commonhold/node.toml")
MOUNT_CONFIG = Path("/etc/commonhold/mount.toml")


@dataclass(frozen=True, slots=True)
class Choice:
    """The repository chosen, why that one, and which were passed over and why."""

    path: Path
    why: str
    passed_over: tuple[tuple[Path, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Candidate:
    """A repository on the way, why it is one, and why it is not to be taken (None: it may be)."""

    path: Path
    why: str
    why_not: str | None


def named(explicit: str | None, variable: str | None) -> Choice | None:
    """What --repo or else $HOLD_REPO names, whoever owns it. USAGE for a name of nothing."""
    for name, why, hint in ((explicit, "--repo", "--repo DIR"), (variable, "$HOLD_REPO", "unset HOLD_REPO")):
        if name == "":
            raise HoldError("find", Kind.USAGE, why, "is empty", hint=hint)
        if name is not None:
            return Choice(Path(name), why)
    return None


def find(explicit: str | None, variable: str | None, cwd: Path | None, home: Path | None, uid: int) -> Choice:
    """Choose: --repo, $HOLD_REPO, every parent of the working directory, home, the system's.

    A parent's is taken only if the caller or root owns it, and none beyond a file system boundary.
    """
    chosen = named(explicit, variable)
    if chosen is not None:
        return chosen
    passed: list[tuple[Path, str]] = []
    for one in search(cwd, home, uid):
        if one.why_not is None:
            return Choice(one.path, one.why, tuple(passed))
        passed.append((one.path, one.why_not))
    note = f"; passed over {passed[0][0]}: {passed[0][1]}" if passed else ""
    raise HoldError("find", Kind.NO_REPOSITORY, "repository", f"there is none here{note}", hint="hold init")


def search(cwd: Path | None, home: Path | None, uid: int) -> Iterator[Candidate]:
    """Every repository that there is on the way, in the order of `find`."""
    device = cwd.stat().st_dev if cwd else None
    for parent in (cwd, *cwd.parents) if cwd else ():
        if parent.stat().st_dev != device:
            break
        candidate = parent / NAME
        if is_repository(candidate):
            yield Candidate(candidate, "found above the working directory", _why_not(candidate, uid))
    usual = [(home / NAME, "in the home directory")] if home else []
    for place, why in [*usual, (SYSTEM, "the system's")]:
        if is_repository(place) or (place == SYSTEM and SYSTEM_SOCKET.exists()):
            yield Candidate(place, why, None)


def is_repository(path: Path) -> bool:
    """Whether a directory is one, as far as we may look."""
    try:
        return (path / MARKER).exists()
    except OSError:
        return False


def node_socket(repository: Path) -> Path:
    """Where the node of a repository listens: beside its files; the system's is where /run has it."""
    return SYSTEM_SOCKET if repository == SYSTEM else repository / SOCKET


def require(path: Path) -> None:
    """NO_REPOSITORY where there is none."""
    if not is_repository(path):
        raise HoldError("open", Kind.NO_REPOSITORY, str(path), "not a repository", hint="hold init")


def _why_not(path: Path, uid: int) -> str | None:
    for part in (path, path / MARKER):
        owner = part.lstat().st_uid
        if owner not in (uid, 0):
            return f"owned by uid {owner}, not by you or root"
        if part.is_symlink():
            return "a symbolic link"
    return None


class Lock:
    """The turn on a repository: one process at a time, given back when it ends however it ends."""

    def __init__(self, repository: Path, command: str) -> None:
        require(repository)
        path = repository / LOCK
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise _no_lock(path, error) from error
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = _holder(self._fd)
            os.close(self._fd)
            if error.errno == errno.EWOULDBLOCK:
                raise HoldError("open", Kind.BUSY, str(repository), f"in use by {holder}") from None
            raise _no_lock(path, error) from error
        said = {"pid": os.getpid(), "command": command, "since": int(time.time())}
        with contextlib.suppress(OSError):  # the turn is ours though a full disk keeps us from saying so
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, json.dumps(said).encode(), 0)

    def release(self) -> None:
        """Give the turn back."""
        os.ftruncate(self._fd, 0)
        os.close(self._fd)


@contextlib.contextmanager
def unlocked(repository: Path) -> Iterator[str | None]:
    """Run a block while nobody changes a repository, if its lock is free now: None, or else who has it.

    Reads only; OSError where we may not look.
    """
    try:
        fd = os.open(repository / LOCK, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:  # nobody ever had it
        yield None
        return
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            yield _holder(fd)
        else:
            yield None
    finally:
        os.close(fd)


def _no_lock(path: Path, error: OSError) -> HoldError:
    told = from_os("lock", str(path), error)
    hint = {
        errno.EROFS: "mount its file system for writing",
        errno.ENOLCK: "put the repository on a file system that has locks",
    }.get(error.errno or 0)
    return HoldError(told.op, told.kind, told.subject, told.why, hint=hint)


def _holder(fd: int) -> str:
    try:
        said = json.loads(os.pread(fd, 4096, 0))
        since = time.strftime("%H:%M:%S", time.localtime(int(said["since"])))
        return f"process {int(said['pid'])} (hold {said['command']}) since {since}"
    except (ValueError, KeyError, TypeError):
        return "another process"
