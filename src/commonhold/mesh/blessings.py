"""The blessings that a server has to show: files `*.bless` in its directory, each an encoded statement.

Whoever asks blessers for them writes them there. They are looked at again when a file has changed; of each blesser the
one that lasts longest is shown.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from commonhold.crypto.statements import verified
from commonhold.formats import blessing
from commonhold.formats.announcement import MAX_BLESSINGS
from commonhold.formats.blessing import Blessing, Purpose
from commonhold.formats.keys import PublicKey
from commonhold.formats.malformed import Malformed
from commonhold.formats.pin import GridId, SpkiPin
from commonhold.formats.statement import Kind

DIRECTORY: Final = "blessings"
SUFFIX: Final = ".bless"
MAX_FILES: Final = 256
_ROOM: Final = 24 << 10  # bytes of an announcement's 32 KiB
_SKEW: Final = 300  # seconds by which clocks may differ


@dataclass(frozen=True, slots=True)
class _Read:
    stamp: tuple[int, int, int]
    by: PublicKey | None  # None: it is none
    said: Blessing | None
    data: bytes


class Blessings:
    """See the module. `warn` is told of a file that is none of this server's blessings, once."""

    def __init__(self, directory: Path, server: SpkiPin, warn: Callable[[str], None]) -> None:
        self._directory = directory
        self._server = server
        self._warn = warn
        self._read: dict[str, _Read] = {}

    def of(self, grid: GridId, purpose: Purpose, now: float) -> tuple[bytes, ...]:
        """Return those to show for a purpose in a grid, now."""
        self._look()
        best: dict[PublicKey, _Read] = {}
        for one in self._read.values():
            if one.by is None or one.said is None or (one.said.grid, one.said.purpose) != (grid, purpose):
                continue
            if not one.said.not_before - _SKEW <= now < one.said.not_after:
                continue
            if one.by not in best or _rank(best[one.by]) < _rank(one):
                best[one.by] = one
        found: list[bytes] = []
        for one in sorted(best.values(), key=_rank, reverse=True)[:MAX_BLESSINGS]:
            if sum(map(len, found)) + len(one.data) <= _ROOM:
                found.append(one.data)
        return tuple(found)

    def _look(self) -> None:
        """Read what is new or has changed."""
        try:
            with os.scandir(self._directory) as entries:
                names = sorted(entry.name for entry in entries if entry.name.endswith(SUFFIX))[:MAX_FILES]
        except FileNotFoundError:
            names = []
        self._read = {name: one for name in names if (one := self._one(name)) is not None}

    def _one(self, name: str) -> _Read | None:
        path = self._directory / name
        try:
            status = path.stat()
            stamp = (status.st_ino, status.st_mtime_ns, status.st_size)
            before = self._read.get(name)
            if before is not None and before.stamp == stamp:
                return before
            data = path.read_bytes() if status.st_size <= Kind.BLESSING.most else b""
        except OSError:  # it is being replaced, or not ours to read: it is looked at again
            return None
        try:
            statement = verified(Kind.BLESSING, data)
            said = blessing.parse(statement)
            if said.server != self._server:
                raise Malformed(Kind.BLESSING, "another server's")
        except Malformed as error:
            self._warn(f"{path} is no blessing of this server: {error.why}")
            return _Read(stamp, None, None, b"")
        return _Read(stamp, statement.key, said, data)


def _rank(one: _Read) -> tuple[int, bytes]:
    assert one.said is not None
    return one.said.not_after, one.data
