"""Unix sockets at paths of any length: an address holds 107 bytes, a path may be longer."""

import errno
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_LONGEST = 107
SCARCE = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)  # what a machine says that can take nobody in now


@contextmanager
def _address(path: Path) -> Iterator[str]:
    """An address for a path: the path itself, or one by way of its open directory."""
    if len(os.fsencode(path)) <= _LONGEST:
        yield str(path)
        return
    directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{directory}/{path.name}"
    finally:
        os.close(directory)


def connect(sock: socket.socket, path: Path) -> None:
    """Connect to a path."""
    with _address(path) as address:
        sock.connect(address)


def bind(sock: socket.socket, path: Path) -> None:
    """Make a path that leads to a socket."""
    with _address(path) as address:
        sock.bind(address)
