"""HTTP/1.1 over a unix socket, for threads: a connection each, kept open, and errors as they were meant."""

import http.client
import json
import socket
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from commonhold.errors import HoldError, Kind, from_description
from commonhold.host import sockets
from commonhold.ipc.peer import Peer, credentials

_MAX_ERROR = 64 << 10
MAX_ANSWER = 64 << 20
_SEND_ROOM = 1 << 20  # or as much as the system lets us have

Parts = Sequence[bytes | memoryview]


class _Connection(http.client.HTTPConnection):
    """One connection. Whose socket it is was checked when it was made."""

    def __init__(self, path: Path, owners: set[int] | None, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path
        self._owners = owners

    def connect(self) -> None:
        """Connect, and refuse a socket behind which is somebody else than expected."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_ROOM)
        sockets.connect(self.sock, self._path)
        if self._owners is not None:
            peer = credentials(self.sock)
            if peer.uid not in self._owners:
                self.sock.close()
                raise HoldError("call", Kind.DENIED, str(self._path), f"uid {peer.uid} is behind it, not who should be")


class Client:
    """Calls to one socket. `owners`: the uids that may be behind it (None: whoever has it). Safe from many threads."""

    def __init__(self, path: Path, owners: set[int] | None = None, timeout: float = 120.0) -> None:
        self.path = path
        self._owners = owners
        self._timeout = timeout
        self._local = threading.local()
        self._all: list[_Connection] = []
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close every thread's connection."""
        with self._lock:
            for connection in self._all:
                connection.close()
            self._all.clear()

    def _connection(self) -> _Connection:
        found: _Connection | None = getattr(self._local, "connection", None)
        if found is None:
            found = _Connection(self.path, self._owners, self._timeout)
            self._local.connection = found
            with self._lock:
                self._all.append(found)
        return found

    def peer(self) -> Peer:
        """Who is behind this thread's connection."""
        connection = self._connection()
        if connection.sock is None:
            connection.connect()
        return credentials(connection.sock)

    def call(self, method: str, path: str, *body: bytes | memoryview) -> http.client.HTTPResponse:
        """Make a call with a body of these parts; its answer, to be read to its end. Refusals are raised.

        A call on a connection that had been idle and turns out closed is made once more on a new one.
        """
        again = getattr(self._local, "connection", None) is not None
        while True:
            connection = self._connection()
            try:
                answer = self._send(connection, method, path, body)
                break
            except (http.client.HTTPException, OSError) as error:
                connection.close()
                if not again or isinstance(error, TimeoutError):
                    raise self.unreachable(error) from error
                again = False
        if answer.status >= 400:
            raise self._refused(answer, connection)
        return answer

    def _send(self, connection: _Connection, method: str, path: str, body: Parts) -> http.client.HTTPResponse:
        connection.putrequest(method, path, skip_accept_encoding=True)
        connection.putheader("Content-Length", str(sum(map(len, body))))
        connection.endheaders()
        if connection.sock is None:
            raise http.client.NotConnected
        try:
            for part in body:
                if len(part):
                    connection.sock.sendall(part)
        except (BrokenPipeError, ConnectionResetError):
            with suppress(http.client.HTTPException, OSError):  # it may have said why before it hung up
                return connection.getresponse()
            raise
        return connection.getresponse()

    def upload(self, path: str) -> "Upload":
        """Begin a call whose body is sent bit by bit, on a connection of its own."""
        return Upload(self, _Connection(self.path, self._owners, self._timeout), path)

    def answer_of(self, connection: "_Connection") -> bytes:
        """The answer to what was sent, whole. Refusals are raised."""
        answer = connection.getresponse()
        if answer.status >= 400:
            raise self._refused(answer, connection)
        return answer.read(MAX_ANSWER)

    def _refused(self, answer: http.client.HTTPResponse, connection: _Connection) -> HoldError:
        try:
            said = json.loads(answer.read(_MAX_ERROR))
        except (ValueError, http.client.HTTPException, OSError):
            said = {"op": "call", "why": f"answer {answer.status}"}
        if not answer.isclosed():
            connection.close()
        return from_description(said)

    def unreachable(self, error: Exception) -> HoldError:
        """The error for a call that came to nothing."""
        why = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return HoldError("call", Kind.UNREACHABLE, str(self.path), why, hint="hold status")

    def broken(self, error: Exception) -> HoldError:
        """Give up this thread's connection, in the middle of an answer; the error for it."""
        self._connection().close()
        return self.unreachable(error)

    def read(self, answer: http.client.HTTPResponse) -> bytes:
        """An answer's whole body, within a limit."""
        try:
            data = answer.read(MAX_ANSWER + 1)
        except (http.client.HTTPException, OSError) as error:
            raise self.broken(error) from error
        if len(data) > MAX_ANSWER:
            raise self.broken(ValueError("an answer without end"))
        return data

    def json(self, method: str, path: str, said: object = None) -> Any:
        """A call with JSON there and back."""
        data = self.read(self.call(method, path, *([] if said is None else [json.dumps(said).encode()])))
        try:
            return json.loads(data)
        except ValueError as error:
            raise HoldError("call", Kind.FAILED, str(self.path), f"not JSON: {error}") from error


class Upload:
    """A call that is being made: its body goes out in chunks (RFC 9112, 7.1). The first error ends it."""

    def __init__(self, client: Client, connection: _Connection, path: str) -> None:
        self._client = client
        self._connection = connection
        self.sent = 0
        try:
            connection.putrequest("POST", path, skip_accept_encoding=True)
            connection.putheader("Transfer-Encoding", "chunked")
            connection.endheaders()
        except OSError as error:
            connection.close()
            raise client.unreachable(error) from error

    def send(self, parts: Parts) -> None:
        """Send more of the body."""
        size = sum(map(len, parts))
        if size:
            self._write([b"%x\r\n" % size, *parts, b"\r\n"])
            self.sent += size

    def finish(self) -> Any:
        """End the body; what JSON comes back."""
        try:
            self._write([b"0\r\n\r\n"])
            return json.loads(self._client.answer_of(self._connection))
        except (http.client.HTTPException, OSError, ValueError) as error:
            raise self._client.unreachable(error) from error
        finally:
            self._connection.close()

    def _write(self, parts: Parts) -> None:
        sock = self._connection.sock
        try:
            for part in parts:
                if len(part):
                    sock.sendall(part)
        except OSError as error:
            with suppress(http.client.HTTPException, OSError):  # it may have said why before it hung up
                self._client.answer_of(self._connection)
            self._connection.close()
            raise self._client.unreachable(error) from error
