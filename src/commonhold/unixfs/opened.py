"""Nodes opened once for many questions: where a byte of a file is, what a name in a directory leads to.

Plans open what they pass each time; here is what whoever keeps opened nodes asks them. Checked as the plans check.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator
from itertools import accumulate
from typing import NamedTuple, TypeAlias

from commonhold.formats import cid as cids
from commonhold.formats.cid import Cid
from commonhold.formats.malformed import Malformed
from commonhold.formats.unixfs import Type
from commonhold.unixfs import read
from commonhold.unixfs.directory import bad_name
from commonhold.unixfs.extents import MAX_DEPTH
from commonhold.unixfs.hamt import HASH_BITS, Entry, hash_name, slot_of
from commonhold.unixfs.nodes import open_node
from commonhold.unixfs.shard import Shard, open_shard


class File(NamedTuple):
    """A file's node: `own` bytes, then a part for each link. `starts` is where each begins, and where the last ends."""

    info: read.Info
    own: bytes
    starts: list[int]
    links: tuple[Cid, ...]


class Folder(NamedTuple):
    """A directory of one block: its entries in the block's order, and by their names."""

    info: read.Info
    entries: list[Entry]
    names: dict[str, Cid]


class Sharded(NamedTuple):
    """A HAMT directory's root, or a shard below one."""

    info: read.Info
    shard: Shard


class Other(NamedTuple):
    """A symbolic link, or what is no part of a tree of files."""

    info: read.Info


Opened: TypeAlias = File | Folder | Sharded | Other
Get: TypeAlias = Callable[[Cid], Opened]
Soon: TypeAlias = Callable[[list[Cid]], object]


def open_block(cid: Cid, block: bytes) -> Opened:
    """Return the node in a block. Malformed for a directory in which a name is no file name, or comes twice."""
    node = open_node(cid, block)
    info = read.info(node)
    if info.type in (Type.FILE, Type.RAW):
        own = node.data.data or b""
        starts = list(accumulate(node.data.blocksizes, initial=len(own)))
        return File(info, own, starts, tuple(link.cid for link in node.links))
    if info.type is Type.DIRECTORY:
        entries = list(read.checked(node))
        return Folder(info, entries, {entry.name: entry.cid for entry in entries})
    return Sharded(info, open_shard(node)) if info.type is Type.HAMT else Other(info)


def cost(opened: Opened) -> int:
    """Return about how many bytes of memory a node takes."""
    if isinstance(opened, File):
        return 1000 + len(opened.own) + 150 * len(opened.links)
    count = len(opened.entries) if isinstance(opened, Folder) else 0
    return 1000 + 350 * (len(opened.shard.slots) if isinstance(opened, Sharded) else count)


# ── files ──


class Part(NamedTuple):
    """The bytes [start, start + size) of a file: `own`, or those of the raw block `cid`, or its parent lied."""

    start: int
    size: int
    own: bytes
    cid: Cid | None


def locate(cid: Cid, size: int, at: int, get: Get) -> Part:
    """Return the part that has byte `at` of a file of so many bytes. Malformed where nodes contradict each other."""
    start = depth = 0
    while cid.codec != cids.RAW or cid.inline is not None:
        if depth > MAX_DEPTH:
            raise Malformed("file", f"deeper than {MAX_DEPTH} nodes")
        node = get(cid)
        if not isinstance(node, File) or node.info.size != size:
            raise Malformed("file node", f"no file of {size} bytes, as its parent says")
        if at - start < len(node.own):
            return Part(start, len(node.own), node.own, None)
        which = bisect_right(node.starts, at - start) - 1
        cid, size = node.links[which], node.starts[which + 1] - node.starts[which]
        start += node.starts[which]
        depth += 1
    return Part(start, size, b"", cid)


# ── directories ──


def find(folder: Folder | Sharded, name: str, get: Get) -> Cid | None:
    """Return what a name in a directory leads to."""
    if isinstance(folder, Folder):
        return folder.names.get(name)
    hashed, depth, shard = hash_name(name), 0, folder.shard
    while (slot := slot_of(hashed, shard.fanout, depth)) is not None:
        held, cid, _ = shard.slots.get(slot, ("", None, 0))
        if held or cid is None:
            return cid if held == name else None
        shard, depth = _below(shard, get(cid)), depth + 1
    raise Malformed("HAMT", "deeper than a hash has bits")


def entries_from(folder: Folder | Sharded, position: int, get: Get, soon: Soon) -> Iterator[tuple[int, Entry]]:
    """Yield the entries after a position, each with its own; 0 is before the first. `soon` is told what comes next.

    In a HAMT the order is that of the names' hashes, which are the positions but for the last bit: where two names
    differ in that alone, whoever goes on between them misses one.
    """
    if isinstance(folder, Folder):
        for at in range(position, len(folder.entries)):
            yield at + 1, folder.entries[at]
        return
    below = [_slots(folder.shard, 0, 0, position, get, soon)]
    while below:
        found = next(below[-1], None)
        if found is None:
            below.pop()
        elif isinstance(found, _Child):
            below.append(_slots(found.shard, found.depth, found.prefix, position, get, soon))
        else:
            yield found


class _Child(NamedTuple):
    """A shard below another, and the bits that every name's hash in it begins with."""

    shard: Shard
    depth: int
    prefix: int


_SOON = 16  # shards asked for at once


def _slots(
    shard: Shard, depth: int, prefix: int, position: int, get: Get, soon: Soon
) -> Iterator[tuple[int, Entry] | _Child]:
    """Yield what is in a shard and not wholly before a position: entries, and shards."""
    width = shard.fanout.bit_length() - 1
    rest = HASH_BITS - (depth + 1) * width
    if rest < 0:
        raise Malformed("HAMT", "deeper than a hash has bits")
    wanted = [
        (prefix << width | slot, found)
        for slot, found in shard.slots.items()
        if _position((((prefix << width | slot) + 1) << rest) - 1) > position
    ]
    shards = [cid for _, (name, cid, _) in wanted if not name]
    met = 0
    for path, (name, cid, tsize) in wanted:
        if not name:
            if met % _SOON == 0:
                soon(shards[met : met + _SOON])
            met += 1
            yield _Child(_below(shard, get(cid)), depth + 1, path)
            continue
        hashed = hash_name(name)
        if bad_name(name) or hashed >> rest != path:
            raise Malformed("HAMT", f"the name {name[:80]!r}, which cannot be there")
        if _position(hashed) > position:
            yield _position(hashed), Entry(name, cid, tsize)


def _position(hashed: int) -> int:
    return max(1, hashed >> 1)


def _below(above: Shard, node: Opened) -> Shard:
    """The shard in a node that a shard leads to."""
    if not isinstance(node, Sharded) or node.shard.fanout != above.fanout or not node.shard.slots:
        raise Malformed("HAMT", "what should be a child shard is none")
    return node.shard
