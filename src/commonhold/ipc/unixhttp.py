"""HTTP/1.1 over a unix socket, for threads: a connection each, kept open, and errors as they were meant."""

import fcntl
import http.client
import json
import os
import select
import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from commonhold.errors import HoldError, Kind, from_description
from commonhold.formats.malformed import Malformed
from commonhold.host import sockets
from commonhold.ipc import descriptors
from commonhold.ipc.peer import credentials

_MAX_ERROR = 64 << 10
MAX_ANSWER = 64 << 20
_SEND_ROOM = 1 << 20  # or as much as the system lets us have
_ONCE = ("/commit", "/rename", "/drop")
GO_ON = b"HTTP/1.1 100 Continue\r\n\r\n"  # what a descriptor comes with, before the answer

_CANNOT_BE = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError, Malformed)

Parts = Sequence[bytes | memoryview]
T = TypeVar("T")


class _Connection(http.client.HTTPConnection):
    """One connection. Whose socket it is was checked when it was made."""

    def __init__(self, path: Path, owners: set[int] | None, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path
        self._owners = owners

    def connect(self) -> None:
        """Connect, and refuse a socket behind which is somebody else than expected."""
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.settimeout(self.timeout)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_ROOM)
            sockets.connect(sock, self._path)
            uid = credentials(sock).uid
            if self._owners is not None and uid not in self._owners:
                raise HoldError("call", Kind.DENIED, str(self._path), f"uid {uid} is behind it, not who should be")
        except BaseException:
            sock.close()
            raise
        self.sock = sock

    def close_if_stale(self) -> None:
        """Close it if the other end has, or has spoken without being asked."""
        if self.sock is not None:
            poll = select.poll()
            poll.register(self.sock, select.POLLIN)
            if poll.poll(0):
                self.close()


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

    def leave(self) -> None:
        """Close this thread's connection: the thread is about to end."""
        found: _Connection | None = getattr(self._local, "connection", None)
        if found is not None:
            found.close()
            del self._local.connection
            with self._lock:
                if found in self._all:
                    self._all.remove(found)

    def _connection(self) -> _Connection:
        found: _Connection | None = getattr(self._local, "connection", None)
        if found is None:
            found = _Connection(self.path, self._owners, self._timeout)
            self._local.connection = found
            with self._lock:
                self._all.append(found)
        return found

    def call(self, method: str, path: str, *body: bytes | memoryview) -> http.client.HTTPResponse:
        """Make a call with a body of these parts; its answer, to be read to its end. Refusals are raised.

        A call on a connection that had been idle and turns out closed is made once more on a new one, unless it would
        do something else the second time.
        """
        connection = self._connection()
        connection.close_if_stale()
        again = connection.sock is not None and not path.endswith(_ONCE)
        while True:
            try:
                answer = self._send(connection, method, path, body)
                break
            except HoldError:
                connection.close()
                raise
            except (http.client.HTTPException, OSError) as error:
                connection.close()
                if not again or isinstance(error, TimeoutError):
                    raise self.unreachable(error) from error
                again = False
        self._local.answer = answer
        if answer.status != 200:
            raise self._refused(answer)
        return answer

    def _send(self, connection: _Connection, method: str, path: str, body: Parts) -> http.client.HTTPResponse:
        connection.putrequest(method, path, skip_accept_encoding=True)
        connection.putheader("Content-Length", str(sum(map(len, body))))
        try:
            connection.endheaders()
            if connection.sock is None:
                raise http.client.NotConnected
            for part in body:
                if len(part):
                    connection.sock.sendall(part)
        except (BrokenPipeError, ConnectionResetError):
            with suppress(http.client.HTTPException, OSError):  # it may have said why before it hung up
                return connection.getresponse()
            raise
        return connection.getresponse()

    def descriptor(self, path: str) -> int:
        """Make a call that is answered with a descriptor, too: that. Refusals are raised."""
        connection = self._connection()
        connection.close_if_stale()
        fds: list[int] = []
        try:
            connection.putrequest("POST", path, skip_accept_encoding=True)
            connection.putheader("Content-Length", "0")
            connection.endheaders()
            if connection.sock.recv(len(GO_ON), socket.MSG_PEEK) == GO_ON:
                _, fds = descriptors.receive(connection.sock, len(GO_ON), 1)
            self.answer_of(connection)
            if not fds:
                raise self.lied("no descriptor")
            return fds.pop()
        except descriptors.TooMany as error:
            raise self.lied(str(error)) from error
        except (http.client.HTTPException, OSError) as error:
            raise self.broken(error) from error
        finally:
            descriptors.close_all(fds)

    def memory(self, path: str, size: int) -> int | None:
        """Make a call that is answered with memory, of a size that it keeps: its descriptor, which is the caller's to
        close. None where there is none to be had."""
        try:
            fd = self.descriptor(path)
        except HoldError as error:
            if error.kind is not Kind.UNSUPPORTED:
                raise
            return None
        try:
            if not fcntl.fcntl(fd, fcntl.F_GET_SEALS) & fcntl.F_SEAL_SHRINK or os.fstat(fd).st_size != size:
                raise self.lied("memory that may become shorter")
        except OSError as error:
            os.close(fd)
            raise self.lied(f"memory that is none: {error.strerror}") from error
        except HoldError:
            os.close(fd)
            raise
        return fd

    def upload(self, path: str) -> "Upload":
        """Begin a call whose body is sent bit by bit, on a connection of its own."""
        return Upload(self, _Connection(self.path, self._owners, self._timeout), path)

    def answer_of(self, connection: "_Connection") -> bytes:
        """The answer to what was sent, whole. Refusals are raised."""
        answer = connection.getresponse()
        if answer.status != 200:
            raise self._refused(answer)
        return _whole(answer)

    def _refused(self, answer: http.client.HTTPResponse) -> HoldError:
        try:
            said = json.loads(answer.read(_MAX_ERROR))
        except (ValueError, RecursionError, http.client.HTTPException, OSError):
            said = None
        if not isinstance(said, dict) or "why" not in said:
            said = {"op": "call", "subject": str(self.path), "why": f"answer {answer.status}"}
        if not answer.isclosed():
            self._hang_up()
        return from_description(said)

    def unreachable(self, error: Exception) -> HoldError:
        """The error for a call that came to nothing."""
        why = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return HoldError("call", Kind.UNREACHABLE, str(self.path), why, hint="hold status")

    def _hang_up(self) -> None:
        answer: http.client.HTTPResponse | None = getattr(self._local, "answer", None)
        if answer is not None:
            answer.close()  # it has the socket where the other end said that it would close it
        self._connection().close()

    def broken(self, error: Exception) -> HoldError:
        """Give up this thread's connection, in the middle of an answer; the error for it."""
        self._hang_up()
        return self.unreachable(error)

    def read(self, answer: http.client.HTTPResponse) -> bytes:
        """An answer's whole body, within a limit."""
        try:
            return _whole(answer)
        except (http.client.HTTPException, OSError) as error:
            raise self.broken(error) from error

    def json(self, method: str, path: str, said: object = None, parse: Callable[[Any], T] = lambda found: found) -> T:
        """A call with JSON there and back; what `parse` makes of it. CORRUPT where that is not what it should be."""
        data = self.read(self.call(method, path, *([] if said is None else [json.dumps(said).encode()])))
        return self.understood(lambda: parse(json.loads(data)))

    def understood(self, work: Callable[[], T]) -> T:
        """What some work on an answer gives; an error that names the node where the answer cannot be."""
        try:
            return work()
        except _CANNOT_BE as error:
            raise self.lied(f"an answer that cannot be: {type(error).__name__}: {error}"[:500]) from error

    def lied(self, what: str) -> HoldError:
        """The error for an answer that is not true. The connection is given up: who knows what else it has."""
        self._hang_up()
        return HoldError("call", Kind.CORRUPT, f"node {self.path}", f"gave {what}; nothing of it was used")


def _whole(answer: http.client.HTTPResponse) -> bytes:
    """An answer's whole body, within the limit and of the length that was said."""
    data = answer.read(MAX_ANSWER + 1)
    if len(data) > MAX_ANSWER:
        raise http.client.HTTPException("an answer without end")
    if answer.length:
        raise http.client.IncompleteRead(data, answer.length)
    return data


class Upload:
    """A call that is being made: its body goes out in chunks (RFC 9112, 7.1). The first error ends it."""

    def __init__(self, client: Client, connection: _Connection, path: str) -> None:
        self._client = client
        self._connection = connection
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

    def finish(self, parse: Callable[[Any], T]) -> T:
        """End the body; what `parse` makes of the JSON that comes back."""
        try:
            self._write([b"0\r\n\r\n"])
            data = self._client.answer_of(self._connection)
        except (http.client.HTTPException, OSError) as error:
            raise self._client.unreachable(error) from error
        finally:
            self._connection.close()
        return self._client.understood(lambda: parse(json.loads(data)))

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
