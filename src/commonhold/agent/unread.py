"""Keeping and counting sealed trees without reading them: what a verify capability is for."""

import hashlib
from collections.abc import Iterator

from commonhold.agent.blocks import keep_all, malformed
from commonhold.api import BlockStore, Pin
from commonhold.formats.capability import VerifyCapability
from commonhold.formats.malformed import Malformed
from commonhold.sealing.block import is_size
from commonhold.sealing.walk import Met, walk
from commonhold.unixfs import run


def met(store: BlockStore, capability: VerifyCapability) -> Iterator[Met]:
    """Every sealed block of a tree, parents first; those with rows are read and checked."""
    with malformed("verify", capability.cid):
        yield from run.items(walk(capability), lambda wanted: [store.get(cid.multihash) for cid in wanted])


def pin_unread(store: BlockStore, capability: VerifyCapability, name: str, readers: tuple[int, ...] = ()) -> Pin:
    """Pin a sealed tree that is here, whole. `readers` may have its blocks too."""
    session = store.session(readers)
    try:
        keep_all(session, capability.cid, (cid for cid, _ in met(store, capability)))
        return session.commit(name, capability.cid)
    finally:
        session.close()


def sealed_size(store: BlockStore, capability: VerifyCapability) -> tuple[int, int]:
    """How many different blocks a sealed tree has, and their bytes. All are here, and their sizes checked."""
    count = size = 0
    seen: set[bytes] = set()
    with malformed("verify", capability.cid):
        for cid, data in met(store, capability):
            mark = hashlib.blake2b(cid, digest_size=16).digest()
            if mark in seen:
                continue
            seen.add(mark)
            length = len(data) if data is not None else store.size(cid.multihash)
            if not is_size(length, 0):
                raise Malformed("sealed block", f"{cid} has {length} bytes")
            count += 1
            size += length
    return count, size
