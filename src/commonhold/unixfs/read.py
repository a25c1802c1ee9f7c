"""Reading plans: what a node is, where a path leads, what a directory lists. Graphs are `walk`, files `extents`.

A plan yields what it wants and is sent the blocks. Everything a block says is checked before it is believed.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from commonhold.api import Plan, Stream
from commonhold.errors import HoldError, Kind
from commonhold.formats.cid import Cid
from commonhold.formats.malformed import Malformed
from commonhold.formats.unixfs import Mtime, Type
from commonhold.unixfs.directory import bad_name
from commonhold.unixfs.extents import Extent, extents
from commonhold.unixfs.hamt import HASH_BITS, Entry, hash_name, slot_of
from commonhold.unixfs.nodes import Node, children, fetch_all, fetch_one, file_size, open_node
from commonhold.unixfs.shard import Shard, open_shard
from commonhold.unixfs.walk import Visited, walk

__all__ = ["Entry", "Extent", "Info", "Visited", "children", "extents", "listing", "resolve", "stat", "walk"]

_SHARDS = 64  # asked for at once


class Info(NamedTuple):
    """What a UnixFS node is. `size` in bytes of content; `links` of its own block; `target` of a symbolic link."""

    type: Type
    size: int
    links: int
    mode: int | None
    mtime: Mtime | None
    target: str | None


def stat(cid: Cid) -> Plan[Info]:
    """Plan: what a node is. Malformed for a file whose sizes contradict each other."""
    return info(open_node(cid, (yield from fetch_one(cid))))


def info(node: Node) -> Info:
    """Return what an opened node is."""
    data = node.data
    size, target = 0, None
    if data.type is Type.SYMLINK:
        target = _target(node)
        size = len(data.data or b"")
    elif data.type in (Type.FILE, Type.RAW):
        size = file_size(node)
    return Info(data.type, size, len(node.links), data.mode, data.mtime, target)


def _target(node: Node) -> str:
    if node.links:
        raise Malformed("symbolic link", "a link with children")
    try:
        return (node.data.data or b"").decode()
    except UnicodeDecodeError as error:
        raise Malformed("symbolic link", "a target that is not UTF-8") from error


# ── paths ──


def resolve(cid: Cid, path: Sequence[str]) -> Plan[Cid]:
    """Plan: the CID at a path below another. Symbolic links are not followed.

    NOT_FOUND and NOT_A_DIRECTORY name the path up to the segment that failed. Of a name that a directory has twice,
    the first counts.
    """
    for depth, segment in enumerate(path):
        where = "/".join((str(cid) if depth == 0 else "…", segment))
        if bad_name(segment):
            raise HoldError(
                "resolve",
                Kind.INVALID,
                repr(where)[:200],
                "no directory can have such a name",
                hint="hold ls lists what is there",
            )
        node = open_node(cid, (yield from fetch_one(cid)))
        if node.data.type is Type.DIRECTORY:
            found = next((link.cid for link in node.links if link.name == segment), None)
        elif node.data.type is Type.HAMT:
            found = yield from _resolve_hamt(node, segment)
        else:
            raise HoldError("resolve", Kind.NOT_A_DIRECTORY, where, f"what should hold {segment!r} is no directory")
        if found is None:
            raise HoldError(
                "resolve",
                Kind.NOT_FOUND,
                "/".join(path[: depth + 1]),
                f"no {segment!r} there",
                hint="hold ls lists what is there",
            )
        cid = found
    return cid


def _resolve_hamt(node: Node, name: str) -> Plan[Cid | None]:
    hashed = hash_name(name)
    shard = open_shard(node)
    depth = 0
    while True:
        slot = slot_of(hashed, shard.fanout, depth)
        if slot is None:
            raise Malformed("HAMT", "deeper than a hash has bits")
        if slot not in shard.slots:
            return None
        held, cid, _ = shard.slots[slot]
        if held:
            return cid if held == name else None
        depth += 1
        shard = open_shard(open_node(cid, (yield from fetch_one(cid))), shard.fanout)


# ── listings ──


def listing(cid: Cid) -> Stream[Entry]:
    """Stream: a directory's entries; of a plain one in its order, of a HAMT in none that may be relied on.

    Malformed for a name that is no file name, that comes twice, or that lies where its hash does not belong.
    """
    node = open_node(cid, (yield from fetch_one(cid)))
    if node.data.type is Type.HAMT:
        yield from _listing_hamt(node)
        return
    if node.data.type is not Type.DIRECTORY:
        raise HoldError("list", Kind.NOT_A_DIRECTORY, str(cid), "not a directory")
    yield from checked(node)


def checked(node: Node) -> Iterator[Entry]:
    """Yield the entries of a plain directory's node, in its order. Malformed as `listing` says."""
    seen: set[str] = set()
    for link in node.links:
        if link.name in seen:
            raise Malformed("directory", f"the name {link.name[:80]!r} twice")
        seen.add(link.name)
        yield _checked(link.name, link.cid, link.tsize)


def _checked(name: str, cid: Cid, tsize: int) -> Entry:
    if bad_name(name):
        raise Malformed("directory", f"the name {name[:80]!r}")
    return Entry(name, cid, tsize)


class _Waiting(NamedTuple):
    """A child shard not yet read: its depth, and the bits that every name's hash below it begins with."""

    depth: int
    prefix: int
    cid: Cid


def _listing_hamt(root: Node) -> Stream[Entry]:
    shard = open_shard(root)
    # A name must hash to where it was found, and no child shard is empty: so no shard can be met at two places for
    # long, and a small graph cannot pose as an endless directory.
    waiting: list[_Waiting] = []
    yield from _list_shard(shard, 0, 0, waiting)
    while waiting:
        batch = [waiting.pop() for _ in range(min(_SHARDS, len(waiting)))]
        blocks = yield from fetch_all([one.cid for one in batch])
        below: list[_Waiting] = []
        for one, block in zip(batch, blocks, strict=True):
            child = open_shard(open_node(one.cid, block), shard.fanout)
            yield from _list_shard(child, one.depth, one.prefix, below)
        waiting += reversed(below)


def _list_shard(shard: Shard, depth: int, prefix: int, below: list[_Waiting]) -> Stream[Entry]:
    """Yield the entries of a shard itself; add its child shards to `below`."""
    width = shard.fanout.bit_length() - 1
    if slot_of(0, shard.fanout, depth) is None:
        raise Malformed("HAMT", "deeper than a hash has bits")
    for slot, (name, cid, tsize) in shard.slots.items():
        path = prefix << width | slot
        if not name:
            below.append(_Waiting(depth + 1, path, cid))
            continue
        entry = _checked(name, cid, tsize)
        if hash_name(name) >> (HASH_BITS - (depth + 1) * width) != path:
            raise Malformed("HAMT", f"the name {name[:80]!r} is not where its hash belongs")
        yield entry
