"""Shards: one node of a HAMT directory, checked. Limits of what a stranger can send are here.

Source: UnixFS specification, "HAMTDirectory".
"""

from typing import NamedTuple

from commonhold.formats.cid import Cid
from commonhold.formats.malformed import Malformed
from commonhold.formats.unixfs import HAMT_MURMUR3, Type
from commonhold.unixfs.hamt import prefix_digits
from commonhold.unixfs.nodes import Node

_MIN_FANOUT = 8
_MAX_FANOUT = 1024
_HEX = frozenset("0123456789ABCDEF")


class Shard(NamedTuple):
    """A checked HAMT node: slots in ascending order, each with a name ('' for a child shard), a target, its tsize."""

    fanout: int
    slots: dict[int, tuple[str, Cid, int]]


def open_shard(node: Node, fanout: int | None = None) -> Shard:
    """Return the shard in a node; below a root, give the fanout, which is the same in all of a directory.

    Malformed if it is no shard of murmur3 and a sound fanout, or if its bit field and its links' prefixes differ.
    """
    data = node.data
    size = data.fanout or 0
    if data.type is not Type.HAMT or data.hash_type != HAMT_MURMUR3:
        raise Malformed("HAMT", f"a shard of type {data.type.name}, hash {data.hash_type}")
    if not _MIN_FANOUT <= size <= _MAX_FANOUT or size & (size - 1) or (fanout is not None and size != fanout):
        raise Malformed("HAMT", f"a fanout of {size}")
    if fanout is not None and not node.links:
        raise Malformed("HAMT", "an empty child shard")
    field = data.data or b""
    bits = int.from_bytes(field, "big")
    if len(field) > size // 8 or bits.bit_count() != len(node.links):
        raise Malformed("HAMT", f"{len(node.links)} links, its bit field says otherwise")
    return Shard(size, _slots(node, prefix_digits(size), bits))


def _slots(node: Node, digits: int, bits: int) -> dict[int, tuple[str, Cid, int]]:
    slots: dict[int, tuple[str, Cid, int]] = {}
    last = -1
    for link in node.links:
        prefix = link.name[:digits]
        slot = int(prefix, 16) if len(prefix) == digits and _HEX.issuperset(prefix) else -1
        if slot <= last or not bits >> slot & 1:
            raise Malformed("HAMT", f"a link named {link.name[:40]!r}")
        last = slot
        slots[slot] = (link.name[digits:], link.cid, link.tsize)
    return slots
