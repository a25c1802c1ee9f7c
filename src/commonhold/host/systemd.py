"""The service manager's side of a daemon: its sockets, what it is told of us, its word to stop. No library needed.

Source: sd_listen_fds(3), sd_notify(3).
"""

import asyncio
import os
import signal
import socket
from collections.abc import Mapping
from contextlib import suppress

_FIRST = 3


def listening(environment: Mapping[str, str], pid: int) -> list[socket.socket]:
    """The sockets that were opened for this process, if any were."""
    if environment.get("LISTEN_PID") != str(pid):
        return []
    count = int(environment.get("LISTEN_FDS") or 0)
    found = []
    for fd in range(_FIRST, _FIRST + count):
        os.set_inheritable(fd, False)
        found.append(socket.socket(fileno=fd))
    return found


def notify(environment: Mapping[str, str], state: str) -> None:
    """Say `READY=1`, `STOPPING=1` and the like, if anybody wants to hear it. Who does not listen any more misses it."""
    where = environment.get("NOTIFY_SOCKET")
    if not where:
        return
    address = "\0" + where[1:] if where.startswith("@") else where
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock, suppress(OSError):
        sock.connect(address)
        sock.sendall(state.encode())


def told() -> asyncio.Event:
    """What INT or TERM sets, in the loop that runs."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop
