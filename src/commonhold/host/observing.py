"""What doctor looks at on a machine, gathered without judging it; and patience for what may never answer."""

import contextlib
import os
import stat
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from commonhold.errors import HoldError, Kind
from commonhold.host.health import Entry, Space
from commonhold.host.mounted import unescaped
from commonhold.host.repository import KEYS

_CLOCK_SECONDS = 2.0

Seen = TypeVar("Seen")


def within(seconds: float, look: Callable[[], Seen]) -> Seen:
    """What `look` gives or raises, if it ends in time. UNREACHABLE otherwise: it is left to itself."""
    seen: list[Seen] = []
    raised: list[Exception] = []

    def run() -> None:
        try:
            seen.append(look())
        except Exception as error:  # noqa: BLE001  raised again by who waits
            raised.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if raised:
        raise raised[0]
    if not seen:
        raise HoldError("look", Kind.UNREACHABLE, "", f"no answer within {seconds:g} s")
    return seen[0]


def entry(path: Path) -> Entry | None:
    """A file as it is; None where there is none."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return None
    return Entry(path, found.st_mode, found.st_uid)


def own_files(repository: Path) -> list[Entry]:
    """The repository's directory, then what is directly in it, as far as it may be seen."""
    found = [repository]
    with contextlib.suppress(PermissionError):  # not for us to see, as it should be
        found += sorted(repository.iterdir())
    return [seen for path in found if (seen := entry(path)) is not None]


def secret_files(repository: Path) -> list[tuple[Path, os.stat_result, int]]:
    """The directory of keys and what is in it, each with what it should be."""
    directory = repository / KEYS
    if not os.path.lexists(directory):
        return []
    found = [(directory, directory.lstat(), stat.S_IFDIR)]
    if stat.S_ISDIR(found[0][1].st_mode):
        found += [(path, path.lstat(), stat.S_IFREG) for path in sorted(directory.iterdir())]
    return found


def newest(repository: Path) -> float | None:
    """When the repository's newest file was written, in seconds since 1970; None where none may be seen."""
    times = list(_times(repository)) + list(_times(repository / "segments"))
    return max(times, default=None)


def _times(directory: Path) -> Iterator[float]:
    try:
        with os.scandir(directory) as entries:
            for one in entries:
                yield one.stat(follow_symlinks=False).st_mtime
    except OSError:
        return  # another's, or not there yet


def space(path: Path) -> Space:
    """What the file system has left."""
    found = os.statvfs(path)
    return Space(
        found.f_bavail * found.f_frsize,
        found.f_blocks * found.f_frsize,
        found.f_favail,
        found.f_files,
        bool(found.f_flag & os.ST_RDONLY),
    )


def file_system_of(path: Path, mounts: str) -> str | None:
    """The type of the file system that an absolute path without links is on. `mounts`: proc(5), mountinfo."""
    best, kind = -1, None
    for line in mounts.splitlines():
        left, _, right = line.partition(" - ")
        point = unescaped(left.split(" ")[4])
        if path.is_relative_to(point) and len(point) >= best:
            best, kind = len(point), right.split(" ")[0]
    return kind


def clock_is_kept() -> bool | None:
    """Whether the service manager knows the clock to be kept right; None if it says nothing, or not soon."""
    try:
        said = subprocess.run(
            ["timedatectl", "show", "--property=NTPSynchronized", "--value"],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_CLOCK_SECONDS, check=False,
        ).stdout.strip()  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    return {"yes": True, "no": False}.get(said)
