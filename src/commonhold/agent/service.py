"""The agent's side of the socket: whose connection it is, which node it is about, and a call after the other.

Each connection has a thread, in which the caller's working directory and umask hold. docs/spec/agent.md.
"""

import contextlib
import os
import socket
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from commonhold import __version__
from commonhold.agent.local import LocalAgent
from commonhold.agent.mounts import Mounts, NodeMounts
from commonhold.agent.opened import Served
from commonhold.agent.own import Own
from commonhold.calls import Open, OsPath
from commonhold.errors import HoldError, Kind, from_any
from commonhold.formats.cid import Cid
from commonhold.host import standing
from commonhold.host.passed import Gone
from commonhold.ipc import agentwords
from commonhold.ipc.agentclient import PIPE
from commonhold.ipc.agentwords import PROTOCOL, Call, Coming, Hello, Welcome
from commonhold.ipc.endpoint import owners
from commonhold.ipc.frames import Broken, Message, Wire
from commonhold.ipc.nodeclient import NodeStore
from commonhold.ipc.peer import credentials

MAX_CONNECTIONS = 64
_COMING_SECONDS = 10.0  # for a caller's first words
_TELL_SECONDS = 0.1
_ITEMS = 256  # of a stream, in one message


class Service:
    """Serves one user, whose own things are in `state`."""

    def __init__(self, state: Path, uid: int) -> None:
        self._state = state
        self._uid = uid
        self._view = standing.view()
        self._mounts = Mounts(state, uid)
        self._table = agentwords.Table()
        self._open: set[_Connection] = set()
        self._lock = threading.Condition()
        self._left = time.monotonic()  # when somebody last did
        self._stopping = False

    @property
    def idle(self) -> float | None:
        """For how many seconds nobody has been connected; None while somebody is."""
        with self._lock:
            return None if self._open or self._mounts.any else time.monotonic() - self._left

    def take(self, sock: socket.socket) -> None:
        """Serve a connection, in a thread of its own, until it ends; whoever may not call takes no room."""
        connection = _Connection(sock)
        try:
            self._admit(connection)
        except HoldError as error:
            connection.refuse(error)
            connection.close()
            return
        try:
            threading.Thread(target=self._serve, args=(connection,), name="hold-call", daemon=True).start()
        except RuntimeError as error:  # as many as the system lets us have
            connection.refuse(HoldError("call", Kind.BUSY, "agent", str(error)))
            self._leave(connection)

    def _admit(self, connection: "_Connection") -> None:
        peer = credentials(connection.sock)
        if peer.uid != self._uid or not peer.mapped:
            raise HoldError("call", Kind.DENIED, f"uid {peer.uid}", "this is somebody else's agent")
        with self._lock:
            if len(self._open) >= MAX_CONNECTIONS:
                why = f"you have {MAX_CONNECTIONS} connections, which is the limit"
                raise HoldError("call", Kind.BUSY, "agent", why)
            self._open.add(connection)

    def _leave(self, connection: "_Connection") -> None:
        with self._lock:
            self._open.discard(connection)
            self._left = time.monotonic()
            connection.close()
            self._lock.notify_all()

    def own(self, node: Path) -> Own:
        """The user's own tree over a node, as mounts and commands have it."""
        return self._mounts.own(node)

    def stop(self, seconds: float) -> None:
        """Take no more calls, and wait until those under way are answered, or for so long."""
        until = time.monotonic() + seconds
        with self._lock:
            self._stopping = True
            for one in self._open:
                if not one.busy:
                    one.hang_up()
            self._lock.wait_for(lambda: not self._open, max(0.0, until - time.monotonic()))
            for one in self._open:
                one.hang_up()
        self._mounts.close()

    def _serve(self, connection: "_Connection") -> None:
        try:
            standing.stand_apart()
            self._converse(connection)
        except (Gone, OSError):
            pass  # nobody is there to be told
        except Broken as error:
            connection.refuse(HoldError("call", Kind.INVALID, "agent", str(error)))
        finally:
            self._leave(connection)

    def _converse(self, connection: "_Connection") -> None:
        connection.sock.settimeout(_COMING_SECONDS)
        try:
            served = self._meet(connection)
        except HoldError as error:
            connection.refuse(error)
            return
        if served is None:
            return
        connection.sock.settimeout(None)
        with contextlib.closing(served):
            agent = LocalAgent(served, NodeMounts(self._mounts, connection.node))
            while self._rest(connection):
                with connection.receive() as message:
                    if not self._begin(connection):
                        return
                    self._answer(connection, message, agent)

    def _meet(self, connection: "_Connection") -> Served | None:
        """Say hello as often as we are greeted, until the caller names a node. None where we are told to stop."""
        while True:
            with connection.receive() as message:
                if not self._begin(connection):
                    return None
                name, given = message.value(tuple[str, list[Any]], message.said)
                if name == "open":
                    return self._open_node(connection, message, given)
                if name != "hello":
                    raise HoldError("call", Kind.INVALID, name[:40], "no node is named yet")
                connection.send("done", Hello(__version__, PROTOCOL, os.getpid()))
            if not self._rest(connection):
                return None

    def _begin(self, connection: "_Connection") -> bool:
        """Whether what has come is begun: not any more once we are told to stop."""
        with self._lock:
            connection.busy = not self._stopping
            return connection.busy

    def _rest(self, connection: "_Connection") -> bool:
        """Whether another call may come."""
        with self._lock:
            connection.busy = False
            return not self._stopping

    def _open_node(self, connection: "_Connection", message: Message, given: list[Any]) -> Served:
        """Open the node that a caller names, and stand where the caller stands."""
        coming = Coming(*message.value(tuple[OsPath, Open, int, str], given))
        alike = coming.view == self._view and _stood(coming)
        node = connection.node = Path(coming.node)
        store = NodeStore(node, owners(node, self._uid))
        try:
            store.hello()
            state = self._state.stat()
            connection.send("done", Welcome((state.st_dev, state.st_ino), alike))
        except BaseException:
            store.close()
            raise
        return Served(self._state, store, self._uid)

    def _answer(self, connection: "_Connection", message: Message, agent: LocalAgent) -> None:
        name, given = message.value(tuple[str, list[Any]], message.said)
        call = self._table.call(name)
        if call is None:
            connection.refuse(HoldError("call", Kind.UNSUPPORTED, name[:40], "the agent knows no such call"))
            return
        arguments = message.value(call.given, given)
        try:
            _perform(connection, agent, name, call, arguments)
        except (Gone, Broken):
            raise
        except BrokenPipeError as error:
            connection.send("failed", {"code": PIPE, "why": str(error)})
        except Exception as error:  # noqa: BLE001 whatever it was, the caller is told
            told = from_any(name.rpartition(".")[2], error)
            if told.kind is Kind.BUG:
                traceback.print_exception(error, file=sys.stderr)
            connection.refuse(told)


def _stood(coming: Coming) -> bool:
    """Stand where a caller does; whether that can be: it may be somewhere that its user has no way to."""
    try:
        standing.stand(coming.cwd.fd, coming.umask & 0o777)
    except OSError:
        return False
    return True


def _perform(connection: "_Connection", agent: LocalAgent, name: str, call: Call, given: tuple[Any, ...]) -> None:
    """Make a call, and send what comes of it."""
    room, _, method = name.partition(".")
    work = getattr(getattr(agent, room), method)
    if not call.watched:
        result = work(*given)
    else:
        telling = _Telling(connection)
        result = work(*given, telling)
        telling.flush()
    if call.stream:
        _stream(connection, result)
        result = None
    connection.send("done", result)


def _stream(connection: "_Connection", items: Iterator[Any]) -> None:
    while batch := list(islice(items, _ITEMS)):
        connection.send("items", batch)


class _Connection:
    """One caller's connection."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.busy = False
        self.node = Path()  # that its calls are about
        self._wire = Wire(sock)

    def receive(self) -> Message:
        """The next message; Gone where there is none."""
        message = self._wire.receive()
        if message is None:
            raise Gone
        return message

    def send(self, *message: Any) -> None:
        """Say something; Gone where nobody listens."""
        try:
            self._wire.send(message)
        except OSError as error:
            raise Gone from error

    def refuse(self, error: HoldError) -> None:
        """Say what went wrong, if anybody listens."""
        said = {name: _speakable(value) for name, value in error.described().items()}
        with contextlib.suppress(Gone):
            self.send("failed", said)

    def hang_up(self) -> None:
        """End it from another thread."""
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close it."""
        self._wire.close()


def _speakable(value: object) -> object:
    """A text without what no text has: bytes of a file's name."""
    return value.encode(errors="backslashreplace").decode() if isinstance(value, str) else value


class _Telling:
    """A watcher that passes on what it is told; bytes now and then, 0 of them at once. Gone where nobody hears it."""

    def __init__(self, connection: _Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()  # bytes are told from several threads
        self._bytes = 0
        self._next = time.monotonic() + _TELL_SECONDS

    def bytes(self, count: int) -> None:
        """See `calls.Watcher`."""
        with self._lock:
            self._bytes += count
            if not count or time.monotonic() >= self._next:
                self._flush()

    def flush(self) -> None:
        """Pass on the bytes that were not."""
        with self._lock:
            self._flush()

    def _flush(self) -> None:
        self._next = time.monotonic() + _TELL_SECONDS
        count, self._bytes = self._bytes, 0
        self._connection.send("told", "bytes", [count])

    def part(self, name: str, count: int) -> None:
        """See `calls.Watcher`."""
        with self._lock:
            self._connection.send("told", "part", [_speakable(name), count])

    def file(self, path: str, cid: Cid, size: int) -> None:
        """See `calls.Watcher`."""
        with self._lock:
            self._connection.send("told", "file", [_speakable(path), cid.plain, size])

    def skipped(self, path: str, why: str) -> None:
        """See `calls.Watcher`."""
        with self._lock:
            self._connection.send("told", "skipped", [_speakable(path), _speakable(why)])

    def remark(self, text: str) -> None:
        """See `calls.Watcher`."""
        with self._lock:
            self._connection.send("told", "remark", [_speakable(text)])
