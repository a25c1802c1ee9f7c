"""Blocks fetched before they are asked for. They are received at once, and looked at when somebody wants one of them.

So a thread can receive them beside the one that works with those before: waiting for a node needs no interpreter.
"""

import threading
from collections.abc import Callable, Iterable, Sequence

from commonhold.formats.multihash import Multihash

BYTES = 16 << 20  # of blocks held because somebody will ask for them soon
_KEYS = 1024

Receive = Callable[[Sequence[Multihash], int], bytes]  # those of these that are there, of so many bytes at most, packed
Unpack = Callable[[Sequence[Multihash], bytes], dict[Multihash, bytes]]  # each checked


class Ahead:
    """What was fetched and not yet asked for; each block is given out once. Safe from many threads."""

    def __init__(self, receive: Receive, unpack: Unpack) -> None:
        self._receive = receive
        self._unpack = unpack
        self._packed: list[tuple[list[Multihash], bytes]] = []
        self._here: dict[Multihash, bytes] = {}
        self._lock = threading.Lock()
        self._receiving = threading.Lock()  # one at a time, so that it stays within the limit

    def expect(self, keys: Iterable[Multihash]) -> None:
        """Receive blocks that will be asked for soon, in one go; what is not there, or does not fit, is left."""
        with self._receiving:
            with self._lock:
                known = self._here.keys() | {key for keys, _ in self._packed for key in keys}
                room = BYTES - sum(map(len, self._here.values())) - sum(len(data) for _, data in self._packed)
            wanted = [key for key in dict.fromkeys(keys) if key not in known][:_KEYS]
            if room > 0 and len(wanted) > 1:
                packed = self._receive(wanted, room)
                with self._lock:
                    self._packed.append((wanted, packed))

    def take(self, key: Multihash) -> bytes | None:
        """Give out a block, if it was fetched."""
        with self._lock:
            self._look_for(key)
            return self._here.pop(key, None)

    def size(self, key: Multihash) -> int | None:
        """The length of a block, if it was fetched."""
        with self._lock:
            self._look_for(key)
            data = self._here.get(key)
        return None if data is None else len(data)

    def _look_for(self, key: Multihash) -> None:
        while self._packed and key not in self._here:
            self._here.update(self._unpack(*self._packed.pop(0)))
