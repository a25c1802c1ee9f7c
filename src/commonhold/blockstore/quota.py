"""Quotas: how much an owner is charged for, and what is claimed by puts under way. Exact under concurrent sessions.

The index has what is charged, in the transaction that enters the blocks; this is its image in memory, plus claims.
"""

import threading
from collections.abc import Iterable

from commonhold.api import OWNERLESS
from commonhold.blockstore import holders
from commonhold.blockstore.index import Index
from commonhold.errors import HoldError, Kind
from commonhold.formats.multihash import Multihash


class _Ledger:
    """One owner's. `claims` has the length of each claimed block, and how many sessions claim it."""

    __slots__ = ("claimed", "claims", "used")

    def __init__(self, used: int) -> None:
        self.used = used
        self.claimed = 0
        self.claims: dict[Multihash, tuple[int, int]] = {}


class Ledgers:
    """The ledgers of one store's owners. Safe from any thread."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._lock = threading.Lock()
        self._ledgers: dict[int, _Ledger] = {}

    def _of(self, owner: int) -> _Ledger:
        ledger = self._ledgers.get(owner)
        if ledger is None:
            ledger = self._ledgers[owner] = _Ledger(self._index.account(owner).bytes)
        return ledger

    def claim(self, owner: int, key: Multihash, length: int, quota: int) -> bool:
        """Claim a block's bytes; False if the owner is charged for it already. QUOTA where it would be too much."""
        with self._lock:
            ledger = self._of(owner)
            known = ledger.claims.get(key)
            if known is not None:
                ledger.claims[key] = (known[0], known[1] + 1)
                return True
            row = self._index.row(key)
            if row is not None and holders.holds(row.holders, owner):
                return False
            if ledger.used + ledger.claimed + length > quota:
                left = max(0, quota - ledger.used - ledger.claimed)
                raise HoldError(
                    "put", Kind.QUOTA, f"block of {length} bytes", f"{left} of {quota} bytes are left", hint="hold gc"
                )
            ledger.claims[key] = (length, 1)
            ledger.claimed += length
            return True

    def release(self, owner: int, keys: Iterable[Multihash]) -> None:
        """Give up claims of one session, of those that are still open."""
        with self._lock:
            ledger = self._of(owner)
            for key in keys:
                known = ledger.claims.get(key)
                if known is not None and known[1] > 1:
                    ledger.claims[key] = (known[0], known[1] - 1)
                elif known is not None:
                    ledger.claimed -= known[0]
                    del ledger.claims[key]

    def charged(self, owner: int, keys: Iterable[Multihash], size: int) -> None:
        """Say that the index charges an owner for these bytes more, or less; claims of these keys are settled."""
        with self._lock:
            ledger = self._ledgers.get(owner)
            if ledger is None:
                return
            ledger.used += size
            for key in keys:
                known = ledger.claims.pop(key, None)
                if known is not None:
                    ledger.claimed -= known[0]


class Claims:
    """The claims of one session."""

    def __init__(self, ledgers: Ledgers, owner: int, quota: int | None) -> None:
        self._ledgers = ledgers
        self._owner = owner
        self._quota = quota
        self._open: set[Multihash] = set()

    def claim(self, key: Multihash, length: int) -> None:
        """Claim a block's bytes once. QUOTA where it would be too much."""
        if self._quota is None or key in self._open:
            return
        if self._ledgers.claim(self._owner, key, length, self._quota):
            self._open.add(key)

    def charged(self, keys: list[Multihash], size: int) -> None:
        """Say that blocks are in the index, and what the owner was charged for them."""
        if self._owner != OWNERLESS:
            self._ledgers.charged(self._owner, keys, size)
            self._open.difference_update(keys)

    def close(self) -> None:
        """Give up what was not charged."""
        if self._open:
            self._ledgers.release(self._owner, self._open)
            self._open.clear()
