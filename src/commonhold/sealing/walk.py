"""Walks of sealed trees by a verify capability: every sealed block is listed and checked, and none is read.

Reading needs no plan of its own: see `links`.
"""

from collections.abc import Iterator
from typing import NamedTuple

from commonhold.api import Stream
from commonhold.formats.capability import VerifyCapability
from commonhold.formats.cid import Cid
from commonhold.sealing.block import Outer
from commonhold.sealing.opening import open_outer
from commonhold.unixfs.nodes import fetch_all

_BATCH = 32


class Met(NamedTuple):
    """One sealed block. `data` is None for a block without rows, which was not asked for."""

    cid: Cid
    data: bytes | None


def walk(capability: VerifyCapability) -> Stream[Met]:
    """Stream: every block of a sealed tree, depth first, parents before children. Malformed where rows contradict.

    Blocks without rows come each time they are met; any other comes once for every row that says something else of it,
    so that none can hide what is below it behind a false one. Memory is some hundred bytes for each of those, and
    time is bounded by the bytes of the blocks.
    """
    root = Outer(capability.digest, capability.rows, capability.key)
    if not root.rows:
        yield Met(root.cid, None)
        return
    seen = {root}
    stack: list[Iterator[Outer]] = [iter((root,))]
    while stack:
        batch: list[Outer] = []
        for row in stack[-1]:
            batch.append(row)
            if len(batch) == _BATCH:
                break
        else:
            stack.pop()
        blocks = (yield from fetch_all([row.cid for row in batch])) if batch else []
        below: list[Iterator[Outer]] = []
        for parent, block in zip(batch, blocks, strict=True):
            yield Met(parent.cid, block)
            fresh: list[Outer] = []
            for row in open_outer(block, parent.rows, parent.verify_key):
                if not row.rows:
                    yield Met(row.cid, None)
                elif row not in seen:
                    seen.add(row)
                    fresh.append(row)
            if fresh:
                below.append(iter(fresh))
        stack += reversed(below)
