"""One owner's part of a store: what they put, keep, were granted, or is public. The rest does not exist for them."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from commonhold.api import OWNERLESS, Pin, Reclaimed, Usage
from commonhold.blockstore import holders, reclaim
from commonhold.blockstore.holders import Holding
from commonhold.blockstore.index import PIECE, Row
from commonhold.blockstore.session import StoreSession
from commonhold.blockstore.store import Store
from commonhold.errors import HoldError, Kind
from commonhold.formats.multihash import Multihash, describe

Later = Callable[[Sequence[Multihash] | None], None]  # told of keys that may be dead, or that many may be (None)


class OwnedStore:
    """See `api.BlockStore`. `quota` is how many bytes the owner may be charged for; None: as many as there is room.

    `later` has dead blocks deleted, now if it is not given: how long that takes depends on what others hold.
    `pause` is called again and again while something takes long, and may wait for a moment: others go first.
    """

    def __init__(
        self,
        store: Store,
        owner: int,
        quota: int | None,
        later: Later | None = None,
        pause: Callable[[], None] = lambda: None,
    ) -> None:
        self._store = store
        self.owner = owner
        self.quota = quota
        self._later = later or (lambda keys: reclaim.bury(store, keys))
        self.pause = pause

    def close(self) -> None:
        """Nothing of its own is open."""

    # ── blocks ──

    def _row(self, key: Multihash, txn: Any = None) -> Row | None:
        self.pause()
        return self._store.index.visible(key, self.owner, txn)

    def rows(self, keys: Iterable[Multihash]) -> list[Row | None]:
        """What is visible of each key."""
        with self._store.index.snapshot() as txn:
            return [self._row(key, txn) for key in keys]

    def read(self, key: Multihash, row: Row) -> bytes:
        """A block that was found to be visible, checked."""
        return self._store.read(key, row)

    def lay(self, key: Multihash, row: Row, into: memoryview) -> None:
        """The same, not checked, into memory of its length."""
        self._store.lay(key, row, into)

    def _visible(self, key: Multihash) -> Row:
        row = self._row(key)
        if row is None:
            raise HoldError("get", Kind.NOT_FOUND, f"block {describe(key)}", "not in this store")
        return row

    def has(self, key: Multihash) -> bool:
        """See `api.BlockStore`."""
        return self._row(key) is not None

    def size(self, key: Multihash) -> int:
        """See `api.BlockStore`."""
        return self._visible(key).length

    def get(self, key: Multihash) -> bytes:
        """See `api.BlockStore`."""
        self._visible(key)
        return self._store.get(key)

    def read_into(self, key: Multihash, into: memoryview, *, unchecked: bool = False) -> int:
        """See `api.BlockStore`."""
        self._visible(key)
        return self._store.read_into(key, into, unchecked=unchecked)

    def delete(self, key: Multihash) -> int:
        """See `api.BlockStore`. Of a block that others hold too, only this owner's part goes."""
        row = self._visible(key)
        for who, count, _ in holders.entries(row.holders):
            if who == self.owner and count > 0:
                names = [pin.name for pin in self.pins() if key in set(self.pin_keys(pin.name))]
                raise HoldError(
                    "delete",
                    Kind.BUSY,
                    f"block {describe(key)}",
                    "kept by pin " + ", ".join(map(repr, names[:5])) if names else "kept by an add under way",
                    hint=f"hold pin rm {names[0]}" if names else None,
                )
        reclaim.let_go_of(self._store, key, self.owner)
        self._later([key])
        return row.length

    def keys(self) -> Iterator[Multihash]:
        """See `api.BlockStore`."""
        for page in self._store.index.pages(PIECE):
            self.pause()
            yield from (key for key, row in page if holders.may_read(row.holders, self.owner))

    # ── retain sets ──

    def expect(self, keys: Iterable[Multihash]) -> None:
        """See `api.BlockStore`. They are near enough."""

    def session(self, readers: tuple[int, ...] = ()) -> StoreSession:
        """See `api.BlockStore`. `readers` are let read what it commits."""
        return self._store.session_of(Holding(self.owner, readers), self.quota, self.pause)

    def pins(self) -> list[Pin]:
        """See `api.BlockStore`."""
        return self._store.pins(self.owner)

    def pin(self, name: str) -> Pin | None:
        """See `api.BlockStore`."""
        return self._store.pin(name, self.owner)

    def pin_keys(self, name: str) -> Iterator[Multihash]:
        """See `api.BlockStore`."""
        return self._store.pin_keys(name, self.owner)

    def unpin(self, name: str) -> None:
        """See `api.BlockStore`."""
        self._store.unpin(name, self.owner)

    def rename_pin(self, old: str, new: str) -> None:
        """See `api.BlockStore`."""
        self._store.rename_pin(old, new, self.owner)

    def collect(self) -> Reclaimed:
        """Let go of what this owner put and none of their sets keeps: how much, whoever else holds it."""
        done = reclaim.let_go(self._store, self.owner, self.pause)
        self._later(None)
        return done

    def usage(self) -> Usage:
        """See `api.BlockStore`. What the owner is charged for; files are nobody's in particular."""
        account = self._store.index.account(self.owner)
        return Usage(account.blocks, account.bytes, len(self.pins()), 0, account.bytes)


class SoleStore(OwnedStore):
    """All of a store that has one user: what was put without an owner, and in another shape of the system, too."""

    def __init__(self, store: Store) -> None:
        super().__init__(store, OWNERLESS, None)

    def _row(self, key: Multihash, txn: Any = None) -> Row | None:
        return self._store.index.row(key, txn)

    def delete(self, key: Multihash) -> int:
        """See `api.BlockStore`."""
        return self._store.delete(key)

    def keys(self) -> Iterator[Multihash]:
        """See `api.BlockStore`."""
        return self._store.keys()

    def session(self, readers: tuple[int, ...] = ()) -> StoreSession:
        """See `api.BlockStore`."""
        return self._store.session(readers)

    def collect(self) -> Reclaimed:
        """Delete what no pin keeps."""
        return reclaim.collect(self._store)

    def usage(self) -> Usage:
        """See `api.BlockStore`."""
        return self._store.usage()
