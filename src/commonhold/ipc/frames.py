"""Frames: messages of a bounded size on a unix socket, each with the open files that belong to it.

A frame is its length, 4 bytes, big-endian, and then that many bytes of msgpack. docs/spec/agent.md has what they say.
"""

import os
import socket
from collections.abc import Sequence
from typing import Any

import msgspec

from commonhold.calls import Open, OsPath
from commonhold.formats import cid as cids
from commonhold.formats import multihash
from commonhold.formats.cid import Cid
from commonhold.formats.malformed import Malformed
from commonhold.formats.multihash import Multihash
from commonhold.ipc import descriptors

MAX_FRAME = 16 << 20
MAX_FILES = 4  # of one frame
_CHUNK = 64 << 10
_LENGTH = 4


class Broken(Exception):
    """What came is no frame, or not one that can be."""


class Wire:
    """One end of a connection. Not for use from two threads at once."""

    def __init__(self, sock: socket.socket, limit: int = MAX_FRAME) -> None:
        self.sock = sock
        self._limit = limit
        self._held = bytearray()
        self._files: list[int] = []

    def close(self) -> None:
        """Hang up."""
        descriptors.close_all(self._files)
        self._files = []
        self.sock.close()

    def send(self, message: Sequence[Any]) -> None:
        """Send a message, and the open files that are in it."""
        files: list[int] = []

        def plain(value: Any) -> Any:
            if isinstance(value, Open):
                files.append(value.fd)
                return len(files) - 1, value.said
            if isinstance(value, OsPath):
                return os.fsencode(value)
            if isinstance(value, Cid | Multihash):
                return bytes(value)
            raise NotImplementedError(type(value).__name__)

        body = msgspec.msgpack.encode(message, enc_hook=plain)
        if len(body) > self._limit:
            raise Broken(f"a message of {len(body)} bytes, the limit is {self._limit}")
        descriptors.send(self.sock, len(body).to_bytes(_LENGTH, "big") + body, files)

    def receive(self) -> "Message | None":
        """The next message; None when the other end has hung up. Broken for what is none."""
        length = self._take(_LENGTH)
        if length is None:
            return None
        size = int.from_bytes(length, "big")
        if size > self._limit:
            raise Broken(f"a message of {size} bytes, the limit is {self._limit}")
        body = self._take(size)
        files, self._files = self._files, []
        if body is None:
            descriptors.close_all(files)
            return None
        try:
            said = msgspec.msgpack.decode(body, type=list)
        except (msgspec.MsgspecError, RecursionError, ValueError) as error:
            descriptors.close_all(files)
            raise Broken(f"no message: {error}") from error
        return Message(said, files, self.sock.fileno())

    def _take(self, size: int) -> bytes | None:
        while len(self._held) < size:
            try:
                data, files = descriptors.receive(self.sock, _CHUNK, MAX_FILES)
            except ConnectionError:
                return None
            except descriptors.TooMany as error:
                raise Broken(str(error)) from error
            self._files += files
            if len(self._files) > MAX_FILES:
                raise Broken(f"more than {MAX_FILES} files with one message")
            if not data:
                return None
            self._held += data
        found = bytes(self._held[:size])
        del self._held[:size]
        return found


class Message:
    """A message that came: plain values yet, and its files, which are closed with it."""

    def __init__(self, said: list[Any], files: list[int], caller: int) -> None:
        self.said = said
        self._files = files
        self._caller = caller

    def __enter__(self) -> "Message":
        return self

    def __exit__(self, *how: object) -> None:
        descriptors.close_all(self._files)
        self._files = []

    def value(self, kind: Any, said: Any) -> Any:
        """A part of what was said, as a value of a type. Broken for what is none."""
        try:
            return msgspec.convert(said, type=kind, dec_hook=self._typed, builtin_types=(bytes,))
        except (msgspec.MsgspecError, RecursionError) as error:
            raise Broken(str(error)) from error

    def _typed(self, kind: type, said: Any) -> Any:
        if kind is Open:
            number, name = self.value(tuple[int, str], said)
            if not 0 <= number < len(self._files):
                raise ValueError("no file of this message")
            return Open(self._files[number], name, self._caller)
        if not isinstance(said, bytes):
            raise ValueError("not bytes")
        if kind is OsPath:
            if b"\0" in said:
                raise ValueError("a path with a zero byte")
            return OsPath(os.fsdecode(said))
        try:
            return cids.parse(said) if kind is Cid else _multihash(said)
        except Malformed as error:
            raise ValueError(str(error)) from error


def _multihash(said: bytes) -> Multihash:
    found, end = multihash.parse(said)
    if end != len(said):
        raise ValueError("more than a multihash")
    return found
