"""The convergence secret of a repository: `keys/sealing`, 64 hexadecimal digits. Made when it is first asked for.

Whoever has it can tell whether a file that they know is among the sealed ones, and open that; nothing else.
"""

import os
import secrets
from pathlib import Path

from commonhold.errors import HoldError, Kind
from commonhold.host.private import PrivateDirectory
from commonhold.host.repository import KEYS

_NAME = "sealing"
_BYTES = 32


def convergence_secret(repository: Path) -> bytes:
    """The secret: 32 bytes, the same ever after. DENIED where somebody else could read it, or could have planted it."""
    files = PrivateDirectory("key", repository / KEYS, os.geteuid())
    try:
        return _read(files)
    except HoldError as error:
        if error.kind is not Kind.NOT_FOUND:
            raise
    try:
        files.place(_NAME, f"{secrets.token_hex(_BYTES)}\n".encode())
    except HoldError as late:
        if late.kind is not Kind.EXISTS:  # another came first: that one stays
            raise
    return _read(files)


def _read(files: PrivateDirectory) -> bytes:
    try:
        found = bytes.fromhex(files.read(_NAME).decode("ascii"))
    except ValueError:
        found = b""
    if len(found) != _BYTES:
        path = str(files.path / _NAME)
        raise HoldError("key", Kind.CORRUPT, path, f"not {2 * _BYTES} hexadecimal digits", hint="restore it")
    return found
