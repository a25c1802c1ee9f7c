"""Open files over a unix socket (SCM_RIGHTS): sent beside bytes, received in bounded number, none left open by mistake.

Source: unix(7).
"""

import array
import os
import socket
from collections.abc import Sequence

_SIZE = array.array("i").itemsize


class TooMany(Exception):
    """More open files came than are taken. None of them is left open."""


def send(sock: socket.socket, data: bytes, fds: Sequence[int]) -> None:
    """Send all of some bytes, the files beside the first of them."""
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
    sent = sock.sendmsg([data], rights)
    if sent < len(data):
        sock.sendall(memoryview(data)[sent:])


def receive(sock: socket.socket, size: int, most: int) -> tuple[bytes, list[int]]:
    """Receive up to so many bytes (none at the end) and the files beside them, which are the caller's to close.

    More than `most` files: TooMany.
    """
    room = socket.CMSG_SPACE(_SIZE * most) if most else 0
    data, ancillary, flags, _ = sock.recvmsg(size, room, socket.MSG_CMSG_CLOEXEC)
    fds: list[int] = []
    for level, kind, raw in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            found = array.array("i")
            found.frombytes(raw[: len(raw) // _SIZE * _SIZE])
            fds.extend(found)
    if flags & socket.MSG_CTRUNC or len(fds) > most:
        close_all(fds)
        raise TooMany(f"more than {most} files came at once")
    return data, fds


def close_all(fds: Sequence[int]) -> None:
    """Close what was received."""
    for fd in fds:
        os.close(fd)
