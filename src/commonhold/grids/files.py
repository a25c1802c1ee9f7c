"""The files of one grid's known servers, on disk: caches, the override, revocation lists. Read whole, replaced whole.

What they say is `reading`'s. A cache that cannot be read is a problem that is told; an override that cannot be opened
is an error, as what it forbids is not known then. docs/spec/known-servers.md.
"""

import contextlib
import hashlib
import os
import re
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from commonhold.authority.lists import Lists
from commonhold.authority.trust import Trust
from commonhold.errors import HoldError, Kind, os_errors
from commonhold.formats import pin
from commonhold.formats.malformed import Malformed
from commonhold.formats.pin import SpkiPin
from commonhold.formats.statement import Kind as Statement
from commonhold.grids import reading
from commonhold.grids.clauses import File
from commonhold.grids.marked import MAX_FILE, Place, Problem
from commonhold.grids.writing import Cached, Entry, cache
from commonhold.host import disk
from commonhold.host.private import refuse_shared
from commonhold.transport.rules import Rules

MAX_CACHES: Final = 64
LISTS: Final = "revocations"

_OP = "read"
_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW
_LIST = re.compile("[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Files:
    """All that was read. `problems` are of files that could not be; those within a file stand in it."""

    caches: tuple[File, ...]
    override: File
    override_data: bytes
    problems: tuple[Problem, ...] = ()


def read(directory: Path, owner: int) -> Files:
    """Read what is known of a grid's servers. DENIED for a directory or an override that is not its owner's alone."""
    _refuse_shared(directory, owner)
    override = read_override(directory, owner)
    caches: list[File] = []
    problems: list[Problem] = []
    names = _names(directory / reading.CACHE, ".yaml")
    if len(names) > MAX_CACHES:
        problems.append(Problem(Place(reading.CACHE, 1, 1), "", f"{len(names)} caches, of which {MAX_CACHES} are read"))
    for name in names[:MAX_CACHES]:
        file = f"{reading.CACHE}/{name}"
        try:
            introducer = pin.parse_pin(name.removesuffix(".yaml"))
            caches.append(reading.cache(introducer, _bytes(directory / file, owner)))
        except Malformed as error:
            problems.append(Problem(Place(file, 1, 1), "", f"not named by an introducer's pin: {error.why}"))
        except HoldError as error:
            problems.append(Problem(Place(file, 1, 1), "", error.why))
    return Files(tuple(caches), reading.override(override), override, tuple(problems))


def read_override(directory: Path, owner: int) -> bytes:
    """The override's bytes; none where there is none. TOO_LARGE, as nobody can tell whom the rest is about."""
    path = directory / reading.OVERRIDE
    return _bytes(path, owner) if os.path.lexists(path) else b""


def read_cache(directory: Path, introducer: SpkiPin, owner: int) -> File:
    """What one introducer has shown; an empty file where there is none."""
    path = directory / reading.CACHE / f"{introducer}.yaml"
    return reading.cache(introducer, _bytes(path, owner) if path.exists() else b"")


def write_cache(directory: Path, introducer: SpkiPin, shown: Iterable[Entry], rules: Rules) -> Cached:
    """Put a cache in the place of the one before, on disk on return. `rules` are those in force now."""
    made = cache(introducer, shown, rules)
    with _turn_on(directory / reading.CACHE):
        _replace(directory / reading.CACHE / f"{introducer}.yaml", made.data)
    return made


def replace_override(directory: Path, before: bytes, after: bytes, owner: int) -> None:
    """Put an override in the place of the one that was read, on disk on return. CHANGED where it is another by now."""
    path = directory / reading.OVERRIDE
    with disk.turn_on(directory):
        if read_override(directory, owner) != before:
            raise HoldError("override", Kind.CHANGED, str(path), "it was written meanwhile")
        _replace(path, after)


# ── Revocation lists ───────────────────────────────────────────────────────────────────────────────


def read_lists(directory: Path, trust: Trust, owner: int) -> Lists:
    """The revocation lists that were kept, of those whose word counts. One that is damaged is as good as none."""
    found = Lists(trust.watched)
    for name in _names(directory / LISTS, ""):
        if _LIST.fullmatch(name):
            try:
                found.take(_bytes(directory / LISTS / name, owner))
            except Malformed:
                continue
    return found


def write_lists(directory: Path, lists: Lists) -> None:
    """Keep what is known, each in a file of its own; what it has replaced goes afterwards."""
    with _turn_on(directory / LISTS):
        kept = {hashlib.sha256(data).hexdigest()[:32]: data for data in lists.kept}
        there = _names(directory / LISTS, "")
        for name, data in kept.items():
            if name not in there:
                _replace(directory / LISTS / name, data)
        for name in set(there) - set(kept):
            with os_errors("remove", str(directory / LISTS / name)):
                (directory / LISTS / name).unlink()


# ── Files ──────────────────────────────────────────────────────────────────────────────────────────


def _refuse_shared(path: Path, owner: int) -> None:
    with os_errors(_OP, str(path)):
        refuse_shared(_OP, path.lstat(), path, owner, stat.S_IFDIR)


def _names(path: Path, ending: str) -> list[str]:
    if not path.exists():
        return []
    with os_errors(_OP, str(path)):
        return sorted(one.name for one in path.iterdir() if one.name.endswith(ending))


def _bytes(path: Path, owner: int) -> bytes:
    """A file's bytes. DENIED for what is not its owner's or what others may write: they are kept from reading it by
    the directory, which an editor's new file need not be."""
    with os_errors(_OP, str(path)):
        fd = os.open(path, _READ)
        try:
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode) or status.st_uid != owner or status.st_mode & 0o022:
                why = f"not a file that uid {owner} alone may write"
                raise HoldError(_OP, Kind.DENIED, str(path), why, hint=f"ls -l {path}; chmod 600 {path}")
            data = disk.read_at(fd, _LARGEST + 1, 0)
        finally:
            os.close(fd)
    if len(data) > _LARGEST:
        raise HoldError(_OP, Kind.TOO_LARGE, str(path), f"over {_LARGEST >> 20} MiB")
    return data


_LARGEST = max(MAX_FILE, Statement.REVOCATIONS.most)


@contextlib.contextmanager
def _turn_on(directory: Path) -> Iterator[None]:
    """The turn on a directory of files that several commands, and calls of one agent, write at any time."""
    with os_errors("write", str(directory)):
        disk.make_directory(directory, 0o700)
        with disk.turn_on(directory):
            yield


def _replace(path: Path, data: bytes) -> None:
    with os_errors("write", str(path)):
        disk.make_directory(path.parent, 0o700)
        disk.replace_file(str(path), data)
