"""Plain trees of the tests, sealed."""

import hashlib
from collections.abc import Sequence
from typing import Any

from commonhold.agent.sealed import SealingSession
from commonhold.formats import cid as cids
from commonhold.formats.capability import ReadCapability
from commonhold.formats.cid import Cid
from commonhold.formats.multihash import Multihash, from_sha2_256_digest
from commonhold.sealing.links import targets
from commonhold.unixfs import profile as profiles
from commonhold.unixfs.profile import Profile
from tests.fakes.keeping import Keeping
from tests.unixfs.trees import Memory

ALICE = hashlib.sha256(b"alice's convergence secret").digest()
BOB = hashlib.sha256(b"bob's convergence secret").digest()


def key_of(digest: bytes) -> Multihash:
    return from_sha2_256_digest(digest)


def feed(session: SealingSession, memory: Memory, root: Cid) -> None:
    """Give a session a tree as an add does: children first, each as often as it is linked to."""
    block = memory.blocks[root]
    if root.codec == cids.RAW:
        slot = session.reserve(len(block), wait=True)
        assert slot is not None
        slot.into[:] = block
        digest = session.digest(slot)
        assert digest == root.multihash.digest
        session.settle(slot, root.multihash)
        return
    for target in targets(block):
        feed(session, memory, target)
    session.put(root.multihash, block)


def sealed_tree(
    recipe: dict[str, Any],
    *,
    secret: bytes = ALICE,
    profile: Profile = profiles.V1_2025,
    chunk: int = 1 << 20,
    into: Keeping | None = None,
) -> tuple[Keeping, ReadCapability, Memory, Cid]:
    """A recipe's tree: where it was sealed to, the right to read it, and the plain one."""
    memory = Memory()
    root = memory.tree(profile, recipe, chunk).cid
    return (*sealed_blocks(memory, root, secret, profile, into), memory, root)


def sealed_blocks(
    memory: Memory, root: Cid, secret: bytes = ALICE, profile: Profile = profiles.V1_2025, into: Keeping | None = None
) -> tuple[Keeping, ReadCapability]:
    keeping = Keeping() if into is None else into
    session = SealingSession(keeping, secret, profile)
    feed(session, memory, root)
    return keeping, session.capability(root)


def stored(blocks: Sequence[bytes]) -> Keeping:
    keeping = Keeping()
    for block in blocks:
        keeping.put(key_of(hashlib.sha256(block).digest()), block)
    return keeping
