"""Who may be behind a node's socket."""

import stat
from pathlib import Path

from commonhold.errors import HoldError, Kind, os_errors


def owners(socket: Path, uid: int) -> set[int]:
    """The uids that may be behind a socket: root, the caller, and whoever else alone can put one into its directory.

    DENIED where anybody could have.
    """
    with os_errors("connect", str(socket)):
        directory = socket.parent.stat()
    if not directory.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return {0, uid, directory.st_uid}
    if directory.st_mode & stat.S_ISVTX:
        return {0, uid}  # shared, and each keeps what is theirs: somebody else may have put it there
    raise HoldError(
        "connect", Kind.DENIED, str(socket), "others could have put it there", hint=f"chmod go-w {socket.parent}"
    )
