"""Introducers and storage servers as processes, by the command, on loopback."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from commonhold.formats import address
from commonhold.formats.address import Address

HOLD = [sys.executable, "-m", "commonhold.cli"]


def free_port() -> int:
    """A port that nobody has now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def hold(*words: str) -> str:
    """Run a command; what it printed."""
    return subprocess.run([*HOLD, *words], check=True, capture_output=True, text=True, env=_environment()).stdout


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("HOLD")}


class Server:
    """A server that runs as a process. `kind` is its command."""

    def __init__(self, kind: str, state: Path) -> None:
        self.kind = kind
        self.state = state
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start it, and return when it listens."""
        log: IO[str] = (self.state / "log").open("a")
        with log:
            self._process = subprocess.Popen(
                [*HOLD, self.kind, "run", str(self.state)], stdout=log, stderr=subprocess.PIPE, text=True,
                env=_environment(),
            )  # fmt: skip
        assert self._process.stderr is not None
        said = []
        for line in self._process.stderr:
            said.append(line)
            if line.startswith("listening at"):
                return
        raise AssertionError("".join(said))

    def stop(self, number: int = signal.SIGTERM) -> str:
        """End it, if it runs; what it said."""
        process, self._process = self._process, None
        if process is None:
            return ""
        process.send_signal(number)
        _, said = process.communicate(timeout=30)
        assert process.returncode == (0 if number == signal.SIGTERM else -number), said
        return said


class Introducer(Server):
    """An introducer; `address` is what others are told."""

    def __init__(
        self, state: Path, grids: Iterable[str], known: Iterable[Address] = (), host: str = "127.0.0.1"
    ) -> None:
        super().__init__("introducer", state)
        where = f"tcp:{host}:{free_port()}"
        words = ["--listen", where, "--announce", where]
        for grid in grids:
            words += ["--grid", grid]
        for one in known:
            words += ["--introducer", str(one)]
        self.address = address.parse(hold("introducer", "init", str(state), *words).strip())


@contextmanager
def running(*servers: Server) -> Iterator[None]:
    """Servers that run while the block does."""
    try:
        for one in servers:
            one.start()
        yield
    finally:
        for one in servers:
            one.stop()
