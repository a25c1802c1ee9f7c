"""Bytes of files at any offset, for many readers at once. Who reads on and on finds the next blocks fetched already."""

import threading
from collections import OrderedDict

from commonhold.agent.blocks import malformed
from commonhold.agent.shelf import Shelf
from commonhold.errors import HoldError, Kind
from commonhold.formats.cid import Cid
from commonhold.formats.malformed import Malformed
from commonhold.unixfs import opened
from commonhold.unixfs.opened import Opened, Part

_LEAST_AHEAD = 1 << 20
_MOST_AHEAD = 12 << 20
_NEAR = 2 << 20  # a kernel's own reads ahead come in any order
_STREAMS = 1024


class _NotHere(Exception):
    """A node that is not in memory."""

    def __init__(self, cid: Cid) -> None:
        super().__init__(cid)
        self.cid = cid


class _Stream:
    """How far a file was read, how far is being fetched, and how much more will be if that was right."""

    __slots__ = ("ahead", "next", "window")

    def __init__(self, following: int) -> None:
        self.next = following
        self.ahead = following
        self.window = 0


class Contents:
    """What is in the files of a shelf."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._streams: OrderedDict[Cid, _Stream] = OrderedDict()
        self._lock = threading.Lock()

    def read(self, cid: Cid, size: int, offset: int, length: int) -> bytes:
        """Bytes of a file of that size, fewer only at its end. HoldError; INVALID where its nodes say another size."""
        stop = min(offset + length, size)
        if stop <= offset:
            return b""
        with malformed("read", cid):
            self._read_ahead(cid, size, offset, stop)
            parts = []
            while offset < stop:
                part = opened.locate(cid, size, offset, self._node)
                data = self._shelf.get(part.cid) if part.cid is not None else part.own
                parts.append(_cut(part, data, offset, stop))
                offset = part.start + part.size
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def cached(self, cid: Cid, size: int, offset: int, length: int) -> bytes | None:
        """The same, if all that it needs is in memory."""
        start, stop = offset, min(offset + length, size)
        if stop <= start:
            return b""
        parts = []
        with malformed("read", cid):
            try:
                while offset < stop:
                    part = opened.locate(cid, size, offset, self._node_here)
                    data = self._shelf.here(part.cid) if part.cid is not None else part.own
                    if data is None:
                        return None
                    parts.append(_cut(part, data, offset, stop))
                    offset = part.start + part.size
            except _NotHere:
                return None
            self._read_ahead(cid, size, start, stop)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _node(self, cid: Cid) -> Opened:
        node = self._shelf.get(cid)
        assert not isinstance(node, bytes)  # raw leaves are not asked for as nodes
        return node

    def _node_here(self, cid: Cid) -> Opened:
        node = self._shelf.here(cid)
        if node is None:
            raise _NotHere(cid)
        assert not isinstance(node, bytes)
        return node

    # ── what comes next ──

    def _read_ahead(self, cid: Cid, size: int, offset: int, stop: int) -> None:
        """Have what follows fetched, the more the longer this goes on in order; nothing waits for it here."""
        with self._lock:
            stream = self._stream(cid, offset, stop)
            at, until = max(stream.ahead, stop), min(stop + stream.window, size)
            stream.ahead = max(at, until)
        try:
            while at < until:
                part = opened.locate(cid, size, at, self._node_here)
                if part.cid is not None:
                    self._shelf.soon([part.cid])
                at = part.start + part.size
        except _NotHere as missing:
            self._shelf.soon([missing.cid])
        except Malformed:
            pass  # whoever reads it is told
        with self._lock:
            stream.ahead = at

    def _stream(self, cid: Cid, offset: int, stop: int) -> _Stream:
        stream = self._streams.get(cid)
        if stream is None:
            stream = self._streams[cid] = _Stream(stop)
            if len(self._streams) > _STREAMS:
                self._streams.popitem(last=False)
        elif abs(offset - stream.next) <= _NEAR:
            stream.next = max(stream.next, stop)
            stream.window = min(max(2 * stream.window, _LEAST_AHEAD), _MOST_AHEAD)
        else:
            stream.next = stream.ahead = stop
            stream.window = 0
        return stream


def _cut(part: Part, data: object, offset: int, stop: int) -> bytes:
    """What is asked for of a part's bytes. INVALID where a leaf has another length than its parent says."""
    if not isinstance(data, bytes) or len(data) != part.size:
        found = len(data) if isinstance(data, bytes) else 0
        why = f"a leaf of {found} bytes, its parent says {part.size}"
        raise HoldError("read", Kind.INVALID, str(part.cid), why)
    return data[offset - part.start : stop - part.start]
