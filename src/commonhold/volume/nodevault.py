"""A vault in a node: each chapter is a retain set. See `vault`.

Blocks are those that a sealed add of the profile unixfs-v1-2025 makes of the same bytes.
"""

import contextlib
import threading
from collections.abc import Iterable, Iterator, Sequence

from commonhold.api import MAX_BLOCK, BlockStore, Session, Slot
from commonhold.crypto import aead
from commonhold.errors import HoldError, Kind
from commonhold.formats import cid as cids
from commonhold.formats.cid import Cid
from commonhold.formats.malformed import Malformed
from commonhold.formats.multihash import Multihash, from_sha2_256_digest
from commonhold.host import disk
from commonhold.sealing.block import Header, sealed_size
from commonhold.sealing.seal import Sealer, checked_size
from commonhold.volume.vault import Sealed

_AT_ONCE = 1024


class NodeVault:
    """The vault of the volume `volume` in a store, sealed under a convergence secret."""

    def __init__(self, store: BlockStore, secret: bytes, volume: str) -> None:
        self._store = store
        self._sealer = Sealer(secret)
        self._prefix = f"volume-{volume}-"
        self._rooms = threading.local()

    def begin(self, number: int) -> "NodeChapter":
        """See `vault.Vault`."""
        return NodeChapter(self._store.session(), self._sealer, self._name(number))

    def _name(self, number: int) -> str:
        return f"{self._prefix}{number}"

    def chapters(self) -> set[int]:
        """See `vault.Vault`."""
        ours = [pin.name for pin in self._store.pins() if pin.name.startswith(self._prefix)]
        tails = [name.removeprefix(self._prefix) for name in ours]
        return {int(tail) for tail in tails if tail.isascii() and tail.isdigit()}

    def kept(self, number: int) -> set[bytes]:
        """See `vault.Vault`."""
        return {key.digest for key in self._store.pin_keys(self._name(number))}

    def drop(self, number: int) -> None:
        """See `vault.Vault`."""
        self._store.unpin(self._name(number))

    def read(self, block: Sealed) -> bytes:
        """See `vault.Vault`."""
        room = self._room()
        size = self._store.read_into(_key(block), room, unchecked=True)
        try:
            # We sealed it, with a key that nobody else has: no other bytes open, so that they need not be hashed, too.
            content = aead.unseal_in_place(block.key, room[:size])
        except Malformed as error:
            self._store.get(_key(block))  # if it has gone bad the node knows where
            raise HoldError("open", Kind.CORRUPT, f"block {block.digest.hex()}", str(error)) from error
        if size != sealed_size(block.length, 0):
            why = f"{size} bytes for {block.length} of content"
            raise HoldError("open", Kind.CORRUPT, f"block {block.digest.hex()}", why)
        return bytes(content[: block.length])

    def _room(self) -> memoryview:
        """This thread's memory for sealed blocks, in whole pages."""
        room: memoryview | None = getattr(self._rooms, "room", None)
        if room is None:
            room = self._rooms.room = disk.aligned(MAX_BLOCK)
        return room

    def expect(self, blocks: Iterable[Sealed]) -> None:
        """See `vault.Vault`."""
        self._store.expect(_key(block) for block in blocks)


class NodeChapter:
    """A session of a store that ends as a retain set."""

    def __init__(self, session: Session, sealer: Sealer, name: str) -> None:
        self._session = session
        self._sealer = sealer
        self._name = name
        self._turn = threading.Condition()
        self._open = 0  # slots that are being filled
        self._root: Cid | None = None

    def put(self, content: bytes) -> Sealed:
        """See `vault.Chapter`."""
        length = len(content)
        slot = self._reserve(checked_size(length, 0))
        try:
            slot.into[:length] = content
            plain, row = self._sealer.leaf_in_place(slot.into, Header(1, cids.RAW, length, 0))
        except BaseException:
            with self._done():
                self._session.abandon(slot)
            raise
        with self._done():
            self._session.settle(slot, from_sha2_256_digest(row.digest))
            self._root = self._root or cids.from_digest(cids.RAW, row.digest)
        return Sealed(row.digest, row.read_key, plain, length)

    def _reserve(self, size: int) -> Slot:
        with self._turn:
            while (slot := self._session.reserve(size, wait=not self._open)) is None:
                self._turn.wait()
            self._open += 1
            return slot

    @contextlib.contextmanager
    def _done(self) -> Iterator[None]:
        with self._turn:
            self._open -= 1
            self._turn.notify_all()
            yield

    def keep(self, digests: Sequence[bytes]) -> None:
        """See `vault.Chapter`."""
        for at in range(0, len(digests), _AT_ONCE):
            batch = digests[at : at + _AT_ONCE]
            with self._turn:
                kept = self._session.keep_all([from_sha2_256_digest(digest) for digest in batch])
            for digest, here in zip(batch, kept, strict=True):
                if not here:
                    raise HoldError("keep", Kind.NOT_FOUND, f"block {digest.hex()}", "not in this store")
            self._root = self._root or cids.from_digest(cids.RAW, batch[0])

    def commit(self) -> None:
        """See `vault.Chapter`."""
        assert self._root is not None
        with self._turn:
            self._session.commit(self._name, self._root)

    def close(self) -> None:
        """See `vault.Chapter`."""
        with self._turn:
            self._session.close()


def _key(block: Sealed) -> Multihash:
    return from_sha2_256_digest(block.digest)
