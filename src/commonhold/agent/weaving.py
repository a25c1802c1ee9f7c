"""Weaving: files and directories of a point in time into UnixFS, by a loom. docs/spec/snapshot.md, "The tree".

Small files are one node with their content, as an add with modes and times makes it. Others are nodes over raw leaves,
which a volume has stored as they are; what is a hole is never looked at.
"""

import hashlib
import re
from collections.abc import Callable
from typing import NamedTuple

from commonhold.agent.looms import Loom, Woven
from commonhold.api import Block
from commonhold.formats import dagpb, unixfs
from commonhold.formats.cid import Cid
from commonhold.formats.unixfs import Data, Mtime, Type
from commonhold.sealing.block import Row
from commonhold.unixfs.build import build_symlink
from commonhold.unixfs.directory import Entry, build_directory
from commonhold.unixfs.profile import V1_2025, cid_for
from commonhold.volume.pieces import CHUNK

_WIDTH = V1_2025.width
_STANDING_IN = re.compile("~[0-9a-f]{32}\\Z")


class Bytes(NamedTuple):
    """Where a file's bytes are from."""

    size: int
    leaf: Callable[[int, int], Woven]  # of a chunk that begins there and stops there
    empty: Callable[[int, int], bool]  # whether a range is known to be all zeros
    read: Callable[[int, int], bytes]


class Attributes(NamedTuple):
    """What UnixFS says of a file or directory besides what is in it."""

    mode: int | None = None
    mtime: Mtime | None = None


class Weaver:
    """Weaves one thing after the other; `made` are the digests of all blocks since it was last emptied."""

    def __init__(self, loom: Loom) -> None:
        self.made: list[bytes] = []
        self._loom = loom
        self._holes: dict[int, tuple[Woven, list[bytes]]] = {}  # by depth, of full width

    def file(self, source: Bytes, attributes: Attributes) -> Woven:
        """A file."""
        if source.size < CHUNK:
            data = source.read(0, source.size)
            mode = attributes.mode or None  # as in Kubo
            said = Data(Type.FILE, data=data or None, filesize=source.size, mode=mode, mtime=attributes.mtime)
            return self._node(dagpb.encode_data(unixfs.encode(said)), source.size, ())
        chunks = -(-source.size // CHUNK)
        depth = 1
        while _WIDTH**depth < chunks:
            depth += 1
        return self._span(source, depth, 0, chunks, attributes)

    def _span(self, source: Bytes, depth: int, first: int, chunks: int, attributes: Attributes) -> Woven:
        """The node above so many chunks."""
        each = _WIDTH ** (depth - 1)
        below: list[Woven] = []
        for at in range(first, first + chunks, each):
            count = min(each, first + chunks - at)
            start, stop = at * CHUNK, min((at + count) * CHUNK, source.size)
            if stop - start == each * CHUNK and source.empty(start, stop):
                below.append(self._hole(depth - 1))
            elif depth == 1:
                below.append(self._told(source.leaf(start, stop)))
            else:
                below.append(self._span(source, depth - 1, at, count, Attributes()))
        return self._over(below, attributes)

    def _hole(self, depth: int) -> Woven:
        """A subtree that is all zeros."""
        if depth not in self._holes:
            if depth == 0:
                zeros = self._loom.leaf(bytes(CHUNK))
                self._holes[0] = zeros, [zeros.digest]
            else:
                below = self._hole(depth - 1)
                made, self.made = self.made, []
                found = self._over([below] * _WIDTH, Attributes())
                self._holes[depth] = found, [*self._holes[depth - 1][1], found.digest]
                self.made = made
        found, digests = self._holes[depth]
        if self.made[-1:] != digests[-1:]:
            self.made += digests
        return found

    def _over(self, below: list[Woven], attributes: Attributes) -> Woven:
        sizes = tuple([child.size for child in below])
        data = Data(Type.FILE, None, sum(sizes), sizes, mode=attributes.mode or None, mtime=attributes.mtime)
        links = [dagpb.encode_link(child.cid, b"", child.tsize) for child in below]
        block = b"".join(links) + dagpb.encode_data(unixfs.encode(data))
        return self._node(block, sum(sizes), below)

    def symlink(self, target: str, mtime: Mtime | None) -> Woven:
        """A symbolic link."""
        built, block = build_symlink(V1_2025, target, mtime)
        return self._node(block.data, built.size, ())

    def directory(self, entries: list[Entry], rows: dict[Cid, Row], attributes: Attributes) -> Woven:
        """A directory of what was woven before; `rows` has the rows of it, and is added to."""
        plan = build_directory(V1_2025, entries, mode=attributes.mode, mtime=attributes.mtime)
        row: Row | None = None
        while True:
            try:
                block = next(plan)
            except StopIteration as end:
                built = end.value
                return Woven(built.cid, built.size, built.tsize, row)
            row = self._loom.node(block, rows)
            if row is not None:
                rows[block.cid] = row
            self.made.append(row.digest if row is not None else block.cid.multihash.digest)

    def _node(self, content: bytes, size: int, below: list[Woven] | tuple[()]) -> Woven:
        block = Block(cid_for(V1_2025, content), content)
        row = self._loom.node(block, {child.cid: child.row for child in below if child.row is not None})
        return self._told(Woven(block.cid, size, sum(child.tsize for child in below) + len(content), row))

    def _told(self, woven: Woven) -> Woven:
        self.made.append(woven.digest)
        return woven


def of_bytes(content: bytes, loom: Loom) -> Bytes:
    """Bytes that are here."""
    return Bytes(
        len(content),
        lambda start, stop: loom.leaf(content[start:stop]),
        lambda start, stop: False,
        lambda start, stop: content[start:stop],
    )


def stand_in(name: bytes) -> str:
    """What stands for a name in UnixFS: the name itself, unless it is no UTF-8, or could be what stands for another.

    That is escaped, and has a part of its hash. No two names have the same.
    """
    text = name.decode(errors="backslashreplace")
    if text.encode() == name and not _STANDING_IN.search(text):
        return text
    return f"{text.encode()[:200].decode(errors='ignore')}~{hashlib.sha256(name).hexdigest()[:32]}"
