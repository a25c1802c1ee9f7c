"""What a session was given, in a dict, and what was asked: `api.Session` and `blocks.Source` for tests of the agent."""

import hashlib
from collections.abc import Iterable, Sequence

from commonhold.api import Pin, Slot
from commonhold.errors import HoldError, Kind
from commonhold.formats import multihash
from commonhold.formats.cid import Cid
from commonhold.formats.multihash import Multihash


class Keeping:
    """Blocks by key. `asked` has every key that was read."""

    fillers = 2

    def __init__(self) -> None:
        self.blocks: dict[Multihash, bytes] = {}
        self.asked: list[Multihash] = []
        self.pins: dict[str, Cid] = {}

    # ── api.Session ──

    def reserve(self, length: int, *, wait: bool) -> Slot | None:
        return Slot(memoryview(bytearray(b"\xaa" * length)), 0, self)  # as dirty as a frame that was used before

    def digest(self, slot: Slot) -> bytes:
        return hashlib.sha256(slot.into).digest()

    def settle(self, slot: Slot, key: Multihash) -> bool:
        return self.put(key, slot.into)

    def abandon(self, slot: Slot) -> None: ...

    def put(self, key: Multihash, data: bytes | memoryview) -> bool:
        assert multihash.matches(key, data)
        new = key not in self.blocks
        self.blocks[key] = bytes(data)
        return new

    def keep(self, key: Multihash) -> bool:
        return key in self.blocks

    def keep_all(self, keys: Sequence[Multihash]) -> list[bool]:
        return [self.keep(key) for key in keys]

    def flush(self) -> None: ...

    def commit(self, name: str, root: Cid) -> Pin:
        self.pins[name] = root
        return Pin(name, root, len(self.blocks), sum(map(len, self.blocks.values())), 0.0)

    def close(self) -> None: ...

    # ── blocks.Source ──

    def expect(self, keys: Iterable[Multihash]) -> None: ...

    def size(self, key: Multihash) -> int:
        return len(self.blocks[key])

    def get(self, key: Multihash) -> bytes:
        self.asked.append(key)
        if key not in self.blocks:
            raise HoldError("get", Kind.NOT_FOUND, f"block {key.hex()}", "not here")
        return self.blocks[key]

    def read_into(self, key: Multihash, into: memoryview, *, unchecked: bool = False) -> int:
        data = self.get(key)
        into[: len(data)] = data
        return len(data)
