"""Extents: where a file's bytes are, leaf by leaf. Only nodes that must be opened to know are asked for."""

from typing import NamedTuple

from commonhold.api import Stream
from commonhold.errors import HoldError, Kind
from commonhold.formats import cid as cids
from commonhold.formats.cid import Cid
from commonhold.formats.malformed import Malformed
from commonhold.formats.unixfs import Type
from commonhold.unixfs.nodes import Node, fetch_all, fetch_one, file_size, open_node

_BATCH = 32
MAX_DEPTH = 64
_MAX_HELD = 64 << 20  # bytes of blocks read ahead; beyond it they are asked for one at a time
_MAX_WAITING = 1 << 19  # subtrees not yet opened: a few of the widest nodes that a block can hold


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
    """Stream: the extents of [start, stop) of a file, in order; what is beyond its end is left out.

    Raw leaves are named, not fetched: whoever fetches one has to compare its length with `whole`. Malformed where
    nodes contradict each other; IS_A_DIRECTORY or INVALID where there is no file.
    """
    if start < 0 or (stop is not None and stop < start):
        raise HoldError("read", Kind.USAGE, str(cid), f"no range from {start} to {stop}")
    if cid.codec == cids.RAW and cid.inline is None and start == 0 and stop is None:
        yield Extent(0, -1, 0, cid, None, None)
        return
    root = open_node(cid, (yield from fetch_one(cid)))
    if root.data.type not in (Type.FILE, Type.RAW):
        is_directory = root.data.type in (Type.DIRECTORY, Type.HAMT)
        kind = Kind.IS_A_DIRECTORY if is_directory else Kind.INVALID
        what = "directory" if is_directory else root.data.type.name.lower()
        hint = None if is_directory else "hold stat says what it is"
        raise HoldError("read", kind, str(cid), f"is a {what}, not a file", hint=hint)
    size = file_size(root)
    end = size if stop is None else min(stop, size)
    yield from _below(root, _Todo(cid, 0, size, 0), start, end)


def _below(root: Node, top: _Todo, start: int, end: int) -> Stream[Extent]:
    """Yield the extents of [start, end) of an opened root."""
    stack: list[_Todo] = []
    held = 0
    yield from _open(root, top, start, end, stack)
    while stack:
        todo = stack.pop()
        if todo.cid.codec == cids.RAW and todo.cid.inline is None:
            yield _cut(todo.offset, todo.size, start, end)._replace(cid=todo.cid, whole=todo.size)
        elif todo.block is not None:
            held -= len(todo.block)
            yield from _open(open_node(todo.cid, todo.block), todo, start, end, stack)
        else:
            batch = [todo, *_more(stack, _BATCH - 1 if held < _MAX_HELD else 0)]
            blocks = yield from fetch_all([one.cid for one in batch])
            held += sum(map(len, blocks))
            stack += reversed([one._replace(block=block) for one, block in zip(batch, blocks, strict=True)])


def _more(stack: list[_Todo], limit: int) -> list[_Todo]:
    """Take what follows and has to be opened too, to ask for it in one go."""
    batch: list[_Todo] = []
    while stack and len(batch) < limit and stack[-1].block is None and stack[-1].cid.codec != cids.RAW:
        batch.append(stack.pop())
    return batch


def _cut(offset: int, size: int, start: int, end: int) -> Extent:
    """The part of [offset, offset + size) that is asked for."""
    first, last = max(offset, start), min(offset + size, end)
    return Extent(first, last - first, first - offset, None, None, None)


def _open(node: Node, todo: _Todo, start: int, end: int, stack: list[_Todo]) -> Stream[Extent]:
    """Yield what a node holds itself, and put its children on the stack, the first on top."""
    size = file_size(node)
    if size != todo.size:
        raise Malformed("file node", f"{size} bytes, its parent says {todo.size}")
    if todo.depth > MAX_DEPTH:
        raise Malformed("file", f"deeper than {MAX_DEPTH} nodes")
    own = node.data.data or b""
    if own and todo.offset < end and todo.offset + len(own) > start:
        yield _cut(todo.offset, len(own), start, end)._replace(data=own)
    offset = todo.offset + len(own)
    below = []
    for link, part in zip(node.links, node.data.blocksizes, strict=True):
        if part and offset < end and offset + part > start:
            below.append(_Todo(link.cid, offset, part, todo.depth + 1))
        offset += part
    if len(stack) + len(below) > _MAX_WAITING:
        raise Malformed("file", f"more than {_MAX_WAITING} nodes side by side")
    stack += reversed(below)
