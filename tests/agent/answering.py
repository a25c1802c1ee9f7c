"""An agent in a thread of the test, with a real node behind it, and callers with and without manners."""

import contextlib
import os
import socket
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from commonhold.agent.service import Service
from commonhold.calls import Open, OsPath
from commonhold.formats.cid import Cid
from commonhold.host import standing
from commonhold.ipc.agentclient import RemoteAgent
from commonhold.ipc.agentwords import Coming
from commonhold.ipc.frames import Wire
from tests.node.serving import Running, running
from tests.waiting import SECONDS, until


class Answering:
    """An agent that answers on a socket."""

    def __init__(self, state: Path, path: Path, node: Running, uid: int) -> None:
        self.path = path
        self.node = node
        self.state = state
        self.service = Service(state, uid)
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(path))
        self._listening.listen(100)
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                self.service.take(self._listening.accept()[0])

    def close(self) -> None:
        """Take nobody in any more, and cut off who is there."""
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listening.close()
        self.service.stop(0)
        until(lambda: self.service.idle is not None)

    @contextlib.contextmanager
    def called(self, node: Path | None = None) -> Iterator[RemoteAgent]:
        """A caller's agent, told which node this is about and where the test stands."""
        with contextlib.closing(RemoteAgent(self.path, os.geteuid())) as agent:
            assert agent.open(node or self.node.socket).alike
            yield agent

    @contextlib.contextmanager
    def wire(self) -> Iterator[Wire]:
        """A connection of a caller who sends what they like."""
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(SECONDS)
        sock.connect(str(self.path))
        with contextlib.closing(Wire(sock)) as wire:
            yield wire

    @contextlib.contextmanager
    def opened(self) -> Iterator[Wire]:
        """The same, after the first words."""
        with self.wire() as wire:
            assert ask(wire, "open", self.coming())[0] == "done"
            yield wire

    def coming(self, **changed: Any) -> list[Any]:
        """A caller's first words."""
        cwd = Open(os.open(".", os.O_PATH), "cwd")
        return list(Coming(OsPath(self.node.socket), cwd, 0o22, standing.view())._replace(**changed))


def ask(wire: Wire, *said: Any) -> list[Any]:
    """Say something; the last thing that is answered."""
    wire.send(said)
    return answer(wire)


def answer(wire: Wire) -> list[Any]:
    """The answer to what was said, without what was told before. EOFError where there is none."""
    while True:
        message = wire.receive()
        if message is None:
            raise EOFError
        with message:
            if message.said[0] not in ("told", "items"):
                return message.said


def hung_up(wire: Wire) -> bool:
    """Wait for the end; False where something is said first."""
    return wire.receive() is None


@contextlib.contextmanager
def answering(directory: Path, uid: int | None = None) -> Iterator[Answering]:
    """Run an agent and its node; nobody is connected when it ends."""
    (directory / "state").mkdir(mode=0o700)
    with tempfile.TemporaryDirectory(prefix="hold-") as short, running(directory) as node:
        agent = Answering(directory / "state", Path(short) / "agent.sock", node, os.geteuid() if uid is None else uid)
        with contextlib.closing(agent):
            yield agent


@contextlib.contextmanager
def standing_at(directory: Path, umask: int) -> Iterator[None]:
    """Have the test stand somewhere else for a while."""
    before, mask = os.open(".", os.O_PATH), os.umask(umask)
    try:
        os.chdir(directory)
        yield
    finally:
        os.fchdir(before)
        os.umask(mask)
        os.close(before)


class Noting:
    """A watcher that keeps what it is told. See `calls.Watcher`."""

    def __init__(self) -> None:
        self.done = 0
        self.files: list[tuple[str, Cid, int]] = []
        self.left_out: list[tuple[str, str]] = []
        self.remarks: list[str] = []
        self.parts: dict[str, int] = {}

    def bytes(self, count: int) -> None:
        self.done += count

    def part(self, name: str, count: int) -> None:
        self.parts[name] = self.parts.get(name, 0) + count

    def file(self, path: str, cid: Cid, size: int) -> None:
        self.files.append((path, cid, size))

    def skipped(self, path: str, why: str) -> None:
        self.left_out.append((path, why))

    def remark(self, text: str) -> None:
        self.remarks.append(text)
