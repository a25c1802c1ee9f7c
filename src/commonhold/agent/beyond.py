"""Blocks of a sealed tree that are not here: they are read from the grid that keeps it. A `blocks.Source`.

What comes is checked against its name before anybody sees it; what came along is kept for a while.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Protocol

from commonhold.agent.blocks import Source
from commonhold.errors import HoldError, Kind
from commonhold.formats import multihash
from commonhold.formats.multihash import Multihash

_KEPT: Final = 64 << 20  # bytes of blocks
_TOGETHER: Final = 64  # blocks, of which none is large, that are asked for at once


class Beyond(Protocol):
    """A kept set."""

    def has(self, key: Multihash) -> bool: ...

    def size(self, key: Multihash) -> int: ...

    def read(self, keys: Sequence[Multihash]) -> dict[Multihash, memoryview]:
        """These blocks, unchecked, and others that came with them."""
        ...


class GridSource:
    """See the module. `beyond` opens the set, once, when the first block is missing here. For one thread at a time."""

    def __init__(self, here: Source, beyond: Callable[[], Beyond]) -> None:
        self._here = here
        self._open = beyond
        self._beyond: Beyond | None = None
        self._kept: OrderedDict[Multihash, memoryview] = OrderedDict()
        self._bytes = 0
        self._soon: list[Multihash] = []

    def size(self, key: Multihash) -> int:
        """See `api.BlockStore`."""
        try:
            return self._here.size(key)
        except HoldError as error:
            return self._there(key, error).size(key)

    def get(self, key: Multihash) -> bytes:
        """See `api.BlockStore`."""
        kept = self._kept.get(key)
        if kept is not None:
            return bytes(kept)
        try:
            return self._here.get(key)
        except HoldError as error:
            return bytes(self._fetched(key, self._there(key, error)))

    def read_into(self, key: Multihash, into: memoryview) -> int:
        """See `api.BlockStore`."""
        if key not in self._kept:
            try:
                return self._here.read_into(key, into)
            except HoldError as error:
                self._fetched(key, self._there(key, error))
        data = self._kept[key]
        into[: len(data)] = data
        return len(data)

    def expect(self, keys: Iterable[Multihash]) -> None:
        """See `api.BlockStore`. Where the first of these is not here, the others come with it."""
        self._soon = list(keys)
        self._here.expect(self._soon)

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
        soon = [one for one in self._soon if one not in self._kept and beyond.has(one)][:_TOGETHER]
        self._soon = []
        for name, data in beyond.read([key, *soon]).items():
            if name not in self._kept:
                self._keep(name, data)
        found = self._kept[key]
        if not multihash.matches(key, found):
            raise HoldError("get", Kind.CORRUPT, multihash.describe(key), "what the grid keeps under its name is wrong")
        return found

    def _keep(self, key: Multihash, data: memoryview) -> None:
        self._kept[key] = data
        self._bytes += len(data)
        while self._bytes > _KEPT and len(self._kept) > 1:
            self._bytes -= len(self._kept.popitem(last=False)[1])
