"""`.holdignore`: which names an add leaves out. The patterns are gitignore's; each file speaks for what is below it."""

import errno
import os
import stat

from commonhold.errors import HoldError, Kind, from_os, os_errors
from commonhold.formats import gitignore
from commonhold.formats.gitignore import Rule
from commonhold.formats.malformed import Malformed
from commonhold.host import disk
from commonhold.host.names import shown

NAME = ".holdignore"
MAX_SIZE = 1 << 20
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_NOT_OPENED = (errno.ELOOP, errno.ENXIO)  # a symbolic link; a socket


class Rules:
    """The ignore files from the root of an add down to one directory."""

    def __init__(self, layers: tuple[tuple[str, list[Rule]], ...]) -> None:
        self._layers = layers

    @classmethod
    def none(cls) -> "Rules":
        """No ignore file yet."""
        return cls(())

    @property
    def any(self) -> bool:
        """Whether there is anything to ask."""
        return bool(self._layers)

    def within(self, fd: int, path: str) -> "Rules":
        """The rules below a directory: these, and those of its own ignore file if it has one."""
        subject = shown(f"{path}/{NAME}")
        raw = _read(fd, subject)
        if raw is None:
            return self
        try:
            rules = gitignore.parse(os.fsdecode(raw.removeprefix(b"\xef\xbb\xbf")))
        except Malformed as error:
            raise HoldError("add", Kind.INVALID, subject, str(error), hint="mend that line") from error
        return Rules((*self._layers, (path, rules)))

    def ignores(self, path: str, *, is_directory: bool) -> bool:
        """Whether a path is left out; the deepest file that has an opinion decides, and in it the last line."""
        for base, rules in reversed(self._layers):
            below = path[len(base) :].lstrip("/")
            for rule in reversed(rules):
                if rule.speaks_of(below, is_directory=is_directory):
                    return rule.ignores
        return False


def _read(fd: int, subject: str) -> bytes | None:
    """The ignore file of an open directory, if it has one."""
    irregular = HoldError("add", Kind.INVALID, subject, "not a regular file", hint=f"make it one, or remove {subject}")
    try:
        own = os.open(NAME, _FLAGS, dir_fd=fd)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise (irregular if error.errno in _NOT_OPENED else from_os("add", subject, error)) from error
    try:
        with os_errors("add", subject):
            raw = disk.read_at(own, MAX_SIZE + 1, 0) if stat.S_ISREG(os.fstat(own).st_mode) else None
    finally:
        os.close(own)
    if raw is None:
        raise irregular
    if len(raw) > MAX_SIZE:
        raise HoldError("add", Kind.TOO_LARGE, subject, f"over {MAX_SIZE} bytes")
    return raw
