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


def fetch_all(wanted: Sequence[Cid]) -> Generator[Want, Sequence[bytes], list[bytes]]:
    """Plan: the blocks of these CIDs; what is inline is not asked for."""
    inline = [cid.inline for cid in wanted]
    asked = tuple(cid for cid, held in zip(wanted, inline, strict=True) if held is None)
    answers = iter((yield Want(asked)) if asked else ())
    return [held if held is not None else next(answers) for held in inline]


def fetch_one(cid: Cid) -> Plan[bytes]:
    """Plan: one block."""
    return (yield from fetch_all((cid,)))[0]
