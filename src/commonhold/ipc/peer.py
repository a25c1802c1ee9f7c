"""Who is at the other end of a unix socket: the kernel's word, taken when the connection was made."""

import os
import socket
import struct
from pathlib import Path
from typing import NamedTuple

from commonhold.api import MAX_USER

_CREDENTIALS = struct.Struct("iII")
_OVERFLOW = Path("/proc/sys/kernel/overflowuid")
NOBODY = 65534


class Peer(NamedTuple):
    """A process as the kernel names it. `foreign`: it lives in a user namespace that is not ours."""

    pid: int
    uid: int
    gid: int
    foreign: bool

    @property
    def mapped(self) -> bool:
        """Whether this is somebody of this host; who is not gets nothing."""
        return not self.foreign and 0 <= self.uid <= MAX_USER and self.uid != overflow_uid()


def overflow_uid() -> int:
    """The uid that the kernel shows for whoever has none here."""
    try:
        return int(_OVERFLOW.read_text())
    except (OSError, ValueError):
        return NOBODY


def credentials(connection: socket.socket) -> Peer:
    """The peer of a connected unix socket. A process whose namespace cannot be seen counts as foreign."""
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, uid, gid = _CREDENTIALS.unpack(raw)
    return Peer(pid, uid, gid, foreign=not _same_namespace(pid))


def _same_namespace(pid: int) -> bool:
    """Compare the maps of user ids: everybody may read them, and another namespace's look different from here."""
    try:
        return Path(f"/proc/{pid}/uid_map").read_bytes() == Path("/proc/self/uid_map").read_bytes()
    except OSError:
        return False


def groups_of(uid: int) -> set[int]:
    """The groups of a user as the user database has them; none for a uid it does not know."""
    import pwd

    try:
        user = pwd.getpwuid(uid)
    except KeyError:
        return set()
    return set(os.getgrouplist(user.pw_name, user.pw_gid))
