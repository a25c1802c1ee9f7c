"""A session that keeps nothing: `add --only-hash` runs the same code as an add and writes nowhere."""

import hashlib
from collections.abc import Sequence

from commonhold.api import Pin, Slot
from commonhold.formats.cid import Cid
from commonhold.formats.multihash import Multihash


class HashOnly:
    """See `api.Session`. Slots are plain memory."""

    fillers = 4

    def reserve(self, length: int, *, wait: bool) -> Slot | None:
        """Plain memory."""
        return Slot(memoryview(bytearray(length)), 0, self)

    def digest(self, slot: Slot) -> bytes:
        """Hash it."""
        return hashlib.sha256(slot.into).digest()

    def settle(self, slot: Slot, key: Multihash) -> bool:
        """Nothing is there, and nothing stays."""
        return True

    def abandon(self, slot: Slot) -> None:
        """Nothing to give up."""

    def put(self, key: Multihash, data: bytes | memoryview) -> bool:
        """Let it go."""
        return True

    def keep(self, key: Multihash) -> bool:
        """Nothing is there."""
        return False

    def keep_all(self, keys: Sequence[Multihash]) -> list[bool]:
        """Nothing is there."""
        return [False] * len(keys)

    def flush(self) -> None:
        """Nothing to wait for."""

    def commit(self, name: str, root: Cid) -> Pin:
        """Not asked for."""
        raise AssertionError("only hashes were asked for")

    def close(self) -> None:
        """Nothing to let go of."""
