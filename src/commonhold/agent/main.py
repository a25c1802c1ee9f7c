"""The agent as a process, a parts list: socket, signals, a thread for each caller."""

import contextlib
import fcntl
import gc
import os
import select
import signal
import socket
import stat
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from commonhold.agent.duty import Duty
from commonhold.agent.service import Service
from commonhold.agent.tending import Tending
from commonhold.errors import HoldError, Kind, os_errors
from commonhold.host import allocator, interruption, sockets, standing, systemd
from commonhold.ipc import endpoint

LOCK = "agent.lock"
_BREATH = 0.1  # seconds until the next try where the machine has no more descriptors or memory
_STOP_SECONDS = 20.0  # for what is under way when it is told to stop


@dataclass(frozen=True, slots=True)
class Config:
    """One agent: where its user's own things are, its socket, after how many idle seconds it ends (None: never), and
    the socket of this host's tender."""

    state: Path
    socket: Path
    idle: float | None = None
    tender: Path | None = None


def run(config: Config, environment: Mapping[str, str]) -> None:
    """Serve until INT or TERM, or until nobody has asked for anything for long; calls under way are finished first."""
    allocator.tune()
    os.umask(0o077)
    with os_errors("start", "thread"):
        standing.stand_apart()  # where that is forbidden, no thread could
    with _sole(config.state), interruption.told(signal.SIGINT, signal.SIGTERM) as told:
        given = systemd.listening(environment, os.getpid())
        listening = given or [endpoint.listen(config.socket, 0o600, 0o700)]
        own = None if given else config.socket.stat()
        service = Service(config.state, os.geteuid())
        gc.freeze()  # what is here stays
        systemd.notify(environment, "READY=1")
        try:
            duty = Duty(config.state, os.geteuid(), service.own)
            with Tending(config.state, os.geteuid(), duty=duty, tender=config.tender) as tending:
                _serve(service, tending, listening, told, config.idle)
        finally:
            systemd.notify(environment, "STOPPING=1")
            if own is not None:
                _unlink(config.socket, own)
            for sock in listening:
                sock.close()
            service.stop(_STOP_SECONDS)


def _unlink(path: Path, own: os.stat_result) -> None:
    """Take our socket away, unless another agent's is there by now: the directory may have been made anew."""
    with contextlib.suppress(FileNotFoundError):
        if os.path.samestat(path.lstat(), own):
            path.unlink()


@contextlib.contextmanager
def _sole(state: Path) -> Iterator[None]:
    """Run a block while no other agent of the same user's things does. EXISTS if one is there."""
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    with os_errors("start", str(state / LOCK)):
        status = state.stat()
        if status.st_uid != os.geteuid():
            raise HoldError("start", Kind.DENIED, str(state), "not yours")
        if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise HoldError("start", Kind.DENIED, str(state), "others can change it", hint=f"chmod go-w {state}")
        fd = os.open(state / LOCK, flags, 0o600)
    try:
        _lock(fd, state)
        yield
    finally:
        os.close(fd)


def _lock(fd: int, state: Path) -> None:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise HoldError("start", Kind.EXISTS, str(state), "its agent is at work already") from None


def _serve(service: Service, tending: Tending, listening: list[socket.socket], told: int, idle: float | None) -> None:
    """Take connections in until told to stop, or until there was none for so long, and nothing is looked after."""
    poll = select.poll()
    poll.register(told, select.POLLIN)
    for sock in listening:
        sock.setblocking(False)
        poll.register(sock, select.POLLIN)
    by_number = {sock.fileno(): sock for sock in listening}
    left = idle
    while True:
        ready = poll.poll(None if left is None else left * 1000)
        if any(number == told for number, _ in ready):
            return
        if idle is not None:
            left = idle if tending.busy else idle - (service.idle or 0.0)
            if left <= 0 and not ready:
                return
            left = max(0.0, left)
        for number, _ in ready:
            try:
                connection, _ = by_number[number].accept()
            except OSError as error:  # mostly: who had knocked has left again
                if error.errno in sockets.SCARCE:
                    time.sleep(_BREATH)
                continue
            connection.setblocking(True)
            service.take(connection)
