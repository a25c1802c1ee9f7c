"""The processes of a lab: started in the background, found again by their pid files, stopped, killed.

A pid file has the process's number and when it began, so that a number that was given to another is not taken for it.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

from commonhold.errors import HoldError, Kind, os_errors
from commonhold.formats import invitation
from commonhold.host import daemon

_SECONDS: Final = 20.0
_PAUSE: Final = 0.02
_PORTS: Final = range(20_000, 32_000)


def started(pid: int) -> str | None:
    """When a process began, as the kernel counts; None if there is none, or it has ended and waits for its parent."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    words = text[text.rindex(")") + 2 :].split()
    return None if words[0] == "Z" else words[19]


def start(directory: Path, name: str, command: list[str]) -> None:
    """Start a process of this name, whose output goes to `NAME.log`. EXISTS if it runs."""
    if running(directory, name):
        raise HoldError("start", Kind.EXISTS, name, "it runs already")
    process = daemon.start(command, directory / f"{name}.log")
    with os_errors("start", name):
        (directory / f"{name}.pid").write_text(f"{process.pid} {started(process.pid)}\n")


def running(directory: Path, name: str) -> int | None:
    """The process of a name, if it runs."""
    try:
        pid, began = (directory / f"{name}.pid").read_text().split()
    except (OSError, ValueError):
        return None
    return int(pid) if pid.isdecimal() and started(int(pid)) == began else None


def end(directory: Path, name: str, number: signal.Signals = signal.SIGTERM) -> bool:
    """Have a process end by a signal, and wait until it has; whether there was one."""
    pid = running(directory, name)
    if pid is None:
        return False
    until = time.monotonic() + _SECONDS
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
    while running(directory, name) is not None:
        _reap(pid)
        if time.monotonic() > until:
            raise HoldError("stop", Kind.BUSY, name, f"still there after {_SECONDS:g} s", hint=f"kill -9 {pid}")
        time.sleep(_PAUSE)
    (directory / f"{name}.pid").unlink(missing_ok=True)
    return True


def _reap(pid: int) -> None:
    """Take note of the end of a child of ours."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


def listens(directory: Path, name: str, port: int) -> None:
    """Return when somebody listens at a port of loopback. FAILED with its last words if the process ends before."""
    until = time.monotonic() + _SECONDS
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        if running(directory, name) is None or time.monotonic() > until:
            why = daemon.last_words(directory / f"{name}.log") or f"it does not listen at port {port}"
            raise HoldError("start", Kind.FAILED, name, why, hint=f"less {directory / name}.log")
        time.sleep(_PAUSE)


def free_ports(count: int, first: int) -> list[int]:
    """So many ports of loopback that nobody has, below those that the kernel gives out; looked for from `first` on."""
    found: list[int] = []
    for offset in range(len(_PORTS)):
        port = _PORTS[(first + offset) % len(_PORTS)]
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        found.append(port)
        if len(found) == count:
            return found
    raise HoldError("lab", Kind.BUSY, "ports", f"no {count} ports are free")


def module(name: str) -> list[str]:
    """The command line of a module of this version."""
    return [sys.executable, "-m", name]


def hold(*words: str) -> list[str]:
    """The command line of a hold of this version."""
    return [*module("commonhold.cli"), *words]


def said(*words: str) -> str:
    """Run a hold to its end, and return the last line it says. Its error is ours."""
    done = subprocess.run(
        hold("--quiet", *words), capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["it said nothing"]
        why = lines[0].removeprefix("error: ")
        raise HoldError("lab", Kind.FAILED, f"hold {' '.join(_shown(word) for word in words[:4])}", why)
    return (done.stdout.strip().splitlines() or [""])[-1]


def _shown(word: str) -> str:
    """A word of a command, but not the whole of what may be a code."""
    return f"{word[:10]}…" if invitation.looks_like(word) else word


def rows(*words: str) -> list[dict[str, Any]]:
    """Run a hold to its end, and return the objects that it says, whatever its exit code."""
    command = hold("--json", *words)
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    return [json.loads(line) for line in done.stdout.splitlines()]
