"""Where the repository is: search order of A28, with its owner check.

Knows paths and owners; does not look into a repository.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from commonhold.errors import HoldError, Kind
from commonhold.host.locked import DirectoryLock

NAME = ".hold"
MARKER = "format.json"
SOCKET = "node.sock"
AGENT_SOCKET = "agent.sock"
VOLUME = "volume.sqlite"  # the owner's own tree, once there is one
KEYS = "keys"  # a directory of its owner alone
SYSTEM = Path("/var/lib/commonhold")
SYSTEM_SOCKET = Path("/run/commonhold/node.sock")
SYSTEM_TENDER = Path("/run/commonhold/tender.sock")
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


class Lock(DirectoryLock):
    """The turn on a repository. NO_REPOSITORY where there is none."""

    def __init__(self, repository: Path, command: str) -> None:
        require(repository)
        super().__init__(repository, command)
