"""Sealed trees in a plain house: a session that seals what is put into it, and a store's view through a capability.

The plans, and all that drives them, see plain blocks on both sides and do not know.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache

from commonhold.agent.blocks import Blocks, Source, malformed
from commonhold.api import Pin, Session, Slot
from commonhold.errors import HoldError, Kind
from commonhold.formats import cid as cids
from commonhold.formats.capability import ReadCapability
from commonhold.formats.cid import Cid
from commonhold.formats.malformed import Malformed
from commonhold.formats.multihash import Multihash, from_sha2_256_digest
from commonhold.sealing.block import Header, Row
from commonhold.sealing.links import length_of, link_of, targets
from commonhold.sealing.opening import open_leaf_in_place, open_node, open_root
from commonhold.sealing.seal import Sealer, checked_size
from commonhold.unixfs.profile import Profile

_RECENT = 8  # opened nodes kept: a plan asks for a node more than once


class _Place:
    """Where a slot's block will be sealed, and what became of it."""

    __slots__ = ("inner", "row")

    def __init__(self, inner: Slot) -> None:
        self.inner = inner
        self.row: Row | None = None


class SealingSession:
    """Seals one add on its way into another session. See `api.Session`.

    Slots hold leaves of the profile; what is put is a dag-pb node whose links all went through here before. The rows of
    blocks that no parent took yet are remembered, each until as many parents took it as it was met: as much as the add
    itself remembers of its unfinished nodes and directories.
    """

    fillers = 4  # what is sealed is hashed twice and encrypted

    def __init__(self, inner: Session, secret: bytes, profile: Profile) -> None:
        self._inner = inner
        self._sealer = Sealer(secret)
        self._profile = profile
        self._leaf_codec = cids.RAW if profile.raw_leaves else cids.DAG_PB
        self._leaf_version = 1 if profile.raw_leaves else profile.cid_version
        self._rows: dict[Cid, Row] = {}
        self._more: dict[Cid, int] = {}  # how often beyond the first

    def reserve(self, length: int, *, wait: bool) -> Slot | None:
        """See `api.Session.reserve`. The slot is the first part of the sealed block's."""
        inner = self._inner.reserve(checked_size(length, 0), wait=wait)
        return None if inner is None else Slot(inner.into[:length], inner.start, _Place(inner))

    def digest(self, slot: Slot) -> bytes:
        """See `api.Session.digest`. Seals the slot where it is; the digest is the plain block's."""
        place = _place(slot)
        header = Header(self._leaf_version, self._leaf_codec, len(slot.into), 0)
        digest, place.row = self._sealer.leaf_in_place(place.inner.into, header)
        return digest

    def settle(self, slot: Slot, key: Multihash) -> bool:
        """See `api.Session.settle`."""
        place = _place(slot)
        row = place.row
        assert row is not None
        new = self._inner.settle(place.inner, from_sha2_256_digest(row.digest))
        self._remember(self._profile.leaf_cid(key[2:]), row)
        return new

    def abandon(self, slot: Slot) -> None:
        """See `api.Session.abandon`."""
        self._inner.abandon(_place(slot).inner)

    def put(self, key: Multihash, data: bytes | memoryview) -> bool:
        """Seal a dag-pb node and store it; False if it was there."""
        content = bytes(data)
        children = [self._take(cid) for cid in targets(content)]
        header = Header(self._profile.cid_version, cids.DAG_PB, len(content), len(children))
        digest = key[2:]
        sealed = self._sealer.node(content, digest, header, children)
        self._remember(header.plain_cid(digest), sealed.row)
        return self._inner.put(from_sha2_256_digest(sealed.row.digest), sealed.data)

    def _remember(self, cid: Cid, row: Row) -> None:
        if cid in self._rows:
            self._more[cid] = self._more.get(cid, 0) + 1
        else:
            self._rows[cid] = row

    def _take(self, cid: Cid) -> Row:
        more = self._more.get(cid)
        if not more:
            return self._rows.pop(cid)
        if more == 1:
            del self._more[cid]
        else:
            self._more[cid] = more - 1
        return self._rows[cid]

    def capability(self, cid: Cid) -> ReadCapability:
        """The right to read what was added last under a plain CID that no node of this add links to."""
        row = self._rows[cid]
        return ReadCapability(row.digest, row.rows, row.read_key)

    def keep(self, key: Multihash) -> bool:
        """Plain blocks are none of this session's."""
        return False

    def keep_all(self, keys: Sequence[Multihash]) -> list[bool]:
        """Nor are many."""
        return [False] * len(keys)

    def flush(self) -> None:
        """See `api.Session.flush`."""
        self._inner.flush()

    def commit(self, name: str, root: Cid) -> Pin:
        """See `api.Session.commit`. The pin's root is the sealed one's CID."""
        return self._inner.commit(name, self.capability(root).cid)

    def close(self) -> None:
        """See `api.Session.close`."""
        self._inner.close()


def _place(slot: Slot) -> _Place:
    place = slot.home
    assert isinstance(place, _Place)
    return place


class SealedView:
    """A store as the holder of a read capability sees it: `blocks.Source`. Knows no keys but its root's.

    It is asked by names that carry their key (`sealing.links`), beginning with `root`; so it holds nothing of a tree
    but the root's content and that of the nodes opened last. Safe from many threads.
    """

    def __init__(self, store: Source, capability: ReadCapability) -> None:
        self._store = store
        sealed = store.get(capability.cid.multihash)
        with malformed("open", capability.cid):
            link, self._content = open_root(sealed, capability)
        self.root = link.cid
        self._root = self.root.multihash
        self._opened = lru_cache(_RECENT)(self._open)

    def size(self, key: Multihash) -> int:
        """See `api.BlockStore`. As the parent says; nothing is read."""
        return length_of(key)

    def get(self, key: Multihash) -> bytes:
        """See `api.BlockStore`. Links in it carry their keys."""
        return self._content if key == self._root else self._opened(key)

    def expect(self, keys: Iterable[Multihash]) -> None:
        """See `api.BlockStore`."""
        self._store.expect(link_of(key).sealed for key in keys)

    def _open(self, key: Multihash) -> bytes:
        link = link_of(key)
        sealed = self._store.get(link.sealed)
        with malformed("open", link.plain):
            return open_node(sealed, link)

    def read_into(self, key: Multihash, into: memoryview) -> int:
        """See `api.BlockStore`. The buffer has to be large enough for the sealed block."""
        link = link_of(key)
        if key == self._root or link.rows:
            content = self.get(key)
            into[: len(content)] = content
            return len(content)
        size = self._store.read_into(link.sealed, into)
        try:
            return open_leaf_in_place(into[:size], link)
        except Malformed as error:
            raise HoldError("open", Kind.INVALID, str(link.plain), str(error)) from error


def capability_of(cid: Cid) -> ReadCapability:
    """The right to read what a name of a `SealedView` names."""
    link = link_of(cid.multihash)
    return ReadCapability(link.digest, link.rows, link.read_key)


def open_sealed(store: Source, capability: ReadCapability) -> tuple[Blocks, Cid]:
    """The blocks that a read capability opens, and the root's name among them."""
    view = SealedView(store, capability)
    return Blocks(view), view.root
