"""Introducers and storage servers as processes, by the command, on this machine."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from commonhold.formats import address
from commonhold.formats.address import Address
from commonhold.formats.pin import SpkiPin, parse_pin
from tests.gossip.statements import GRID
from tests.waiting import SECONDS

ROOT = Path(__file__).parents[2]
HOLD = [sys.executable, "-m", "tests.cli.hold"]


def free(host: str = "127.0.0.1") -> str:
    """A hint of a port that nobody has now."""
    with socket.socket() as sock:
        sock.bind((host, 0))
        return f"tcp:{host}:{sock.getsockname()[1]}"


def own_address() -> str | None:
    """An address of this machine by which others could reach it; None if it has none. Nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.connect(("198.51.100.1", 9))
        except OSError:
            return None
        found = str(sock.getsockname()[0])
    return None if found.startswith("127.") else found


def hold(*words: str, code: int = 0) -> str:
    """Run a command; what it printed, or its error."""
    done = subprocess.run([*HOLD, *words], capture_output=True, text=True, cwd=ROOT, env=_environment(), check=False)
    assert done.returncode == code, done.stderr
    return done.stderr if code else done.stdout


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("HOLD")}


class Server:
    """A server that runs as a process. `kind` is its command."""

    def __init__(self, kind: str, state: Path) -> None:
        self.state = state
        self._kind = kind
        self._process: subprocess.Popen[str] | None = None
        self.prefix: list[str] = []  # what its command begins with

    def start(self) -> None:
        """Start it, and return when it listens."""
        words = [*self.prefix, *HOLD, self._kind, "run", str(self.state)]
        self._process = process = subprocess.Popen(
            words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=_environment()
        )
        assert process.stderr is not None
        first = process.stderr.readline()
        assert first.startswith(("listening at", "server: reached at")), first + process.stderr.read()

    def stop(self, number: int = signal.SIGTERM) -> str:
        """End it, if it runs; what it said."""
        process, self._process = self._process, None
        if process is None:
            return ""
        process.send_signal(number)
        _, said = process.communicate(timeout=SECONDS)
        assert process.returncode == (0 if number == signal.SIGTERM else -number), said
        return said


class Introducer(Server):
    """An introducer; `address` is what others are told."""

    def __init__(self, state: Path, *known: Address, host: str = "127.0.0.1") -> None:
        super().__init__("introducer", state)
        where = free(host)
        words = ["--grid", str(GRID), "--listen", where, "--announce", where]
        words += [word for one in known for word in ("--introducer", str(one))]
        self.address = address.parse(hold("introducer", "init", str(state), *words).strip())


class Storage(Server):
    """A storage server; `pin` is who it is. By a relay it listens on nothing."""

    def __init__(self, state: Path, *known: Address, relay: str = "") -> None:
        super().__init__("server", state)
        self.where = free()
        reached = ["--relay", relay] if relay else ["--listen", self.where, "--announce", self.where]
        words = ["--grid", str(GRID), *reached, "--name", "attic"]
        words += [word for one in known for word in ("--introducer", str(one))]
        self.pin: SpkiPin = parse_pin(hold("server", "init", str(state), *words).split()[-1])


@contextmanager
def running(*servers: Server) -> Iterator[None]:
    """Servers that run while the block does; what they said is nothing that went wrong."""
    said: list[str] = []
    try:
        for one in servers:
            one.start()
        yield
    finally:
        said += [one.stop() for one in servers]
    assert "".join(said) == "", said
