"""Making something new under its name: beside it under a partial name first, moved there whole, never over anything.

Knows directories and names, not what is made. What is left of a failure is removed, whatever its depth and modes.
"""

import contextlib
import ctypes
import errno
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from commonhold.errors import HoldError, Kind, os_errors
from commonhold.host.names import shown
from commonhold.host.removing import remove_tree

NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_NOREPLACE = 1
# What an old kernel, a filter of system calls, and a file system without the flag say.
_NO_FLAG = (errno.ENOSYS, errno.EINVAL, errno.EPERM, errno.EOPNOTSUPP)
_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK)

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Place:
    """Where something new is made: an open directory, and its name there until it is whole."""

    directory: int
    partial: str


@contextlib.contextmanager
def placed(op: str, target: str) -> Iterator[Place]:
    """Run a block that makes something under a partial name; where the block ends well it becomes the target.

    EXISTS if there is something already, then or at the end. However else it ends, nothing is left of it, or the
    error says what is.
    """
    parent, name = os.path.split(target.rstrip("/"))
    subject = shown(target)
    with os_errors(op, subject):
        if os.path.lexists(target):
            raise HoldError(op, Kind.EXISTS, subject, "there is something already", hint="choose another place with -o")
        if name in ("", ".", ".."):
            raise HoldError(op, Kind.USAGE, subject, "names nothing that could be made", hint="choose a name")
        directory = os.open(parent or ".", _DIRECTORY)
    # A name's bytes are limited, not its characters.
    partial = f".{os.fsdecode(os.fsencode(name)[:200])}.{secrets.token_hex(4)}.partial"
    try:
        yield Place(directory, partial)
        with os_errors(op, subject):
            rename_new(directory, partial, name)
    except BaseException as error:
        try:
            remove_tree(directory, partial)
        except OSError as failure:
            left = f"what was made is left at {shown(os.path.join(parent, partial))}: {failure.strerror}"
            if isinstance(error, HoldError):
                why = f"{error.why}; {left}"
                raise HoldError(error.op, error.kind, error.subject, why, hint=error.hint) from error
            error.add_note(left)
        raise
    finally:
        os.close(directory)


@contextlib.contextmanager
def new_file(op: str, target: str) -> Iterator[BinaryIO]:
    """A file to write, of the caller's umask, which becomes the target when the block ends well. See `placed`."""
    with (
        placed(op, target) as place,
        os_errors(op, shown(target)),
        open(os.open(place.partial, NEW_FILE, 0o666, dir_fd=place.directory), "wb") as sink,
    ):
        yield sink


def rename_new(directory: int, old: str, new: str) -> None:
    """Rename within an open directory, atomically and never over anything: OSError EEXIST."""
    try:
        _rename_noreplace(directory, old, new)
    except OSError as error:
        if error.errno not in _NO_FLAG:
            raise
        rename_by_link(directory, old, new)


def _rename_noreplace(directory: int, old: str, new: str) -> None:
    if not hasattr(_libc, "renameat2"):
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    if _libc.renameat2(directory, os.fsencode(old), directory, os.fsencode(new), _NOREPLACE) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def rename_by_link(directory: int, old: str, new: str) -> None:
    """What `rename_new` does, where the file system cannot be told not to replace. EOPNOTSUPP if it has no links.

    A directory takes the place of an empty one that was made for it: a rename replaces nothing else by a directory.
    """
    try:
        os.link(old, new, src_dir_fd=directory, dst_dir_fd=directory, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
    else:
        os.unlink(old, dir_fd=directory)
        return
    if not _is_directory(directory, old):
        raise OSError(errno.EOPNOTSUPP, "this file system cannot rename without replacing: choose another")
    os.mkdir(new, dir_fd=directory)
    os.rename(old, new, src_dir_fd=directory, dst_dir_fd=directory)


def _is_directory(directory: int, name: str) -> bool:
    try:
        os.close(os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory))
    except NotADirectoryError:
        return False
    return True
