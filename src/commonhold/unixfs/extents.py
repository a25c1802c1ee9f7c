"""Extents: where a file's bytes are, leaf by leaf. Only nodes that must be opened to know are asked for."""

from typing import NamedTuple

from commonhold.api import Stream
from commonhold.errors import HoldError, Kind
from commonhold.formats import cid as cids
from commonhold.formats.cid import Cid
from commonhold.formats.malformed import Malformed
from commonhold.formats.unixfs import Type
from commonhold.unixfs.nodes import Node, fetch_all, fetch_one, open_node

_BATCH = 32
_MAX_DEPTH = 64


class Extent(NamedTuple):
    """A stretch of a file: `size` bytes (-1: all there are) from `offset` of the file on, after `skip` of a leaf.

    The leaf is `data` if it is at hand; else the raw block `cid`, which has `whole` bytes or its parent lied
    (None: there is no parent to say).
    """

    offset: int
    size: int
    skip: int
    cid: Cid | None
    data: bytes | None
    whole: int | None


class _Todo(NamedTuple):
    """A subtree not yet opened: where it starts, how many bytes its parent says it has, its root block once here."""

    cid: Cid
    offset: int
    size: int
    depth: int
    block: bytes | None = None


def extents(cid: Cid, start: int = 0, stop: int | None = None) -> Stream[Extent]:
    """Stream: the extents of [start, stop) of a file, in order."""
    if start < 0 or (stop is not None and stop < start):
        raise HoldError("read", Kind.USAGE, str(cid), f"no range from {start} to {stop}")
    if cid.codec == cids.RAW and cid.inline is None and start == 0 and stop is None:
        yield Extent(0, -1, 0, cid, None, None)
        return
    root = open_node(cid, (yield from fetch_one(cid)))
    if root.data.type not in (Type.FILE, Type.RAW):
        kind = Kind.IS_A_DIRECTORY if root.data.type in (Type.DIRECTORY, Type.HAMT) else Kind.INVALID
        raise HoldError("read", kind, str(cid), f"is a {root.data.type.name.lower()}, not a file")
    size = _size(root)
    end = size if stop is None else min(stop, size)
    stack: list[_Todo] = []
    yield from _open(root, _Todo(cid, 0, size, 0), start, end, stack)
    while stack:
        todo = stack.pop()
        if todo.cid.codec == cids.RAW and todo.cid.inline is None:
            yield _cut(todo.offset, todo.size, start, end)._replace(cid=todo.cid, whole=todo.size)
        elif todo.block is not None:
            yield from _open(open_node(todo.cid, todo.block), todo, start, end, stack)
        else:
            batch = [todo, *_more(stack)]
            blocks = yield from fetch_all([one.cid for one in batch])
            opened = [one._replace(block=block) for one, block in zip(batch, blocks, strict=True)]
            stack += reversed(opened)


def _more(stack: list[_Todo]) -> list[_Todo]:
    """Take what follows and has to be opened too, to ask for it in one go."""
    batch: list[_Todo] = []
    while stack and len(batch) < _BATCH - 1 and stack[-1].block is None and stack[-1].cid.codec != cids.RAW:
        batch.append(stack.pop())
    return batch


def _size(node: Node) -> int:
    inner = len(node.data.data or b"") + sum(node.data.blocksizes)
    if node.data.filesize is not None and node.data.filesize != inner:
        raise Malformed("file node", f"says {node.data.filesize} bytes, its parts have {inner}")
    return inner


def _cut(offset: int, size: int, start: int, end: int) -> Extent:
    """The part of [offset, offset + size) that is asked for."""
    first, last = max(offset, start), min(offset + size, end)
    return Extent(first, last - first, first - offset, None, None, None)


def _open(node: Node, todo: _Todo, start: int, end: int, stack: list[_Todo]) -> Stream[Extent]:
    """Yield what a node holds itself, and put its children on the stack, the first on top."""
    data = node.data
    if data.type not in (Type.FILE, Type.RAW):
        raise Malformed("file node", f"a child of type {data.type.name}")
    if len(data.blocksizes) != len(node.links):
        raise Malformed("file node", f"{len(node.links)} links and {len(data.blocksizes)} sizes")
    if _size(node) != todo.size:
        raise Malformed("file node", f"{_size(node)} bytes, its parent says {todo.size}")
    if todo.depth > _MAX_DEPTH:
        raise Malformed("file", f"deeper than {_MAX_DEPTH} nodes")
    own = data.data or b""
    if own and todo.offset < end and todo.offset + len(own) > start:
        yield _cut(todo.offset, len(own), start, end)._replace(data=own)
    offset = todo.offset + len(own)
    below = []
    for link, size in zip(node.links, data.blocksizes, strict=True):
        if offset < end and offset + size > start:
            below.append(_Todo(link.cid, offset, size, todo.depth + 1))
        offset += size
    stack += reversed(below)
