"""An agent's side of a mount, served by a thread, and the mount's as a test plays it."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import Any, NamedTuple

from commonhold.agent.attending import Attendance
from commonhold.ipc.treeframes import Broken, Incoming, head
from commonhold.ipc.treewords import BY_NAME, Which, encode
from tests.opened import none_left
from tests.waiting import SECONDS


class Said(NamedTuple):
    """A frame of the agent's."""

    id: int
    code: int
    tree: int
    body: bytes
    payload: bytes


def call(id_: int, name: str, *given: Any, payload: bytes = b"", flags: int = 0, tree: int = Which.VOLUME) -> bytes:
    """A call as a frame."""
    return head(id_, BY_NAME[name].number, tree, flags, encode(given), len(payload)) + payload


class Asking:
    """One connection, with an agent that serves it until it is hung up on."""

    def __init__(self, attendance: Attendance) -> None:
        self.sock, self._other = socket.socketpair()
        self.sock.settimeout(SECONDS)
        self._incoming = Incoming()
        self._attendance = attendance
        self.broken: Exception | None = None
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        with self._other:
            try:
                self._attendance.serve(self._other, Incoming())
            except (Broken, OSError) as error:
                self.broken = error

    def answers(self, count: int) -> list[Said]:
        """So many frames, as they come."""
        found: list[Said] = []
        while len(found) < count:
            assert self._incoming.fill(self.sock), "the agent has hung up"
            found += [
                Said(one.id, one.code, one.tree, bytes(one.body), bytes(one.payload)) for one in self._incoming.frames()
            ]
        assert len(found) == count, found
        return found

    def ask(self, *frames: bytes) -> list[Said]:
        """What each of some calls is answered, by their ids."""
        self.sock.sendall(b"".join(frames))
        return sorted(self.answers(len(frames)))

    def over(self) -> Exception | None:
        """Hang up, and wait until the agent has seen it; why it has hung up before."""
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_WR)
        self._thread.join(SECONDS)
        assert not self._thread.is_alive()
        self.sock.close()
        return self.broken


@contextlib.contextmanager
def asking(attendance: Attendance) -> Iterator[Asking]:
    """A connection for a while."""
    with none_left():
        found = Asking(attendance)
        try:
            yield found
        finally:
            found.over()
