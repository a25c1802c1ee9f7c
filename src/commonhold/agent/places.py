"""Paths of the caller's own tree, as commands and the mount have them: /hold/me/PATH, or /hold/NAME/PATH."""

import os
import pwd
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from commonhold.errors import HoldError, Kind, from_os
from commonhold.host.names import shown
from commonhold.trees import ROOT, Attr
from commonhold.volume.volume import Volume

TREE = "/hold/me"


def parse(op: str, path: str, uid: int) -> list[bytes]:
    """Return the names below the root of the caller's tree. DENIED for another user's, USAGE for what is no path."""
    parts = [part for part in os.fsencode(path).split(b"/") if part]
    if not path.startswith("/hold/") or len(parts) < 2:
        why = "your own tree begins at /hold/me"
        raise HoldError(op, Kind.USAGE, shown(path), why, hint=f"{TREE}/PATH")
    if parts[1] not in (b"me", _name(uid)):
        why = "this is somebody else's tree"
        raise HoldError(
            op, Kind.DENIED, shown(path), why, hint="read it through the mount, as far as its modes let you"
        )
    for part in parts[2:]:
        if part in (b".", b"..") or b"\0" in part:
            raise HoldError(op, Kind.USAGE, shown(path), f"{shown(os.fsdecode(part))} cannot be part of a path here")
    return parts[2:]


def _name(uid: int) -> bytes | None:
    try:
        return os.fsencode(pwd.getpwuid(uid).pw_name)
    except KeyError:
        return None


def text(names: Sequence[bytes]) -> str:
    """The path of names below the root."""
    return os.fsdecode(b"/".join([TREE.encode(), *names]))


@contextmanager
def about(op: str, path: str) -> Iterator[None]:
    """Run a block whose OSErrors are about one path of the tree."""
    try:
        yield
    except OSError as error:
        raise _told(op, path, error) from error


def _told(op: str, path: str, error: OSError) -> HoldError:
    told = from_os(op, shown(path), error)
    hint = "hold ls lists what is there" if told.kind in (Kind.NOT_FOUND, Kind.NOT_A_DIRECTORY) else None
    return HoldError(op, told.kind, told.subject, told.why, hint=hint)


def find(op: str, volume: Volume, names: Sequence[bytes]) -> Attr:
    """What is at a path. Symbolic links are not followed. NOT_FOUND, NOT_A_DIRECTORY."""
    found = volume.attr(ROOT)
    for depth, name in enumerate(names):
        with about(op, text(names[: depth + 1])):
            found = volume.lookup(found.number, name)
    return found


def directory(op: str, volume: Volume, names: Sequence[bytes]) -> Attr:
    """A directory at a path."""
    found = find(op, volume, names)
    if not stat.S_ISDIR(found.mode):
        raise HoldError(
            op, Kind.NOT_A_DIRECTORY, shown(text(names)), "not a directory", hint="hold stat says what it is"
        )
    return found
