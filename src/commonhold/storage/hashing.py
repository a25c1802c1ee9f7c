"""The hash of what a file has, piece by piece."""

import hashlib
from typing import Any, Final

from commonhold.host import disk

_PIECE: Final = 1 << 20


def hash_of(fd: int, size: int) -> Any:
    """The SHA-256, to be gone on with, of a file's first bytes."""
    found = hashlib.sha256()
    room = memoryview(bytearray(min(_PIECE, size)))
    at = 0
    while at < size:
        got = disk.read_full(fd, room[: min(len(room), size - at)], at)
        if not got:
            break
        found.update(room[:got])
        at += got
    return found
