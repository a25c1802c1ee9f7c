"""Ending a mount from outside: its keeper is told to, and what a killed one has left is taken away."""

import socket
from pathlib import Path

from commonhold.host import daemon, sockets
from commonhold.ipc.peer import credentials
from commonhold.mount.config import Config
from commonhold.mount.keeper import clear

_SECONDS = 60.0


def end(config: Config) -> int | None:
    """End a mount, as root, and return when nothing of it is left; its keeper's process, None if there was none.

    EXISTS where something else is mounted, by another keeper too.
    """
    keeper = _keeper(config.socket)
    if keeper is not None:
        daemon.stop(keeper, _SECONDS)
    for at in (config.at, *(path for _, path in config.shown)):
        clear(at.resolve())
    return keeper


def _keeper(agents: Path) -> int | None:
    """Who listens where agents come, as the kernel has it."""
    with socket.socket(socket.AF_UNIX) as sock:
        try:
            sockets.connect(sock, agents)
        except OSError:
            return None
        return credentials(sock).pid
