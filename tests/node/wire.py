"""What a caller can send who keeps to no rule: bytes on a socket, and what came back."""

import json
import socket
from pathlib import Path
from typing import Any, NamedTuple

from commonhold.formats import car, keylist
from commonhold.formats import cid as cids
from commonhold.formats.multihash import Multihash
from commonhold.ipc import descriptors
from commonhold.ipc.unixhttp import GO_ON
from tests.waiting import SECONDS

HEADER = car.encode_header([])


class Answer(NamedTuple):
    """One answer. `headers` by their names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def said(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The error's code, as `errors.Kind` has it."""
        return str(self.said["code"])


class Wire:
    """A connection of a caller without manners."""

    def __init__(self, path: Path) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(SECONDS)
        self.sock.connect(str(path))
        self._held = b""

    def __enter__(self) -> "Wire":
        return self

    def __exit__(self, *error: object) -> None:
        self.sock.close()

    def send(self, *parts: bytes) -> None:
        self.sock.sendall(b"".join(parts))

    def request(self, method: str, path: str, body: bytes = b"", *headers: str) -> Answer:
        """A whole request with the length of its body, and the answer."""
        self.send(head(method, path, f"Content-Length: {len(body)}", *headers), body)
        return self.answer()

    def descriptor(self, path: str) -> tuple[int, Answer]:
        """Ask for what comes with a descriptor, and before any answer: that, and the answer."""
        self.send(head("POST", path))
        data, fds = descriptors.receive(self.sock, len(GO_ON), 5)
        assert data == GO_ON and len(fds) == 1
        return fds[0], self.answer()

    def answer(self) -> Answer:
        """The next answer. EOFError where the node hung up instead."""
        raw = self._until(b"\r\n\r\n").decode()
        while raw.startswith("HTTP/1.1 100"):  # this is not yet it
            raw = self._until(b"\r\n\r\n").decode()
        first, *lines = raw.split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines if line)}
        if headers.get("transfer-encoding") == "chunked":
            return Answer(int(first.split()[1]), headers, self._chunks())
        return Answer(int(first.split()[1]), headers, self._exactly(int(headers.get("content-length", "0"))))

    def _chunks(self) -> bytes:
        body = b""
        while size := int(self._until(b"\r\n"), 16):
            body += self._exactly(size)
            self._exactly(2)
        self._exactly(2)
        return body

    def _until(self, mark: bytes) -> bytes:
        while mark not in self._held:
            self._more()
        found, _, self._held = self._held.partition(mark)
        return found

    def _exactly(self, size: int) -> bytes:
        while len(self._held) < size:
            self._more()
        found, self._held = self._held[:size], self._held[size:]
        return found

    def _more(self) -> None:
        data = self.sock.recv(1 << 16)
        if not data:
            raise EOFError
        self._held += data

    def hung_up(self) -> bool:
        """Wait for the end; False where something more is said first."""
        try:
            return not self._held and self.sock.recv(1) == b""
        except ConnectionError:
            return True


def head(method: str, path: str, *headers: str) -> bytes:
    """A request's head."""
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: node", *headers, "", ""]).encode()


def ask(path: Path, method: str, call: str, body: bytes = b"", *headers: str) -> Answer:
    """One call on a connection of its own."""
    with Wire(path) as wire:
        return wire.request(method, call, body, *headers)


def begin(path: Path, *readers: Any) -> str:
    """Begin a session; its name."""
    return str(ask(path, "POST", "/v1/sessions", json.dumps({"readers": readers}).encode()).said["id"])


def archive(*blocks: tuple[Multihash, bytes]) -> bytes:
    """A CAR as the node takes and gives it."""
    return HEADER + b"".join(car.encode_section(cids.make_v1(cids.RAW, key), data) for key, data in blocks)


def put(path: Path, name: str, *blocks: bytes, readers: tuple[Any, ...] = ()) -> list[Multihash]:
    """Store blocks as a retain set; their keys."""
    from tests.suites.blockstore import key_of

    keys = [key_of(data) for data in blocks]
    session = begin(path, *readers)
    with Wire(path) as wire:
        done = wire.request("POST", f"/v1/sessions/{session}/blocks", archive(*zip(keys, blocks, strict=True)))
        assert done.status == 200, done
        said = json.dumps({"name": name, "root": str(cids.make_v1(cids.RAW, keys[0]))}).encode()
        done = wire.request("POST", f"/v1/sessions/{session}/commit", said)
        assert done.status == 200, done
    return keys


def packed(*keys: Multihash) -> bytes:
    """Keys as calls take them."""
    return keylist.pack(keys)
