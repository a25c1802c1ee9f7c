"""Reading plans: what a node is, where a path leads, what a directory lists, which blocks a graph has.

A plan yields what it wants and is sent the blocks. Everything a block says is checked before it is believed.
"""

from collections.abc import Sequence
from typing import NamedTuple

from commonhold.api import Plan, Stream
from commonhold.errors import HoldError, Kind
from commonhold.formats import cid as cids
from commonhold.formats.cid import Cid
from commonhold.formats.malformed import Malformed
from commonhold.formats.unixfs import HAMT_MURMUR3, Mtime, Type
from commonhold.unixfs.directory import bad_name
from commonhold.unixfs.extents import Extent, extents
from commonhold.unixfs.hamt import Entry, hash_name
from commonhold.unixfs.nodes import Node, children, fetch_all, fetch_one, open_node

__all__ = ["Entry", "Extent", "Info", "Visited", "children", "extents", "listing", "resolve", "stat", "walk"]

_BATCH = 32
_MAX_FANOUT = 1024


class Info(NamedTuple):
    """What a UnixFS node is. `size` in bytes of content; `links` of its own block; `target` of a symbolic link."""

    type: Type
    size: int
    links: int
    mode: int | None
    mtime: Mtime | None
    target: str | None


def stat(cid: Cid) -> Plan[Info]:
    """Plan: what a node is."""
    node = open_node(cid, (yield from fetch_one(cid)))
    data = node.data
    target = None
    if data.type is Type.SYMLINK:
        try:
            target = (data.data or b"").decode()
        except UnicodeDecodeError as error:
            raise Malformed("symbolic link", "a target that is not UTF-8") from error
    size = data.filesize if data.filesize is not None else len(data.data or b"") if not node.links else 0
    if data.type in (Type.DIRECTORY, Type.HAMT):
        size = 0
    return Info(data.type, size, len(node.links), data.mode, data.mtime, target)


# ── directories ──


class _Shard(NamedTuple):
    """A checked HAMT node: its fanout, and how many hex digits a link's prefix has."""

    fanout: int
    digits: int
    slots: dict[int, tuple[str, Cid, int]]  # slot → (name, '' for a child shard; target; tsize)


def _open_shard(node: Node, fanout: int | None) -> _Shard:
    data = node.data
    size = data.fanout or 0
    if data.type is not Type.HAMT or data.hash_type != HAMT_MURMUR3:
        raise Malformed("HAMT", f"a shard of type {data.type.name}, hash {data.hash_type}")
    if size < 8 or size > _MAX_FANOUT or size & (size - 1) or (fanout is not None and size != fanout):
        raise Malformed("HAMT", f"a fanout of {size}")
    bits = int.from_bytes(data.data or b"", "big")
    if bits.bit_length() > size or bits.bit_count() != len(node.links):
        raise Malformed("HAMT", f"{len(node.links)} links, its bit field says otherwise")
    digits = len(f"{size - 1:X}")
    slots: dict[int, tuple[str, Cid, int]] = {}
    last = -1
    for link in node.links:
        prefix = link.name[:digits]
        slot = int(prefix, 16) if len(prefix) == digits and set(prefix) <= set("0123456789ABCDEF") else -1
        if slot <= last or not bits >> slot & 1:
            raise Malformed("HAMT", f"a link named {link.name[:40]!r}")
        last = slot
        slots[slot] = (link.name[digits:], link.cid, link.tsize)
    return _Shard(size, digits, slots)


def _slot(hashed: bytes, fanout: int, depth: int) -> int:
    """The slot of a name's hash at a depth: the next bits of it, most significant first."""
    width = fanout.bit_length() - 1
    start = depth * width
    if start + width > 64:
        raise Malformed("HAMT", "deeper than a hash has bits")
    return int.from_bytes(hashed, "big") >> (64 - start - width) & (fanout - 1)


def resolve(cid: Cid, path: Sequence[str]) -> Plan[Cid]:
    """Plan: the CID at a path below another. Symbolic links are not followed."""
    for depth, segment in enumerate(path):
        where = "/".join([str(cid) if depth == 0 else "…", segment])
        node = open_node(cid, (yield from fetch_one(cid)))
        if node.data.type is Type.DIRECTORY:
            found = next((link.cid for link in node.links if link.name == segment), None)
        elif node.data.type is Type.HAMT:
            found = yield from _resolve_hamt(node, segment)
        else:
            raise HoldError("resolve", Kind.NOT_A_DIRECTORY, where, f"what should hold {segment!r} is no directory")
        if found is None:
            raise HoldError("resolve", Kind.NOT_FOUND, "/".join(path[: depth + 1]), f"no {segment!r} there")
        cid = found
    return cid


def _resolve_hamt(node: Node, name: str) -> Plan[Cid | None]:
    hashed = hash_name(name)
    shard = _open_shard(node, None)
    depth = 0
    while True:
        found = shard.slots.get(_slot(hashed, shard.fanout, depth))
        if found is None or (found[0] and found[0] != name):
            return None
        if found[0]:
            return found[1]
        depth += 1
        shard = _open_shard(open_node(found[1], (yield from fetch_one(found[1]))), shard.fanout)


def listing(cid: Cid) -> Stream[Entry]:
    """Stream: a directory's entries, in the order of its blocks."""
    node = open_node(cid, (yield from fetch_one(cid)))
    if node.data.type is Type.HAMT:
        yield from _listing_hamt(node)
        return
    if node.data.type is not Type.DIRECTORY:
        raise HoldError("list", Kind.NOT_A_DIRECTORY, str(cid), "not a directory")
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


def _listing_hamt(root: Node) -> Stream[Entry]:
    shard = _open_shard(root, None)
    # Child shards wait as (depth, prefix bits, CID): a name must hash to where it was found, so none comes twice.
    waiting: list[tuple[int, int, Cid]] = []
    yield from _list_shard(shard, 0, 0, waiting)
    while waiting:
        batch = [waiting.pop() for _ in range(min(_BATCH, len(waiting)))]
        blocks = yield from fetch_all([cid for _, _, cid in batch])
        below: list[tuple[int, int, Cid]] = []
        for (depth, prefix, cid), block in zip(batch, blocks, strict=True):
            child = _open_shard(open_node(cid, block), shard.fanout)
            yield from _list_shard(child, depth, prefix, below)
        waiting += reversed(below)


def _list_shard(shard: _Shard, depth: int, prefix: int, below: list[tuple[int, int, Cid]]) -> Stream[Entry]:
    width = shard.fanout.bit_length() - 1
    if (depth + 1) * width > 64:
        raise Malformed("HAMT", "deeper than a hash has bits")
    for slot, (name, cid, tsize) in shard.slots.items():
        path = prefix << width | slot
        if not name:
            below.append((depth + 1, path, cid))
            continue
        entry = _checked(name, cid, tsize)
        if int.from_bytes(hash_name(name), "big") >> (64 - (depth + 1) * width) != path:
            raise Malformed("HAMT", f"the name {name[:80]!r} is not where its hash belongs")
        yield entry


# ── graphs ──


class Visited(NamedTuple):
    """One block of a graph. `data` is None for a raw leaf, which was not asked for."""

    cid: Cid
    data: bytes | None


def walk(root: Cid) -> Stream[Visited]:
    """Stream: every block of a graph, parents before children, each but raw leaves once."""
    seen: set[bytes] = set()
    # Children wait a run at a time, so that a wide node costs what its block did.
    stack: list[tuple[list[Cid], int]] = [([root], 0)]
    while stack:
        run, at = stack.pop()
        batch: list[Cid] = []
        while at < len(run) and len(batch) < _BATCH:
            cid = run[at]
            at += 1
            if cid.codec == cids.RAW:
                if batch:  # keep the order: what is wanted comes first
                    at -= 1
                    break
                yield Visited(cid, None)
            elif cid.multihash not in seen:
                seen.add(cid.multihash)
                batch.append(cid)
        if at < len(run):
            stack.append((run, at))
        if not batch:
            continue
        blocks = yield from fetch_all(batch)
        for cid, block in zip(batch, blocks, strict=True):
            yield Visited(cid, block)
        for cid, block in reversed(list(zip(batch, blocks, strict=True))):
            links = children(cid, block)
            if links:
                stack.append((links, 0))
