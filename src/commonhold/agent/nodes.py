"""Nodes of any codec as plain values, for people to look at; and how large a graph is."""

import hashlib
import re
from collections.abc import Sequence
from typing import Any

from commonhold.agent.blocks import Blocks, malformed
from commonhold.errors import HoldError, Kind
from commonhold.formats import cid as cids
from commonhold.formats import dagcbor, dagpb
from commonhold.formats.cid import Cid
from commonhold.formats.malformed import Unsupported

_INDEX = re.compile(r"[0-9]{1,9}")  # a list in a block of 2 MiB has fewer


def decode_node(cid: Cid, block: bytes) -> Any:
    """A block's value in the IPLD data model. Source: the codecs' specifications."""
    codec = cid.codec
    if codec == cids.RAW:
        return block
    if codec == cids.DAG_CBOR:
        return dagcbor.decode(block)
    if codec == cids.DAG_JSON:
        return dagcbor.from_json(block)
    if codec == cids.DAG_PB:
        node = dagpb.decode(block)
        value: dict[str, Any] = {} if node.data is None else {"Data": node.data}
        value["Links"] = [{"Hash": link.cid, "Name": link.name, "Tsize": link.tsize} for link in node.links]
        return value
    raise Unsupported("node", f"codec {cids.codec_name(codec)}")


def get_node(blocks: Blocks, cid: Cid, path: Sequence[str]) -> Any:
    """The value at a path below a node, through links."""
    with malformed("dag get", cid):
        value = decode_node(cid, blocks.block(cid))
        for segment in path:
            value = _step(cid, value, segment)
            if isinstance(value, Cid):
                value = decode_node(value, blocks.block(value))
    return value


def _step(cid: Cid, value: Any, segment: str) -> Any:
    if isinstance(value, dict) and segment in value:
        return value[segment]
    if isinstance(value, dict) and isinstance(value.get("Links"), list):  # dag-pb: by a link's name
        for link in value["Links"]:
            if link.get("Name") == segment:
                return link["Hash"]
    if isinstance(value, list) and _INDEX.fullmatch(segment) and int(segment) < len(value):
        return value[int(segment)]
    raise HoldError("dag get", Kind.NOT_FOUND, str(cid), f"no {segment[:200]!r} there", hint=f"hold dag get {cid}")


def graph_size(blocks: Blocks, root: Cid) -> tuple[int, int]:
    """How many different blocks a graph has, and their bytes."""
    count = size = 0
    seen: set[bytes] = set()
    for visited in blocks.walk(root):
        if visited.cid.inline is not None:
            continue
        mark = hashlib.blake2b(visited.cid.multihash, digest_size=16).digest()
        if mark in seen:
            continue
        seen.add(mark)
        count += 1
        size += len(visited.data) if visited.data is not None else blocks.store.size(visited.cid.multihash)
    return count, size
