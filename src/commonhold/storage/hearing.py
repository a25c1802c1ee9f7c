"""What blessers have taken back: lists heard from introducers, and kept, so that a restarted server knows them at once.

`authority` judges each list, also one that comes from the disk; only those that it keeps stay there.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Final

from commonhold.errors import os_errors
from commonhold.formats.malformed import Malformed
from commonhold.formats.statement import Kind
from commonhold.host import disk
from commonhold.storage.door import Gate

DIRECTORY: Final = "revocations"
_SUFFIX: Final = ".list"


class Hearing:
    """See the module. What is in its directory is heard at once; `warn` is told of a file that is no list."""

    def __init__(self, gate: Gate, directory: Path, warn: Callable[[str], None]) -> None:
        self._gate = gate
        self._directory = directory
        with os_errors("read revocations", str(directory)):
            disk.make_directory(directory, 0o700)
            for path in sorted(directory.glob(f"*{_SUFFIX}")):
                try:
                    gate.hear(path.read_bytes() if path.stat().st_size <= Kind.REVOCATIONS.most else b"")
                except Malformed as error:
                    warn(f"{path}: {error.why}")

    def hear(self, data: bytes) -> None:
        """Take a list in; on return it is on the disk, if it says something new. Malformed."""
        self._gate.hear(data)
        kept = {f"{hashlib.sha256(one).hexdigest()[:32]}{_SUFFIX}": one for one in self._gate.lists}
        with os_errors("keep revocations", str(self._directory)):
            there = {path.name for path in self._directory.glob(f"*{_SUFFIX}")}
            for name in kept.keys() - there:
                disk.replace_file(str(self._directory / name), kept[name])
            for name in there - kept.keys():
                (self._directory / name).unlink()
