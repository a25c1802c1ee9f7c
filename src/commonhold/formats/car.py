"""CAR archives: v1 written, v1 and v2 read, as a stream and within bounds.

Source: IPLD CAR v1 and v2 specifications. A section is a varint length, a CID and the block's bytes.
"""

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from commonhold.formats import cid as cids
from commonhold.formats import dagcbor, varint
from commonhold.formats.cid import Cid
from commonhold.formats.malformed import Malformed, Unsupported

MAX_HEADER = 1 << 20
MAX_BLOCK = 2 << 20
_V2_PRAGMA = bytes.fromhex("0aa16776657273696f6e02")
_V2_HEADER = struct.Struct("<16sQQQ")
_SKIP_STEP = 1 << 20


class Source(Protocol):
    """Bytes in order: read(n) gives at most n, and b'' at the end only."""

    def read(self, size: int, /) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Section:
    """One block of an archive, not yet checked against its CID."""

    cid: Cid
    data: bytes


def encode_header(roots: list[Cid]) -> bytes:
    """Return a CARv1 header."""
    body = dagcbor.encode({"roots": list(roots), "version": 1})
    return varint.encode(len(body)) + body


def section_head(cid: Cid, length: int) -> bytes:
    """Return what comes before a block of a length."""
    return varint.encode(len(cid) + length) + cid


def encode_section(cid: Cid, data: bytes | memoryview) -> bytes:
    """Return one section."""
    return varint.encode(len(cid) + len(data)) + cid + bytes(data)


class Reader:
    """An archive being read: `roots` at once, then the sections in order."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._left: int | None = None  # bytes of a v2's inner archive still to come; None: until the end
        header = self._header()
        self.version = 1
        if header.get("version") == 2:
            self.version = 2
            self._enter_v2()
            header = self._header()
        if header.get("version") != 1:
            raise Unsupported("CAR", f"version {str(header.get('version'))[:40]}")
        roots = header.get("roots")
        if not isinstance(roots, list) or not all(isinstance(root, Cid) for root in roots):
            raise Malformed("CAR header", "roots is not a list of CIDs")
        self.roots: list[Cid] = roots

    def _enter_v2(self) -> None:
        raw = self._exactly(_V2_HEADER.size, "CARv2 header")
        _, start, size, _ = _V2_HEADER.unpack(raw)
        gap = start - len(_V2_PRAGMA) - _V2_HEADER.size
        if gap < 0 or size < 1:
            raise Malformed("CARv2 header", f"data at {start} of {size} bytes")
        while gap:
            gap -= len(self._exactly(min(gap, _SKIP_STEP), "CARv2 padding"))
        self._left = size

    def _header(self) -> dict[str, Any]:
        length = self._length("CAR header")
        if length is None:
            raise Malformed("CAR header", "the archive is empty")
        if not 0 < length <= MAX_HEADER:
            raise Malformed("CAR header", f"{length} bytes, the limit is {MAX_HEADER}")
        header = dagcbor.decode(self._exactly(length, "CAR header"))
        if not isinstance(header, dict):
            raise Malformed("CAR header", "not a map")
        return header

    def __iter__(self) -> Iterator[Section]:
        while (length := self._length("CAR section")) is not None:
            if length > MAX_BLOCK + cids.MAX_BYTES:
                raise Malformed("CAR section", f"{length} bytes, the limit of a block is {MAX_BLOCK}")
            body = self._exactly(length, "CAR section")
            cid, start = cids.parse_prefix(body)
            if length - start > MAX_BLOCK:
                raise Malformed("CAR section", f"a block of {length - start} bytes, the limit is {MAX_BLOCK}")
            yield Section(cid, body[start:])

    def _length(self, what: str) -> int | None:
        """Read a varint; None at a clean end."""
        raw = b""
        while len(raw) < 10:
            byte = self._take(1)
            if not byte:
                if raw:
                    raise Malformed(what, "cut short")
                return None
            raw += byte
            if byte[0] < 128:
                return varint.decode(raw, 0)[0]
        raise Malformed(what, "length too long")

    def _take(self, size: int) -> bytes:
        if self._left is not None:
            size = min(size, self._left)
            if size == 0:
                return b""
        data = self._source.read(size)
        if self._left is not None:
            self._left -= len(data)
            if not data:
                raise Malformed("CARv2", "the inner archive is cut short")
        return data

    def _exactly(self, size: int, what: str) -> bytes:
        parts: list[bytes] = []
        while size:
            part = self._take(size)
            if not part:
                raise Malformed(what, "cut short")
            parts.append(part)
            size -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)


def split(data: memoryview, pause: Callable[[], None] = lambda: None) -> tuple[list[tuple[Cid, memoryview]], int]:
    """Return the whole sections at the start of data, as views of it, and how many bytes they are.

    `pause` is called before each.
    """
    found: list[tuple[Cid, memoryview]] = []
    at = 0
    while at < len(data):
        pause()
        head = bytes(data[at : at + 10])
        if head[-1] >= 128 and len(head) < 10 and all(byte >= 128 for byte in head):
            break  # the length itself is cut short
        length, size = varint.decode(head, 0)
        if length > MAX_BLOCK + cids.MAX_BYTES:
            raise Malformed("CAR section", f"{length} bytes, the limit of a block is {MAX_BLOCK}")
        end = at + size + length
        if end > len(data):
            break
        cid, start = cids.parse_prefix(bytes(data[at + size : min(end, at + size + cids.MAX_BYTES)]))
        block = data[at + size + start : end]
        if len(block) > MAX_BLOCK:
            raise Malformed("CAR section", f"a block of {len(block)} bytes, the limit is {MAX_BLOCK}")
        found.append((cid, block))
        at = end
    return found, at
