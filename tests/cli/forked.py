"""`hold` without its start-up: a process that has imported every command forks for each run of one.

What a run is given is all its own: words, environment, directory, standard files. What it would have imported is there
already, and it ends without taking the interpreter apart, as both cost ten times what it does. That it starts from
nothing and how it ends is for those tests that start it (`tests/cli/shell.py`, `tests/system`).
"""

import atexit
import functools
import gc
import importlib
import json
import os
import re
import runpy
import select
import selectors
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from commonhold.cli.main import COMMANDS
from tests.waiting import SECONDS

_MAX = 1 << 20
_PIECE = 1 << 16
_HEEDED = re.compile(r"PATH$|PYTHON|LANG|LC_|TZ$")
_BESIDE = ("commonhold.cli.reaching", "commonhold.cli.embedded", "tests.cli.toygrid", "aiohttp", "lmdb")


class Origin:
    """The other end: the process that forks. It ends when this one does."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            pipe = subprocess.PIPE  # as what the forks are given: Python looks at its standard files when it starts
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.cli.forked", str(theirs.fileno())],
                env=dict(environment), cwd="/", stdin=pipe, stdout=pipe, stderr=pipe, pass_fds=[theirs.fileno()],
            )  # fmt: skip
        atexit.register(self.close)

    def run(
        self, program: str, words: Sequence[str], given: bytes, cwd: Path, environment: Mapping[str, str]
    ) -> "subprocess.CompletedProcess[bytes]":
        """Run `python -m PROGRAM WORDS…` to its end, like `subprocess.run` with its output captured."""
        asked = json.dumps([program, list(words), str(cwd), dict(environment)]).encode()
        theirs, ours = [], []
        for reads in (True, False, False, False):
            ends = os.pipe()
            theirs.append(ends[0 if reads else 1])
            ours.append(ends[1 if reads else 0])
        try:
            socket.send_fds(self._socket, [asked], theirs)
        finally:
            for fd in theirs:
                os.close(fd)
        out, err, code = _exchanged(given, ours)
        assert code, ("the process that forks has ended", self._process.communicate(timeout=SECONDS))
        return subprocess.CompletedProcess(list(words), int(code), out, err)

    def close(self) -> None:
        """Have it end."""
        self._socket.close()
        self._process.communicate(timeout=SECONDS)


def origin_for(environment: Mapping[str, str]) -> Origin:
    """The one of this process for an environment: some of it Python heeds when it starts."""
    return _origin(tuple((name, value) for name, value in environment.items() if _HEEDED.match(name)))


@functools.cache
def _origin(environment: tuple[tuple[str, str], ...]) -> Origin:
    return Origin(dict(environment))


def _exchanged(given: bytes, ends: Sequence[int]) -> tuple[bytes, bytes, bytes]:
    """Write to the first of these pipes, and read the others to their ends; all are closed."""
    into, *others = ends
    found: dict[int, bytearray] = {fd: bytearray() for fd in others}
    left = memoryview(given)
    with selectors.DefaultSelector() as waiting:
        os.set_blocking(into, False)
        waiting.register(into, selectors.EVENT_WRITE)
        for fd in others:
            waiting.register(fd, selectors.EVENT_READ)
        while waiting.get_map():
            for key, _ in waiting.select():
                fd = key.fd
                if fd == into:
                    try:
                        left = left[os.write(fd, left[:_PIECE]) :] if left else left
                    except BrokenPipeError:  # it reads no more, which is its affair
                        left = left[:0]
                    over = not left
                else:
                    piece = os.read(fd, _PIECE)
                    found[fd] += piece
                    over = not piece
                if over:
                    waiting.unregister(fd)
                    os.close(fd)
    out, err, code = (bytes(found[fd]) for fd in others)
    return out, err, code


# ── in the process that forks ──


def _serve(orders: socket.socket) -> None:
    """Fork for each order, until nobody gives any."""
    poll = select.poll()
    poll.register(orders, select.POLLIN)
    running: dict[int, tuple[int, int]] = {}  # the fork's handle: its number, and where its code is to be told
    while True:
        for fd, _ in poll.poll():
            if fd != orders.fileno():
                pid, told = running.pop(fd)
                poll.unregister(fd)
                os.close(fd)
                os.write(told, str(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])).encode())
                os.close(told)
                continue
            asked, fds, _, _ = socket.recv_fds(orders, _MAX, 4)
            if not asked:
                return
            pid = os.fork()
            if not pid:
                for handle, (_, told) in running.items():
                    os.close(handle)
                    os.close(told)
                os.close(fds.pop())
                orders.close()
                try:
                    _run(asked, fds)
                finally:  # what was raised is told like that of any process, and nothing goes on here
                    sys.excepthook(*sys.exc_info())
                    os._exit(1)
            for fd in fds[:3]:
                os.close(fd)
            handle = os.pidfd_open(pid)
            running[handle] = (pid, fds[3])
            poll.register(handle, select.POLLIN)


def _run(asked: bytes, fds: Sequence[int]) -> NoReturn:
    program, words, cwd, environment = json.loads(asked)
    for number, fd in enumerate(fds):
        os.dup2(fd, number)
        os.close(fd)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(cwd)
    sys.argv[1:] = words
    code: object = None
    try:
        runpy.run_module(program, run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        code = ended.code
    threading._shutdown()  # type: ignore[attr-defined]  # waits for threads that go on, as the interpreter does
    atexit._run_exitfuncs()
    sys.stdout.flush()
    assert code is None or isinstance(code, int)
    os._exit(code or 0)


def _ready() -> None:
    """Import what commands import; nothing that is here is looked at or written to again for its own sake."""
    for command in COMMANDS.values():
        importlib.import_module(f"commonhold.cli.{command.module}")
    for name in _BESIDE:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()


if __name__ == "__main__":
    given = socket.socket(fileno=int(sys.argv[1]))
    given.set_inheritable(False)
    _ready()
    _serve(given)
