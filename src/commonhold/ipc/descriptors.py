"""Open files passed over a unix socket (SCM_RIGHTS). Whatever comes is either the caller's or closed."""

import array
import os
import socket
from collections.abc import Sequence

_SIZE = array.array("i").itemsize
_RIGHTS = (socket.SOL_SOCKET, socket.SCM_RIGHTS)


def send(sock: socket.socket, data: bytes, fds: Sequence[int]) -> None:
    """Send a few bytes, at least one; whoever receives the first of them is given copies of the descriptors.

    BlockingIOError where there is no room for the first byte and the socket does not wait.
    """
    sent = sock.sendmsg([data], [(*_RIGHTS, array.array("i", fds))])
    sock.sendall(data[sent:])


def receive(sock: socket.socket, size: int, max_fds: int) -> tuple[bytes, list[int]]:
    """Receive up to so many bytes, and the descriptors that came with them, closed where a program is started.

    Where there were more than `max_fds`, or more than this process may have open, none is kept.
    """
    data, ancillary, flags, _ = sock.recvmsg(size, socket.CMSG_LEN(max_fds * _SIZE), socket.MSG_CMSG_CLOEXEC)
    fds = array.array("i")
    for level, kind, payload in ancillary:
        if (level, kind) == _RIGHTS:
            fds.frombytes(payload[: len(payload) - len(payload) % _SIZE])
    if flags & socket.MSG_CTRUNC or len(fds) > max_fds:
        close(fds)
        return data, []
    return data, list(fds)


def close(fds: Sequence[int]) -> None:
    """Close descriptors that are of no use."""
    for fd in fds:
        os.close(fd)
