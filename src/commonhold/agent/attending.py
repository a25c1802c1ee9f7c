"""An agent's side of a mount: calls of its trees, answered as they come. docs/spec/mount.md.

One thread takes the calls and answers what it can at once; what may wait for something is done by a few others.
Calls of one mount may come by several connections, one after the other, as what sends them may be another by then:
what was done and perhaps not heard of is remembered, and not done again.
"""

import errno
import socket
import sys
import threading
import traceback
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import msgspec

from commonhold import __version__
from commonhold.agent.holding import Holding
from commonhold.errors import HoldError, Kind
from commonhold.formats.malformed import Malformed
from commonhold.host.busypoll import BusyPoll
from commonhold.host.saying import say
from commonhold.ipc.treeframes import Broken, Frame, Incoming, Payload, head
from commonhold.ipc.treewords import (
    BY_NUMBER,
    CALLS,
    HELLO,
    NOTICE,
    PROTOCOL,
    RESENT,
    Call,
    Hello,
    Notice,
    Welcome,
    Which,
    encode,
)
from commonhold.locking.values import MAX_OFFSET, from_row
from commonhold.trees import Tree

_THREADS = 8
_HELLO_SECONDS = 30.0  # the mount may have no worker just now
_REMEMBERED = 4096  # answers; a mount has fewer calls under way
_SOCKET_BUFFER = 4 << 20  # as much of it as the system lets us have
_TOGETHER = 2  # parts of answers that are sent at once: who waits for the first goes on meanwhile
_NOTHING = b""
_NIL = encode(None)
_WELCOME = msgspec.msgpack.Decoder(Welcome)
_ASKING = frozenset(
    {"lookup", "attr", "target", "xattr", "xattrs", "listing", "parent", "read", "seek", "room", "test"}
)
_CHANGING = frozenset(call.number for call in CALLS if call.name not in _ASKING)


def greet(sock: socket.socket, incoming: Incoming) -> Welcome:
    """Say hello to a mount; what it says. Broken for one that we cannot serve."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SOCKET_BUFFER)
    sock.settimeout(_HELLO_SECONDS)
    sock.sendall(head(NOTICE, HELLO, 0, 0, encode(Hello(PROTOCOL, __version__)), 0))
    frame = None
    while frame is None:
        if not incoming.fill(sock):
            raise Broken("the mount has hung up")
        frame = next(incoming.frames(), None)
    try:
        welcome: Welcome = _WELCOME.decode(frame.body)
    except msgspec.MsgspecError as error:
        raise Broken(str(error)) from error
    if frame.code != HELLO or welcome.protocol != PROTOCOL:
        raise Broken("a mount of another version")
    sock.settimeout(None)
    return welcome


class Attendance:
    """Serves one mount, as long as its epoch is the same. `client` is what it is called among those that have locks;
    `touched` is told when something may have changed; of `orphans` the mount is asked whether it knows them still."""

    def __init__(
        self,
        trees: Mapping[Which, Tree],
        touched: Callable[[], None] = lambda: None,
        locks: Holding | None = None,
        client: str = "",
        orphans: Sequence[int] = (),
    ) -> None:
        self._touched = touched
        self._locks = locks
        self._client = client
        self._orphans = orphans
        self._trees = {int(which): tree for which, tree in trees.items()}
        self._calls = {
            which: {call.number: getattr(tree, call.name) for call in CALLS if not call.lock}
            for which, tree in self._trees.items()
        }
        self._slow = {
            which: frozenset(call.number for call in CALLS if call.name in tree.slow and call.payload is None)
            for which, tree in self._trees.items()
        }
        self._cached = {which: tree.cached for which, tree in self._trees.items()}
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="hold-tree")
        self._sending = threading.Lock()
        self._sock: socket.socket | None = None
        self._answers: OrderedDict[int, tuple[bytes, bytes]] = OrderedDict()  # of what changed something, by id
        self._changes = 0
        self._asking = threading.Lock()
        self._running: dict[int, socket.socket | None] = {}  # what changes something by another thread: who asked last

    def close(self) -> None:
        """End the threads, when they are done."""
        self._pool.shutdown()

    def serve(self, sock: socket.socket, incoming: Incoming) -> None:
        """Answer calls until the mount hangs up. Broken for what is none, OSError as it comes."""
        self._sock = sock
        poll, now, later = BusyPoll(), partial(incoming.fill_now, sock), partial(incoming.fill, sock)
        try:
            for number in self._orphans:
                self.nameless(number)
            while True:  # some calls may have come with the mount's first words
                ready: list[Payload] = []
                before = self._changes
                for frame in incoming.frames():
                    answer = self._take(frame)
                    if answer is None:
                        continue
                    first, payload = answer
                    ready.append(first)
                    if payload:
                        ready.append(payload)
                    if len(ready) >= _TOGETHER:
                        self._send(ready, sock)
                        ready = []
                if ready:
                    self._send(ready, sock)
                if self._changes != before:
                    self._touched()
                if not poll.wait(now, later):
                    return
        finally:
            with self._sending:
                self._sock = None

    def name_changed(self, parent: int, name: bytes) -> None:
        """Tell the mount that what a name in the user's own tree led to is over."""
        self._notify(Notice.NAME, parent, name)

    def object_changed(self, number: int) -> None:
        """Tell the mount that an object of the user's own tree is no longer what it was."""
        self._notify(Notice.OBJECT, number)

    def nameless(self, number: int) -> None:
        """Ask the mount to have an object forgotten that lost its last name, as soon as the kernel does not know it."""
        self._notify(Notice.NAMELESS, number)

    def _notify(self, notice: Notice, *said: Any) -> None:
        self._send([head(NOTICE, notice, Which.VOLUME, 0, encode(said), 0)], self._sock)

    def _send(self, parts: list[Payload], sock: socket.socket | None) -> None:
        """Send, if who asked is still there: nobody else waits for an answer."""
        with self._sending:
            if self._sock is None or self._sock is not sock:
                return
            try:
                left = sum(map(len, parts)) - self._sock.sendmsg(parts)
                if left:
                    self._sock.sendall(memoryview(_NOTHING.join(parts))[-left:])
            except OSError:  # the thread that receives will see it, too
                self._sock = None

    # ── one call ──

    def _take(self, frame: Frame) -> tuple[bytes, Payload] | None:
        """Answer a call; None where that is done later."""
        id_, code, which, flags, body, payload = frame
        call = BY_NUMBER.get(code)
        if call is None or which not in self._trees:
            return head(id_, errno.ENOSYS, which, 0, _NOTHING, 0), _NOTHING
        try:
            given = call.given.decode(body)
        except msgspec.MsgspecError as error:
            raise Broken(f"{call.name}: {error}") from error
        if call.payload is not None:
            given = (*given[: call.payload], payload, *given[call.payload :])
        if not id_:
            if call.lock:
                self._lock(id_, call, which, given)
            else:
                self._done(id_, call, which, given)
            return None
        if call.lock:
            return self._lock(id_, call, which, given)
        if code in _CHANGING:
            if flags & RESENT:
                with self._asking:
                    if id_ in self._running:
                        self._running[id_] = self._sock
                        return None
                known = self._answers.get(id_)
                if known is not None:
                    return known
            if code in self._slow[which]:
                self._running[id_] = self._sock
                self._pool.submit(self._change_later, id_, call, which, given)
                return None
            return self._remember(id_, self._done(id_, call, which, given))
        if call.name == "read":
            try:
                found = self._cached[which](*given)
            except Exception as error:  # noqa: BLE001 whatever it was, it is an answer
                return self._failed(id_, which, error)
            if found is not None:
                return head(id_, 0, which, 0, _NOTHING, len(found)), found
        if code in self._slow[which]:
            self._pool.submit(self._ask_later, id_, call, which, given, self._sock)
            return None
        return self._done(id_, call, which, given)

    # ── locks ──

    def _lock(self, id_: int, call: Call, which: int, given: tuple[Any, ...]) -> tuple[bytes, Payload] | None:
        """Answer a call about locks of the user's own tree; None where that is done later, or not at all.

        One that is asked again was perhaps granted before: its owner then has what it asks for.
        """
        locks, client = self._locks, self._client
        if locks is None or which != Which.VOLUME:
            return head(id_, errno.ENOLCK, which, 0, _NOTHING, 0), _NOTHING
        if call.name == "test":
            return head(id_, 0, which, 0, encode(locks.test(client, *given)), 0), _NOTHING
        if call.name == "lock":
            number, owner, handle, start, end, kind, whole, wait, process = given
            span = (0, MAX_OFFSET) if whole else (start, min(end, MAX_OFFSET))
            try:
                wanted = from_row((number, int(whole), client, owner, handle, *span, kind, process))
            except Malformed:
                return head(id_, errno.EINVAL, which, 0, _NOTHING, 0), _NOTHING
            locks.lock(client, id_, wanted, wait, partial(self._granted, id_, which, self._sock))
        elif call.name == "interrupt":
            locks.interrupt(client, *given)
        else:
            getattr(locks, call.name)(client, *given)
            return head(id_, 0, which, 0, _NIL, 0), _NOTHING
        return None

    def _granted(self, id_: int, which: int, sock: socket.socket | None, error: int) -> None:
        self._send([head(id_, error, which, 0, _NOTHING if error else _NIL, 0)], sock)

    # ── trees ──

    def _done(self, id_: int, call: Call, which: int, given: tuple[Any, ...]) -> tuple[bytes, Payload]:
        try:
            result = self._calls[which][call.number](*given)
            if call.gives:
                return head(id_, 0, which, 0, _NOTHING, len(result)), result
            return head(id_, 0, which, 0, _NIL if call.result is None else encode(result), 0), _NOTHING
        except Exception as error:  # noqa: BLE001 whatever it was, it is an answer
            return self._failed(id_, which, error)

    def _failed(self, id_: int, which: int, error: Exception) -> tuple[bytes, Payload]:
        return head(id_, errno_of(error), which, 0, _NOTHING, 0), _NOTHING

    def _remember(self, id_: int, answer: tuple[bytes, Payload]) -> tuple[bytes, Payload]:
        self._changes += 1
        self._answers[id_] = (answer[0], bytes(answer[1]))
        self._answers.move_to_end(id_)
        if len(self._answers) > _REMEMBERED:
            self._answers.popitem(last=False)
        return answer

    def _ask_later(self, id_: int, call: Call, which: int, given: tuple[Any, ...], sock: socket.socket | None) -> None:
        first, payload = self._done(id_, call, which, given)
        self._send([first, payload] if payload else [first], sock)

    def _change_later(self, id_: int, call: Call, which: int, given: tuple[Any, ...]) -> None:
        first, payload = self._remember(id_, self._done(id_, call, which, given))
        with self._asking:
            sock = self._running.pop(id_)
        self._send([first, payload] if payload else [first], sock)
        self._touched()


def errno_of(error: Exception) -> int:
    """What the kernel is told of an error; what is none of ours is said in the log, too."""
    if isinstance(error, OSError) and error.errno:
        return error.errno
    if isinstance(error, HoldError):
        if error.kind in (Kind.FAILED, Kind.CORRUPT, Kind.UNREACHABLE, Kind.INVALID, Kind.BUG):
            say("hold agent", str(error))
            return errno.EIO
        number: int = error.kind.value.errno
        return number
    if isinstance(error, MemoryError):
        return errno.ENOMEM
    traceback.print_exception(error, file=sys.stderr)
    return errno.EIO
