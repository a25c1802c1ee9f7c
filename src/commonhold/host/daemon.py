"""Daemons without a service manager: one is started beside us and outlives us; one is told to end, and waited for."""

import os
import select
import signal
import subprocess
from pathlib import Path

from commonhold.errors import HoldError, Kind, os_errors

_MAX_LOG = 1 << 20


def start(command: list[str], log: Path) -> "subprocess.Popen[bytes]":
    """Start a process in a session of its own, whose output goes to a log; one over a mebibyte is begun anew."""
    with os_errors("start", str(log)):
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(log, flags, 0o600)
        try:
            if os.fstat(fd).st_size > _MAX_LOG:
                os.ftruncate(fd, 0)
            return subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=fd, stderr=fd, start_new_session=True, cwd="/"
            )
        finally:
            os.close(fd)


def last_words(log: Path) -> str:
    """Why a daemon says it ended: the last error of its log; empty where there is none."""
    try:
        lines = log.read_bytes()[-8192:].decode(errors="replace").splitlines()
    except OSError:
        return ""
    errors = [line for line in lines if line.startswith("error: ")]
    return errors[-1].removeprefix("error: ")[:500] if errors else ""


def stop(pid: int, seconds: float) -> None:
    """Tell a process of our own user to end, and return when it has. DENIED for another's, BUSY if it takes longer."""
    with os_errors("stop", f"process {pid}"):
        try:
            handle = os.pidfd_open(pid)
        except ProcessLookupError:
            return
        try:
            if os.stat(f"/proc/{pid}").st_uid != os.geteuid():
                raise HoldError("stop", Kind.DENIED, f"process {pid}", "it is not yours")
            signal.pidfd_send_signal(handle, signal.SIGTERM)
            waiting = select.poll()
            waiting.register(handle, select.POLLIN)
            if not waiting.poll(int(seconds * 1000)):
                why = f"still at work {seconds:g} s after it was told to stop"
                raise HoldError("stop", Kind.BUSY, f"process {pid}", why, hint=f"kill -9 {pid}: nothing is lost by it")
        finally:
            os.close(handle)
