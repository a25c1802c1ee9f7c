"""Walks: every block of a graph of any codec that we know, in bounded memory."""

from collections.abc import Iterator
from typing import NamedTuple

from commonhold.api import Stream
from commonhold.formats import cid as cids
from commonhold.formats.cid import Cid
from commonhold.unixfs.nodes import children, fetch_all

_BATCH = 32


class Visited(NamedTuple):
    """One block of a graph. `data` is None for a raw leaf, which was not asked for."""

    cid: Cid
    data: bytes | None


def walk(root: Cid) -> Stream[Visited]:
    """Stream: every block of a graph, depth first, parents before children; Unsupported at a codec without links.

    Raw leaves come each time they are met, right after their parent; any other block comes once. Memory is some
    hundred bytes for each of those others, however deep the graph and however many paths it has.
    """
    if root.codec == cids.RAW:
        yield Visited(root, None)
        return
    # By CIDv1, not by multihash: the same bytes have other links when read by another codec.
    seen = {cids.to_version(root, 1)}
    stack: list[Iterator[Cid]] = [iter((root,))]
    while stack:
        batch: list[Cid] = []
        for cid in stack[-1]:
            batch.append(cid)
            if len(batch) == _BATCH:
                break
        else:
            stack.pop()
        blocks = (yield from fetch_all(batch)) if batch else []
        below: list[Iterator[Cid]] = []
        for cid, block in zip(batch, blocks, strict=True):
            yield Visited(cid, block)
            fresh: list[Cid] = []
            for link in children(cid, block):
                if link.codec == cids.RAW:
                    yield Visited(link, None)
                elif (mark := cids.to_version(link, 1)) not in seen:
                    seen.add(mark)
                    fresh.append(link)
            if fresh:
                below.append(iter(fresh))
        stack += reversed(below)
