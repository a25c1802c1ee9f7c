"""A node as its callers see it: `api.BlockStore` over a socket. Every block that comes is checked against its name."""

import http.client
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from commonhold.api import PUBLIC, Pin, Reclaimed, Usage
from commonhold.errors import HoldError, Kind
from commonhold.formats import car, keylist, multihash
from commonhold.formats import cid as cids
from commonhold.formats.malformed import Malformed
from commonhold.formats.multihash import Multihash, describe
from commonhold.ipc import nodewords
from commonhold.ipc.ahead import Ahead
from commonhold.ipc.noderecords import NodeRecords
from commonhold.ipc.nodesession import RemoteSession
from commonhold.ipc.trays import Trays
from commonhold.ipc.unixhttp import Client

_HEADER = car.encode_header([])
_SECTION_HEAD = 4 + cids.MAX_BYTES


class NodeStore:
    """See `api.BlockStore`. Whoever may be behind the socket is said by `owners`. Timeout in seconds, for each step."""

    def __init__(self, socket: Path, owners: set[int] | None = None, timeout: float = 120.0) -> None:
        self.path = socket
        self._client = Client(socket, owners, timeout)
        self.records = NodeRecords(self._client)
        self._ahead = Ahead(self._receive, self._unpack)
        self._trays = Trays(self._client)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    # ── blocks ──

    def sizes(self, keys: Sequence[Multihash]) -> list[int | None]:
        """The length of each block, None where there is none for us."""
        return nodewords.sizes(self._client, keys)

    def has(self, key: Multihash) -> bool:
        """See `api.BlockStore`."""
        return self.sizes([key])[0] is not None

    def size(self, key: Multihash) -> int:
        """See `api.BlockStore`."""
        size = self._ahead.size(key)
        if size is None:
            size = self.sizes([key])[0]
        if size is None:
            raise _absent(key)
        return size

    def get(self, key: Multihash) -> bytes:
        """See `api.BlockStore`."""
        ahead = self._ahead.take(key)
        if ahead is not None:
            return ahead
        laid = self._laid(key)
        if laid is not None:
            data = bytes(laid)
            if multihash.matches(key, data):
                return data
        answer, length = self._open(key)
        room = bytearray(length)
        self._fill(answer, memoryview(room))
        self._check(key, memoryview(room))
        self._trays.came(length)
        return bytes(room)

    def read_into(self, key: Multihash, into: memoryview, *, unchecked: bool = False) -> int:
        """See `api.BlockStore`."""
        ahead = self._ahead.take(key)
        if ahead is not None:
            into[: len(ahead)] = ahead
            return len(ahead)
        laid = self._laid(key)
        if laid is not None:
            length = self._fits(len(laid), into)
            into[:length] = laid
            if unchecked or multihash.matches(key, into[:length]):
                return length
        answer, length = self._open(key)
        self._fill(answer, into[: self._fits(length, into)])
        self._check(key, into[:length])
        self._trays.came(length)
        return length

    def _fits(self, length: int, into: memoryview) -> int:
        if length > len(into):
            raise self._client.lied(f"{length} bytes where {len(into)} are the most")
        return length

    def _laid(self, key: Multihash) -> memoryview | None:
        """A block as it lies in this thread's tray; None without one. A wrong one is asked for again without a tray:
        there the node looks what is the matter with it."""
        if not self._trays.there:
            return None
        found = self._trays.read(key)
        if found is None:
            raise _absent(key)
        return found

    def _open(self, key: Multihash) -> tuple[http.client.HTTPResponse, int]:
        """Ask for one block; the answer where its bytes begin, and how many they are."""
        answer = self._client.call("POST", "/v1/blocks/read", keylist.pack([key]))
        front = len(_HEADER)
        if answer.length == front:
            self._client.read(answer)
            raise _absent(key)
        length = _payload_of(key, (answer.length or 0) - front)
        if length is None:
            raise self._client.lied(f"an answer of {answer.length} bytes for one block")
        head = _HEADER + car.section_head(cids.make_v1(cids.RAW, key), length)
        found = bytearray(len(head))
        self._fill(answer, memoryview(found))
        if found != head:
            raise self._client.lied("another block than was asked for")
        return answer, length

    def _fill(self, answer: http.client.HTTPResponse, into: memoryview) -> None:
        done = 0
        try:
            while done < len(into):
                got = answer.readinto(into[done:])
                if not got:
                    raise http.client.IncompleteRead(b"")
                done += got
        except (http.client.HTTPException, OSError) as error:
            raise self._client.broken(error) from error
        if answer.length == 0:
            answer.close()

    def _check(self, key: Multihash, data: memoryview) -> None:
        if not multihash.matches(key, data):
            raise self._client.lied(f"wrong bytes for block {describe(key)}")

    def expect(self, keys: Iterable[Multihash]) -> None:
        """Fetch blocks that will be asked for soon, in one go; what is not there, or does not fit, is left."""
        self._ahead.expect(keys)

    def batch(self, keys: Sequence[Multihash]) -> dict[Multihash, bytes]:
        """Those of these blocks that are there for us, each checked. Ask for no more at once than memory can hold."""
        return self._unpack(keys, self._client.read(self._client.call("POST", "/v1/blocks/read", keylist.pack(keys))))

    def _receive(self, keys: Sequence[Multihash], most: int) -> bytes:
        answer = self._client.call("POST", f"/v1/blocks/read?most={most}", keylist.pack(keys))
        if answer.length is None or answer.length > most + len(_HEADER) + len(keys) * _SECTION_HEAD:
            raise self._client.lied(f"{answer.length} bytes where {most} are the most")
        return self._client.read(answer)

    def _unpack(self, keys: Sequence[Multihash], data: bytes) -> dict[Multihash, bytes]:
        if data[: len(_HEADER)] != _HEADER:
            raise self._client.lied("no archive")
        try:
            sections, used = car.split(memoryview(data)[len(_HEADER) :])
        except Malformed as error:
            raise self._client.lied(str(error)) from error
        if used != len(data) - len(_HEADER) or len(sections) > len(keys):
            raise self._client.lied("an archive of another size")
        asked = set(keys)
        found: dict[Multihash, bytes] = {}
        for cid, view in sections:
            block = bytes(view)
            if cid.multihash not in asked:
                raise self._client.lied("a block that was not asked for")
            self._check(cid.multihash, memoryview(block))
            found[cid.multihash] = block
        return found

    def delete(self, key: Multihash) -> int:
        """See `api.BlockStore`."""
        data = self._client.read(self._client.call("POST", "/v1/blocks/delete", keylist.pack([key])))
        return self._client.understood(lambda: int(json.loads(data)["bytes"]))

    def keys(self) -> Iterator[Multihash]:
        """See `api.BlockStore`."""
        return iter(list(self._key_stream(self._client.call("GET", "/v1/keys"))))

    def _key_stream(self, answer: http.client.HTTPResponse) -> Iterator[Multihash]:
        limit = keylist.MAX_KEYS * 161
        while True:
            head = bytearray(4)
            self._fill(answer, memoryview(head))
            length = int.from_bytes(head, "little")
            if not length:
                self._client.read(answer)
                return
            if length > limit:
                raise self._client.lied("a run of keys without end")
            packed = bytearray(length)
            self._fill(answer, memoryview(packed))
            yield from self._client.understood(lambda: keylist.unpack(bytes(packed)))  # noqa: B023 at once

    # ── retain sets ──

    def session(self, readers: tuple[int, ...] = ()) -> RemoteSession:
        """See `api.BlockStore`. `readers` are let read what it commits."""
        said = ["public" if one == PUBLIC else one for one in readers]
        name = self._client.json("POST", "/v1/sessions", {"readers": said}, lambda found: str(found["id"]))
        if not name.isalnum():
            raise self._client.lied("a session without a name")
        return RemoteSession(self._client, name)

    def pins(self) -> list[Pin]:
        """See `api.BlockStore`."""
        return self._client.json("GET", "/v1/sets", parse=lambda found: [nodewords.parse_pin(said) for said in found])

    def pin(self, name: str) -> Pin | None:
        """See `api.BlockStore`."""
        at = f"/v1/sets?name={quote(name, safe='')}"
        pin = self._client.json("GET", at, parse=lambda found: nodewords.parse_pin(found[0]) if found else None)
        if pin is not None and pin.name != name:
            raise self._client.lied("another pin than was asked for")
        return pin

    def pin_keys(self, name: str) -> Iterator[Multihash]:
        """See `api.BlockStore`."""
        answer = self._client.call("POST", "/v1/sets/keys", json.dumps({"name": name}).encode())
        return iter(list(self._key_stream(answer)))  # to its end at once: nothing else may be asked meanwhile

    def unpin(self, name: str) -> None:
        """See `api.BlockStore`."""
        self._client.json("POST", "/v1/sets/drop", {"name": name})

    def rename_pin(self, old: str, new: str) -> None:
        """See `api.BlockStore`."""
        self._client.json("POST", "/v1/sets/rename", {"old": old, "new": new})

    def collect(self) -> Reclaimed:
        """Let go of what we put and no pin keeps; blocks, bytes and disk space given back."""
        return self._client.json(
            "POST",
            "/v1/collect",
            parse=lambda said: Reclaimed(int(said["blocks"]), int(said["bytes"]), disk=int(said["disk"])),
        )

    def hello(self) -> dict[str, Any]:
        """What the node says of itself. Whoever may not use it is told here."""
        return self._client.json("GET", "/v1/node", parse=dict)

    def process(self) -> int:
        """The process that the node says it is: behind a service manager's socket the kernel names that manager."""
        return self._client.json("GET", "/v1/node", parse=lambda said: int(said["process"]))

    def account(self) -> dict[str, Any]:
        """What we are charged for, and our quota."""
        return self._client.json("GET", "/v1/account", parse=dict)

    def usage(self) -> Usage:
        """See `api.BlockStore`."""
        said = self.account()
        blocks, size, pins = self._client.understood(lambda: [int(said[name]) for name in ("blocks", "bytes", "pins")])
        return Usage(blocks, size, pins, 0, size)


def _payload_of(key: Multihash, section: int) -> int | None:
    """The bytes of a block whose whole section is so long."""
    cid = cids.make_v1(cids.RAW, key)
    for prefix in range(1, 5):
        length = section - prefix - len(cid)
        if 0 <= length <= car.MAX_BLOCK and len(car.section_head(cid, length)) == prefix + len(cid):
            return length
    return None


def _absent(key: Multihash) -> HoldError:
    return HoldError("get", Kind.NOT_FOUND, f"block {describe(key)}", "not in this store")
