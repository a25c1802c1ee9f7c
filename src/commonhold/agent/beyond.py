"""Blocks of a sealed tree that are not here: they are read from the grid that keeps it. A `blocks.Source`.

What comes is checked against its name before anybody sees it; what came along is kept for a while.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Protocol

from commonhold.agent.blocks import Source
from commonhold.errors import HoldError, Kind
from commonhold.formats import multihash
from commonhold.formats.multihash import Multihash

_KEPT: Final = 64 << 20  # bytes of blocks
_TOGETHER: Final = 16 << 20  # bytes of blocks that are asked for at once


class Beyond(Protocol):
    """A kept set."""

    def has(self, key: Multihash) -> bool: ...

    def size(self, key: Multihash) -> int: ...

    def read(self, keys: Sequence[Multihash]) -> dict[Multihash, memoryview]:
        """These blocks, unchecked, and others that came with them."""
        ...


class GridSource:
    """See the module. `beyond` opens the set, once, when the first block is missing here. Safe from many threads."""

    def __init__(self, here: Source, beyond: Callable[[], Beyond]) -> None:
        self._here = here
        self._open = beyond
        self._beyond: Beyond | None = None
        self._kept: OrderedDict[Multihash, memoryview] = OrderedDict()
        self._bytes = 0
        self._soon: list[Multihash] = []
        self._turn = threading.Lock()  # who waits for a block has what came meanwhile

    def size(self, key: Multihash) -> int:
        """See `api.BlockStore`."""
        try:
            return self._here.size(key)
        except HoldError as error:
            with self._turn:
                return self._there(key, error).size(key)

    def get(self, key: Multihash) -> bytes:
        """See `api.BlockStore`."""
        try:
            return self._here.get(key)
        except HoldError as error:
            return bytes(self._from_there(key, error))

    def read_into(self, key: Multihash, into: memoryview) -> int:
        """See `api.BlockStore`."""
        try:
            return self._here.read_into(key, into)
        except HoldError as error:
            data = self._from_there(key, error)
        into[: len(data)] = data
        return len(data)

    def expect(self, keys: Iterable[Multihash]) -> None:
        """See `api.BlockStore`. Where one of these is not here, others come with it."""
        self._soon = list(keys)
        self._here.expect(self._soon)

    def _from_there(self, key: Multihash, error: HoldError) -> memoryview:
        with self._turn:
            kept = self._kept.get(key)
            return self._fetched(key, self._there(key, error)) if kept is None else kept

    def _there(self, key: Multihash, error: HoldError) -> Beyond:
        """The set that has a block, or the error of the store that has it not."""
        if error.kind is not Kind.NOT_FOUND:
            raise error
        if self._beyond is None:
            self._beyond = self._open()
        if not self._beyond.has(key):
            raise error
        return self._beyond

    def _fetched(self, key: Multihash, beyond: Beyond) -> memoryview:
        wanted, size = [key], 0
        for one in self._soon:
            if size < _TOGETHER and one != key and one not in self._kept and beyond.has(one):
                wanted.append(one)
                size += beyond.size(one)
        answer = beyond.read(wanted)
        found = answer[key]
        if not multihash.matches(key, found):
            raise HoldError("get", Kind.CORRUPT, multihash.describe(key), "what the grid keeps under its name is wrong")
        for name, data in answer.items():
            if name not in self._kept:
                self._keep(name, data)
        return found

    def _keep(self, key: Multihash, data: memoryview) -> None:
        self._kept[key] = data
        self._bytes += len(data)
        while self._bytes > _KEPT and len(self._kept) > 1:
            self._bytes -= len(self._kept.popitem(last=False)[1])
