"""Frames between a mount and an agent: a head of fixed size, a body of msgpack and a payload. docs/spec/mount.md.

Many come and go at once: what is received is taken apart where it lies, what is sent goes in one call.
"""

import socket
from collections import deque
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from commonhold.ipc.treewords import HEAD, MAX_BODY, MAX_PAYLOAD

Payload = bytes | bytearray | memoryview

_HEAD = HEAD.size
_TOGETHER = 64  # parts sent by one call
_ROOM = _HEAD + MAX_BODY + MAX_PAYLOAD
_pack = HEAD.pack
_unpack = HEAD.unpack_from


class Broken(Exception):
    """What came is no frame."""


class Frame(NamedTuple):
    """A frame. `code` is a call or an errno. The views are good until its buffer is filled again."""

    id: int
    code: int
    tree: int
    flags: int
    body: memoryview
    payload: memoryview


def head(id_: int, code: int, tree: int, flags: int, body: bytes, payload: int) -> bytes:
    """Return all of a frame but its payload, of which the length is given."""
    return _pack(len(body), payload, id_, code, tree, flags) + body


class Incoming:
    """What has come by one connection and is not taken yet."""

    def __init__(self) -> None:
        self._data = bytearray(_ROOM)
        self._view = memoryview(self._data)
        self._start = 0
        self._end = 0

    def fill(self, sock: socket.socket, flags: int = 0) -> int:
        """Receive what there is; 0 when the other end has hung up. What was taken is no longer good."""
        if self._start == self._end:
            self._start = self._end = 0
        elif self._start:
            left = self._end - self._start
            self._view[:left] = self._view[self._start : self._end]
            self._start, self._end = 0, left
        count = sock.recv_into(self._view[self._end :], 0, flags)
        self._end += count
        return count

    def fill_now(self, sock: socket.socket) -> int | None:
        """The same, if there is anything by now."""
        try:
            return self.fill(sock, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return None

    def frames(self) -> Iterator[Frame]:
        """Take every frame that is whole. Broken where there is none."""
        data, view = self._data, self._view
        while self._end - self._start >= _HEAD:
            start = self._start
            body, payload, id_, code, tree, flags = _unpack(data, start)
            if body > MAX_BODY or payload > MAX_PAYLOAD:
                raise Broken(f"a frame of {body} and {payload} bytes")
            middle = start + _HEAD + body
            end = middle + payload
            if end > self._end:
                return
            self._start = end
            yield Frame(id_, code, tree, flags, view[start + _HEAD : middle], view[middle:end])


class Outgoing:
    """What is to be sent by one connection that does not wait."""

    def __init__(self) -> None:
        self._small = bytearray()  # heads that wait for each other
        self._left: deque[memoryview] = deque()  # what there was no room for, first
        self._kept = 0  # bytes of that

    def __bool__(self) -> bool:
        return bool(self._small or self._left)

    @property
    def size(self) -> int:
        """How many bytes wait."""
        return self._kept + len(self._small)

    def add(self, first: bytes) -> None:
        """Add a frame without a payload, or all of it before that. It is sent with what comes next, or by `send`."""
        self._small += first

    def send(self, sock: socket.socket, payload: Payload = b"") -> None:
        """Send what there is, and then a payload, as far as there is room; the rest is kept, and the payload copied."""
        small = self._small
        if self._left:
            self._keep(small)
            self._keep(payload)
            self._small = bytearray()
            self._send_left(sock)
            return
        try:
            sent = sock.sendmsg((small, payload)) if payload else sock.send(small)
        except BlockingIOError:
            sent = 0
        self._small = bytearray()
        if sent < len(small):
            self._keep(memoryview(small)[sent:])
            self._keep(payload)
        elif sent < len(small) + len(payload):
            self._keep(memoryview(payload)[sent - len(small) :])

    def _keep(self, data: Payload) -> None:
        if data:
            self._left.append(memoryview(bytes(data)))
            self._kept += len(data)

    def _send_left(self, sock: socket.socket) -> None:
        left = self._left
        while left:
            try:
                sent = sock.sendmsg(list(islice(left, _TOGETHER)))
            except BlockingIOError:
                return
            self._kept -= sent
            while sent:
                first = left[0]
                if sent < len(first):
                    left[0] = first[sent:]
                    break
                sent -= len(first)
                left.popleft()
