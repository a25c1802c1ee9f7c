"""`.holdignore`: which names an add leaves out. The patterns are gitignore's; each file speaks for what is below it."""

import os
from typing import Any

from commonhold.errors import HoldError, Kind

NAME = ".holdignore"
MAX_SIZE = 1 << 20


class Rules:
    """The ignore files from the root of an add down to one directory."""

    def __init__(self, layers: tuple[tuple[str, Any], ...]) -> None:
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
        try:
            own = os.open(NAME, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, dir_fd=fd)
        except FileNotFoundError:
            return self
        try:
            raw = os.pread(own, MAX_SIZE + 1, 0)
        finally:
            os.close(own)
        subject = f"{path}/{NAME}"
        if len(raw) > MAX_SIZE:
            raise HoldError("add", Kind.TOO_LARGE, subject, f"over {MAX_SIZE} bytes")
        from pathspec import GitIgnoreSpec

        try:
            spec = GitIgnoreSpec.from_lines(raw.decode().splitlines())
        except ValueError as error:
            raise HoldError("add", Kind.INVALID, subject, str(error)[:200]) from error
        return Rules((*self._layers, (path, spec)))

    def ignores(self, path: str, *, is_directory: bool) -> bool:
        """Whether a path is left out; the deepest file that has an opinion decides."""
        for base, spec in reversed(self._layers):
            below = path[len(base) :].lstrip("/") + ("/" if is_directory else "")
            verdict = spec.check_file(below).include
            if verdict is not None:
                return bool(verdict)
        return False
