"""Nodes as the plans see them: a block opened by its CID's codec, and what it says as UnixFS."""

from collections.abc import Generator, Sequence
from typing import NamedTuple

from commonhold.api import Plan, Want
from commonhold.formats import cid as cids
from commonhold.formats import dagcbor, dagpb, unixfs
from commonhold.formats.cid import Cid
from commonhold.formats.dagpb import Link
from commonhold.formats.malformed import Malformed, Unsupported
from commonhold.formats.unixfs import Data, Type


class Node(NamedTuple):
    """A UnixFS node. A raw block is a file of its own bytes without links."""

    links: tuple[Link, ...]
    data: Data


def open_node(cid: Cid, block: bytes) -> Node:
    """Return the UnixFS node in a block."""
    codec = cid.codec
    if codec == cids.RAW:
        return Node((), Data(Type.FILE, data=block, filesize=len(block)))
    if codec != cids.DAG_PB:
        raise Unsupported("UnixFS node", f"codec {cids.codec_name(codec)} is no file or directory")
    node = dagpb.decode(block)
    if node.data is None:
        raise Malformed("UnixFS node", "a dag-pb block without data")
    return Node(node.links, unixfs.decode(node.data))


def children(cid: Cid, block: bytes) -> list[Cid]:
    """Return the links of a block of any codec that we know."""
    codec = cid.codec
    if codec == cids.RAW:
        return []
    if codec == cids.DAG_PB:
        return [link.cid for link in dagpb.decode(block).links]
    if codec == cids.DAG_CBOR:
        return list(dagcbor.links(dagcbor.decode(block)))
    if codec == cids.DAG_JSON:
        return list(dagcbor.links(dagcbor.from_json(block)))
    raise Unsupported("block", f"codec {cids.codec_name(codec)}: its links are not known")


def file_size(node: Node) -> int:
    """Return the bytes of content that a file's node stands for. Malformed if the node contradicts itself."""
    data = node.data
    if data.type not in (Type.FILE, Type.RAW):
        raise Malformed("file node", f"a node of type {data.type.name}")
    if len(data.blocksizes) != len(node.links):
        raise Malformed("file node", f"{len(node.links)} links and {len(data.blocksizes)} sizes")
    if any(link.name for link in node.links):
        raise Malformed("file node", "a link with a name")
    size = len(data.data or b"") + sum(data.blocksizes)
    if size != (data.filesize or 0):
        raise Malformed("file node", f"says {data.filesize or 0} bytes, its parts have {size}")
    return size


def fetch_all(wanted: Sequence[Cid]) -> Generator[Want, Sequence[bytes], list[bytes]]:
    """Plan: the blocks of these CIDs. What is inline is not asked for, and nothing is asked for twice."""
    found: dict[Cid, bytes] = {}
    missing: dict[Cid, None] = {}
    for cid in wanted:
        inline = cid.inline
        if inline is None:
            missing[cid] = None
        else:
            found[cid] = inline
    if missing:
        asked = tuple(missing)
        found.update(zip(asked, (yield Want(asked)), strict=True))
    return [found[cid] for cid in wanted]


def fetch_one(cid: Cid) -> Plan[bytes]:
    """Plan: one block."""
    return (yield from fetch_all((cid,)))[0]
