"""Unix sockets of daemons: who may be behind one, whether anybody is, and opening one."""

import errno
import os
import socket
import stat
from pathlib import Path

from commonhold.errors import HoldError, Kind, os_errors
from commonhold.host import sockets

_BACKLOG = 1024


def owners(path: Path, uid: int) -> set[int]:
    """The uids that may be behind a socket: root, the caller, and whoever else alone can put one into its directory.

    DENIED where anybody could have.
    """
    with os_errors("connect", str(path)):
        directory = path.parent.stat()
    if not directory.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return {0, uid, directory.st_uid}
    if directory.st_mode & stat.S_ISVTX:
        return {0, uid}  # shared, and each keeps what is theirs: somebody else may have put it there
    raise HoldError(
        "connect", Kind.DENIED, str(path), "others could have put it there", hint=f"chmod go-w {path.parent}"
    )


def answers(path: Path) -> bool:
    """Whether somebody listens on a socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            sockets.connect(probe, path)
        except OSError as error:
            return error.errno == errno.EAGAIN
        return True


def listen(path: Path, mode: int, directory_mode: int) -> socket.socket:
    """Open a socket, in place of one whose daemon has gone. DENIED where others could put one in its place."""
    with os_errors("listen", str(path)):
        path.parent.mkdir(mode=directory_mode, parents=True, exist_ok=True)
        others = owners(path, os.geteuid()) - {0, os.geteuid()}
        if others:
            raise HoldError("listen", Kind.DENIED, str(path), f"its directory belongs to uid {others.pop()}")
        if path.exists() and not stat.S_ISSOCK(path.stat().st_mode):
            raise HoldError("listen", Kind.EXISTS, str(path), "there is something that is no socket")
        if answers(path):
            why = "another daemon listens there"
            raise HoldError("listen", Kind.EXISTS, str(path), why, hint="give each its own socket")
        path.unlink(missing_ok=True)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sockets.bind(sock, path)
        path.chmod(mode)
        sock.listen(_BACKLOG)
    return sock
