"""The convergence secret of a repository: `keys/sealing`, 64 hexadecimal digits. Made when it is first asked for.

Whoever has it can tell whether a file that they know is among the sealed ones, and open that; nothing else.
"""

import contextlib
import os
import secrets
import stat
from pathlib import Path

from commonhold.errors import HoldError, Kind, os_errors
from commonhold.host import disk

_DIRECTORY = "keys"
_NAME = "sealing"
_BYTES = 32
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC


def convergence_secret(repository: Path) -> bytes:
    """The secret: 32 bytes, the same ever after. DENIED where somebody else could read it, or could have planted it."""
    directory = repository / _DIRECTORY
    path = directory / _NAME
    with os_errors("key", str(path)):
        with contextlib.suppress(FileExistsError):
            directory.mkdir(mode=0o700)
            disk.sync_directory(str(repository))
        fd = os.open(directory, _READ | os.O_DIRECTORY)
        try:
            _refuse_shared(os.fstat(fd), directory, "chmod 700")
            with contextlib.suppress(FileNotFoundError):
                return _read(fd, path)
            _make(fd)
            return _read(fd, path)
        finally:
            os.close(fd)


def _refuse_shared(status: os.stat_result, path: Path, remedy: str) -> None:
    if status.st_uid != os.geteuid():
        why = f"owned by uid {status.st_uid}, not by you"
        raise HoldError("key", Kind.DENIED, str(path), why, hint=f"chown {os.geteuid()} {path}")
    if status.st_mode & 0o077:
        mode = stat.S_IMODE(status.st_mode)
        raise HoldError("key", Kind.DENIED, str(path), f"mode {mode:04o}: not yours alone", hint=f"{remedy} {path}")


def _read(directory: int, path: Path) -> bytes:
    fd = os.open(_NAME, _READ | os.O_NONBLOCK, dir_fd=directory)
    try:
        status = os.fstat(fd)
        _refuse_shared(status, path, "chmod 600")
        text = disk.read_at(fd, 2 * _BYTES + 2, 0) if stat.S_ISREG(status.st_mode) else b""
    finally:
        os.close(fd)
    try:
        found = bytes.fromhex(text.decode("ascii"))
    except ValueError:
        found = b""
    if len(found) != _BYTES:
        raise HoldError("key", Kind.CORRUPT, str(path), f"not {2 * _BYTES} hexadecimal digits", hint="restore it")
    return found


def _make(directory: int) -> None:
    """Put a new secret in its place, whole and durable; another that came first stays."""
    temporary = f"{_NAME}.{secrets.token_hex(4)}"
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=directory)
    try:
        disk.write_all(fd, [memoryview(f"{secrets.token_hex(_BYTES)}\n".encode())], 0)
        os.fsync(fd)
        with contextlib.suppress(FileExistsError):
            os.link(temporary, _NAME, src_dir_fd=directory, dst_dir_fd=directory)
    finally:
        os.close(fd)
        os.unlink(temporary, dir_fd=directory)
    os.fsync(directory)
