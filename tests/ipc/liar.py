"""A socket behind which is no node: it answers with what it was given, whatever is asked."""

import socket
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from commonhold.ipc import descriptors
from commonhold.ipc.unixhttp import GO_ON

# None: hang up; a function is given the request's body; descriptors come with a first byte before the answer
Answer = bytes | Callable[[bytes], bytes] | tuple[Sequence[int], bytes] | None


def ok(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    """A whole answer."""
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*head, "", ""]).encode() + body


class Liar:
    """Serves any number of connections. `asked` has the first line of each request."""

    def __init__(self, path: Path, answers: Sequence[Answer], *, then_close: bool) -> None:
        self.path = path
        self.asked: list[str] = []
        self.connections = 0
        self._answers = list(answers)
        self._then_close = then_close
        self._listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listening.bind(str(path))
        self._listening.listen()
        self._open: list[socket.socket] = []
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            self._open.append(connection)
            self.connections += 1
            self._threads.append(threading.Thread(target=self._serve, args=(connection,)))
            self._threads[-1].start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            while self._answer(connection):
                pass

    def _answer(self, connection: socket.socket) -> bool:
        with connection.makefile("rb") as reading:
            head = []
            while (line := reading.readline()) not in (b"\r\n", b""):
                head.append(line.decode().strip())
            if not head:
                return False
            length = next((int(line.split(": ")[1]) for line in head if line.lower().startswith("content-length")), 0)
            body = reading.read(length)
        with self._lock:
            self.asked.append(head[0])
            answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if answer is None:
            return False
        if isinstance(answer, tuple):
            fds, answer = answer
            descriptors.send(connection, GO_ON, fds)
        connection.sendall(answer(body) if callable(answer) else answer)
        return not self._then_close

    def stop(self) -> None:
        """Hang up."""
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for connection in self._open:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()


@contextmanager
def lying(*answers: Answer, then_close: bool = False) -> Iterator[Liar]:
    """A liar on a socket of its own; the last answer is given again and again."""
    with tempfile.TemporaryDirectory(prefix="hold-") as short:
        liar = Liar(Path(short) / "node.sock", answers, then_close=then_close)
        try:
            yield liar
        finally:
            liar.stop()
