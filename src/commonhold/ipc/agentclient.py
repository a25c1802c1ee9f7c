"""A user's agent behind a socket: `calls.Agent`, by frames. docs/spec/agent.md."""

import contextlib
import os
import socket
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, cast

from commonhold import calls
from commonhold.errors import HoldError, Kind, from_description
from commonhold.host import sockets, standing
from commonhold.host.names import shown
from commonhold.ipc import agentwords
from commonhold.ipc.agentwords import PROTOCOL, ROOMS, Call, Coming, Hello, Welcome
from commonhold.ipc.frames import Broken, Message, Wire
from commonhold.ipc.peer import credentials

PIPE = "E-PIPE"  # nobody reads what the agent writes for us
_CONNECT_SECONDS = 10.0
_HELLO_SECONDS = 20.0
_OPEN_SECONDS = 60.0

_TABLE = agentwords.Table()


class Lost(HoldError):
    """The agent ended, or could not be spoken to any more: UNREACHABLE."""


class RemoteAgent:
    """See `calls.Agent`. One call at a time; a connection that failed is of no use any more."""

    def __init__(self, path: Path, uid: int) -> None:
        """Connect to the agent of a user, and to nobody else's. UNREACHABLE where nobody listens, BUSY where somebody
        does who says nothing, DENIED."""
        self.path = path
        self._wire = Wire(_connect(path, uid))
        self._streaming = False
        try:
            self.hello: Hello = self._first("hello", (), Hello, _HELLO_SECONDS)
        except BaseException:
            self.close()
            raise
        for room in ROOMS:
            setattr(self, room, _Room(self._call, room))

    files: calls.Files
    pins: calls.Pins
    graphs: calls.Graphs
    keeping: calls.Keeping
    keys: calls.Keyring
    names: calls.Naming
    mounts: calls.Mounts
    tree: calls.OwnTree
    history: calls.History
    grids: calls.Grids

    def open(self, node: Path) -> Welcome:
        """Say which node this is about, where we stand and what new files are not to be let do; what the agent says.

        VERSION where the agent speaks in another way.
        """
        if self.hello.protocol != PROTOCOL:
            why = f"the agent is of hold {self.hello.version[:40]}, which speaks in another way"
            raise HoldError("call", Kind.VERSION, str(self.path), why, hint="hold down, then run it again")
        cwd = os.open(".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        umask = os.umask(0o077)
        os.umask(umask)
        try:
            here = calls.Open(cwd, "working directory")
            coming = Coming(calls.OsPath(node.absolute()), here, umask, standing.view())
            return cast(Welcome, self._first("open", tuple(coming), Welcome, _OPEN_SECONDS))
        finally:
            os.close(cwd)

    def _first(self, name: str, given: tuple[Any, ...], result: Any, seconds: float) -> Any:
        """One of the calls before all others, which do not take long. BUSY where nothing comes for so long."""
        self._wire.sock.settimeout(seconds)
        found = self._asked(name, given, Call(None, result, stream=False, watched=False))
        self._wire.sock.settimeout(None)  # a call may take as long as it takes
        return found

    def close(self) -> None:
        """Hang up. A call that is at work is given up."""
        self._wire.close()

    def _call(self, name: str, *given: Any) -> Any:
        call = _TABLE.call(name)
        if call is None:
            raise AttributeError(name)
        if call.stream:
            return self._items(name, given, call)
        return self._asked(name, given, call)

    def _asked(self, name: str, given: tuple[Any, ...], call: Call) -> Any:
        watcher = given[-1] if call.watched else None
        self._send(name, given[:-1] if call.watched else given)
        while True:
            with self._receive() as message, self._understanding():
                done, value = self._take(message, watcher)
                if done:
                    return message.value(call.result, value)

    def _items(self, name: str, given: tuple[Any, ...], call: Call) -> Iterator[Any]:
        self._send(name, given)
        done = False
        while not done:
            self._streaming = False
            with self._receive() as message, self._understanding():
                done, value = self._take(message, None)
                found = [] if done else message.value(list[call.result], value)  # type: ignore[name-defined]
            self._streaming = not done
            yield from found

    def _send(self, name: str, given: tuple[Any, ...]) -> None:
        if self._streaming:
            raise HoldError("call", Kind.BUG, name, "a stream before it was not read to its end")
        try:
            self._wire.send([name, list(given)])
        except (BrokenPipeError, ConnectionResetError):
            pass  # it may have said why before it hung up
        except UnicodeEncodeError as error:
            word = shown(str(error.object))[:120]
            raise HoldError("call", Kind.USAGE, word, "is not UTF-8", hint="only paths of files may be that") from error
        except OSError as error:
            raise self._lost(error) from error
        except Broken as error:
            raise HoldError("call", Kind.TOO_LARGE, name, str(error)) from error

    def _receive(self) -> Message:
        with self._understanding():
            try:
                message = self._wire.receive()
            except OSError as error:
                raise self._lost(error) from error
            if message is None:
                raise self._lost(None)
            return message

    def _take(self, message: Message, watcher: calls.Watcher | None) -> tuple[bool, Any]:
        """Whether a message is the last of a call, and what it has. Errors are raised, what is told is told."""
        kind, *rest = message.value(list[Any], message.said)
        if kind == "told" and watcher is not None:
            name, given = message.value(tuple[str, list[Any]], rest)
            told = _TABLE.told(name)
            if told is None:
                raise Broken(f"told of {name[:40]}")
            getattr(watcher, name)(*message.value(told.given, given))
            return False, []
        if kind == "items":
            return False, rest[0]
        if kind == "done":
            return True, rest[0]
        if kind == "failed":
            description = message.value(dict[str, Any], rest[0])
            if description.get("code") == PIPE:
                raise BrokenPipeError
            raise from_description(description)
        raise Broken(f"an answer of kind {str(kind)[:40]}")

    @contextlib.contextmanager
    def _understanding(self) -> Iterator[None]:
        try:
            yield
        except (Broken, IndexError, ValueError) as error:
            self.close()
            raise HoldError("call", Kind.FAILED, str(self.path), f"an answer that cannot be: {error}"[:500]) from error

    def _lost(self, error: OSError | None) -> HoldError:
        if isinstance(error, TimeoutError):
            why = f"the agent has said nothing for {self._wire.sock.gettimeout():g} s"
            self.close()
            hint = f"fuser -v {self.path} names its process; kill -9 ends it, and loses nothing"
            return HoldError("call", Kind.BUSY, str(self.path), why, hint=hint)
        self.close()
        why = "the agent ended before it had answered" if error is None else error.strerror or str(error)
        return Lost("call", Kind.UNREACHABLE, str(self.path), why, hint="run it again: the agent starts by itself")


class _Room:
    """The calls of one room, by their names."""

    def __init__(self, call: Callable[..., Any], room: str) -> None:
        self._call = call
        self._room = room

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return partial(self._call, f"{self._room}.{name}")


def _connect(path: Path, uid: int) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.settimeout(_CONNECT_SECONDS)
        sockets.connect(sock, path)
        peer = credentials(sock)
        if peer.uid != uid:
            raise HoldError("call", Kind.DENIED, str(path), f"uid {peer.uid} is behind it, not you")
        return sock
    except OSError as error:
        sock.close()
        raise HoldError("call", Kind.UNREACHABLE, str(path), error.strerror or str(error)) from error
    except BaseException:
        sock.close()
        raise
