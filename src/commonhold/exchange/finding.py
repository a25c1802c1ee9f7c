"""A kept set read: its inventory is found by the set's seed, then blocks by the inventory. docs/spec/keeping.md."""

import asyncio
from bisect import bisect_left
from collections.abc import Sequence
from typing import Final

from commonhold.erasure.values import PackSeed
from commonhold.errors import HoldError, Kind
from commonhold.exchange.fetching import PackSource
from commonhold.exchange.locating import Searched, by_layout, locate, readable
from commonhold.exchange.packing import Tools
from commonhold.exchange.server import StorageServer
from commonhold.formats import inventory, multihash
from commonhold.formats.inventory import Inventory, Packed
from commonhold.formats.malformed import Malformed
from commonhold.formats.multihash import Multihash
from commonhold.formats.pack import Located

_KEPT: Final = 4  # packs whose holders are remembered
_AT_ONCE: Final = 3  # packs that are read at once: while one comes, another is looked for


async def find_inventory(seed: bytes, servers: Sequence[StorageServer], tools: Tools) -> Inventory:
    """The inventory of a set. NOT_FOUND, and what came of asking each server."""
    found = await locate(PackSeed(seed), servers, readable)
    said: list[str] = []
    for layout, holders in by_layout(found.holders):
        try:
            source = PackSource(layout, holders, tools.code, tools.threads)
            return inventory.decode(bytes(await source.read(0, layout.length)))
        except (HoldError, Malformed) as error:
            said.append(str(error))
    raise HoldError("find", Kind.NOT_FOUND, "set", "; ".join([*said, _asked(found)]), hint="hold servers")


def _asked(found: Searched) -> str:
    failed = [f"{server.pin}: {error.why}" for server, error in found.others if error is not None]
    none = len(found.others) - len(failed)
    return "; ".join([f"{none} servers have nothing of it", *failed])


class SetReader:
    """Blocks of a set, by their multihashes; they are not checked here: whoever asked knows what they should be."""

    def __init__(self, found: Inventory, servers: Sequence[StorageServer], tools: Tools) -> None:
        self._servers = servers
        self._tools = tools
        self._packs = found.packs
        self._blocks = [packed.blocks() for packed in found.packs]
        self._where: dict[Multihash, tuple[int, Located]] = {}
        self._sources: dict[int, PackSource] = {}
        self._opening: dict[int, asyncio.Lock] = {}
        for number, blocks in enumerate(self._blocks):
            for block in blocks:
                self._where.setdefault(block.key, (number, block))

    def has(self, key: Multihash) -> bool:
        """Whether a block is in the set."""
        return key in self._where

    def size(self, key: Multihash) -> int:
        """Bytes of a block that is in the set."""
        _, block = self._where[key]
        return block.stop - block.start

    async def read(self, keys: Sequence[Multihash]) -> dict[Multihash, memoryview]:
        """These blocks, and others that came with them. NOT_FOUND for those that are in no pack.

        Those of one pack that lie near each other come in one go.
        """
        wanted: dict[int, list[Located]] = {}
        for key in dict.fromkeys(keys):
            if key not in self._where:
                raise HoldError("find", Kind.NOT_FOUND, multihash.describe(key), "not in the set")
            number, block = self._where[key]
            wanted.setdefault(number, []).append(block)
        found: dict[Multihash, memoryview] = {}
        turns = asyncio.Semaphore(_AT_ONCE)

        async def read(number: int, blocks: list[Located]) -> None:
            async with turns:
                found.update(await self._read(number, sorted(blocks, key=lambda block: block.start)))

        try:
            async with asyncio.TaskGroup() as group:
                for number, blocks in wanted.items():
                    group.create_task(read(number, blocks))
        except ExceptionGroup as errors:  # of whichever fails first: the others are called off
            raise errors.exceptions[0] from None
        return found

    async def _read(self, number: int, wanted: list[Located]) -> dict[Multihash, memoryview]:
        """Blocks of one pack, and all that lie whole in the segments that have to be fetched for them."""
        source = await self._source(number)
        blocks, segment = self._blocks[number], source.layout.segment
        found: dict[Multihash, memoryview] = {}
        for first, last in _runs(wanted, segment):
            start = first // segment * segment
            stop = min(-(-last // segment) * segment, source.layout.length)
            data = memoryview(await source.read(start, stop))
            at = bisect_left(blocks, start, key=lambda block: block.start)
            while at < len(blocks) and blocks[at].stop <= stop:
                key, a, b = blocks[at]
                found[key] = data[a - start : b - start]
                at += 1
        return found

    async def _source(self, number: int) -> PackSource:
        async with self._opening.setdefault(number, asyncio.Lock()):
            source = self._sources.get(number)
            if source is None:
                source = await open_pack(self._packs[number], self._servers, self._tools)
                self._sources[number] = source
                while len(self._sources) > _KEPT:
                    self._sources.pop(next(iter(self._sources)))
            return source


async def open_pack(packed: Packed, servers: Sequence[StorageServer], tools: Tools) -> PackSource:
    """A pack, to be read from whoever has its shares. NOT_FOUND."""
    found = await locate(PackSeed(packed.seed), servers, readable, lambda layout: layout.length == packed.length)
    for layout, holders in by_layout(found.holders):
        if layout.length == packed.length:
            return PackSource(layout, holders, tools.code, tools.threads)
    raise HoldError("find", Kind.NOT_FOUND, "pack", _asked(found), hint="hold servers")


def _runs(blocks: Sequence[Located], gap: int) -> list[tuple[int, int]]:
    """Ranges of a pack that have these blocks, which are in order; what lies between near ones is in them."""
    found = [(blocks[0].start, blocks[0].stop)]
    for block in blocks[1:]:
        start, stop = found[-1]
        if block.start - stop < gap:
            found[-1] = start, block.stop
        else:
            found.append((block.start, block.stop))
    return found
