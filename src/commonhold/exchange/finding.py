"""A kept set read: its inventory is found by the set's seed, then blocks by the inventory. docs/spec/keeping.md."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Final

from commonhold.erasure.values import PackSeed
from commonhold.errors import HoldError, Kind
from commonhold.exchange.fetching import PackSource
from commonhold.exchange.locating import Located, by_layout, locate
from commonhold.exchange.packing import Tools
from commonhold.exchange.server import StorageServer
from commonhold.formats import inventory, multihash
from commonhold.formats import pack as packs
from commonhold.formats.inventory import Inventory, Packed
from commonhold.formats.malformed import Malformed
from commonhold.formats.multihash import Multihash

_KEPT: Final = 4  # packs whose holders are remembered


async def find_inventory(seed: bytes, servers: Sequence[StorageServer], tools: Tools) -> Inventory:
    """The inventory of a set. NOT_FOUND, and what came of asking each server."""
    found = await locate(PackSeed(seed), servers)
    said: list[str] = []
    for layout, holders in by_layout(found.holders):
        try:
            source = PackSource(layout, holders, tools.code, tools.threads)
            return inventory.decode(bytes(await source.read(0, layout.length)))
        except (HoldError, Malformed) as error:
            said.append(str(error))
    raise HoldError("find", Kind.NOT_FOUND, "set", "; ".join(said) or _asked(found), hint="hold servers")


def _asked(found: Located) -> str:
    failed = [f"{server.pin}: {error.why}" for server, error in found.others if error is not None]
    none = len(found.others) - len(failed)
    return "; ".join([f"{none} servers have nothing of it", *failed])


class SetReader:
    """Blocks of a set, by their multihashes; they are not checked here: whoever asked knows what they should be."""

    def __init__(self, found: Inventory, servers: Sequence[StorageServer], tools: Tools) -> None:
        self._servers = servers
        self._tools = tools
        self._where: dict[Multihash, tuple[int, int, int]] = {}
        self._packs = found.packs
        self._sources: dict[int, PackSource] = {}
        self._opening: dict[int, asyncio.Lock] = {}
        for number, packed in enumerate(found.packs):
            for block in packed.blocks():
                self._where.setdefault(block.key, (number, block.start, block.stop))

    def has(self, key: Multihash) -> bool:
        """Whether a block is in the set."""
        return key in self._where

    def size(self, key: Multihash) -> int:
        """Bytes of a block that is in the set."""
        _, start, stop = self._where[key]
        return stop - start

    @property
    def keys(self) -> Iterable[Multihash]:
        """All of its blocks."""
        return self._where.keys()

    async def read(self, keys: Sequence[Multihash]) -> dict[Multihash, memoryview]:
        """Blocks, those of one pack that lie near each other in one go. NOT_FOUND for those that are in no pack."""
        wanted: dict[int, list[tuple[int, int, Multihash]]] = {}
        for key in dict.fromkeys(keys):
            if key not in self._where:
                raise HoldError("find", Kind.NOT_FOUND, multihash.describe(key), "not in the set")
            number, start, stop = self._where[key]
            wanted.setdefault(number, []).append((start, stop, key))
        found: dict[Multihash, memoryview] = {}
        for number, blocks in wanted.items():
            source = await self._source(number)
            for run in _runs(sorted(blocks), source.layout.segment):
                data = memoryview(await source.read(run[0][0], run[-1][1]))
                for start, stop, key in run:
                    found[key] = data[start - run[0][0] : stop - run[0][0]]
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
    found = await locate(PackSeed(packed.seed), servers, packed.k)
    for layout, holders in by_layout(found.holders):
        if layout.length == packed.length:
            return PackSource(layout, holders, tools.code, tools.threads)
    raise HoldError("find", Kind.NOT_FOUND, "pack", _asked(found), hint="hold servers")


def _runs(blocks: list[tuple[int, int, Multihash]], gap: int) -> list[list[tuple[int, int, Multihash]]]:
    """Sort blocks of a pack into runs in which nothing lies between two that it would pay to leave out."""
    found = [[blocks[0]]]
    for block in blocks[1:]:
        if block[0] - found[-1][-1][1] < gap and block[1] - found[-1][0][0] <= packs.TARGET:
            found[-1].append(block)
        else:
            found.append([block])
    return found
