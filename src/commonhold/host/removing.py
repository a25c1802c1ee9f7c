"""Removing a file or tree, whatever its depth and modes, and never by a link."""

import contextlib
import os
import secrets

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


def remove_tree(directory: int, name: str) -> None:
    """Remove a name in an open directory and all below it, however deep, whatever its modes; it may be gone already."""
    try:
        os.unlink(name, dir_fd=directory)
    except FileNotFoundError:
        return
    except IsADirectoryError:
        top = _enter(directory, name)
        try:
            _empty(top)
        finally:
            os.close(top)
        os.rmdir(name, dir_fd=directory)


def _empty(top: int) -> None:
    """Remove all that is in a directory. What is deeper is moved up to it first: no path, no stack, two descriptors."""
    waiting = _unlink_files(top)
    while waiting:
        name = waiting.pop()
        here = _enter(top, name)
        try:
            for below in _unlink_files(here):
                os.close(_enter(here, below))  # to move a directory takes the right to write to it
                raised = secrets.token_hex(16)
                os.rename(below, raised, src_dir_fd=here, dst_dir_fd=top)
                waiting.append(raised)
        finally:
            os.close(here)
        os.rmdir(name, dir_fd=top)


def _unlink_files(directory: int) -> list[str]:
    """Remove what is no directory; the names of the directories."""
    left = []
    with os.scandir(directory) as found:
        entries = list(found)
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            left.append(entry.name)
        else:
            os.unlink(entry.name, dir_fd=directory)
    return left


def _enter(directory: int, name: str) -> int:
    """Open a directory, never by a link, that its owner may list and change from now on."""
    found = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    try:
        with contextlib.suppress(PermissionError):  # somebody else's, who may let us all the same
            os.chmod(f"/proc/self/fd/{found}", 0o700)
        return os.open(".", _DIRECTORY, dir_fd=found)
    finally:
        os.close(found)
