"""A set kept on a grid: its packs are cut, sent, and written down in an inventory, which is kept as they are.

docs/spec/keeping.md. What is in a block is not looked at.
"""

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from commonhold.crypto.derive import derive
from commonhold.erasure.values import PackSeed, Shape
from commonhold.exchange.book import Book, KeptSet
from commonhold.exchange.checking import leaving_of, look, mend
from commonhold.exchange.packing import Opened, Putting, Servers, Tools, opened
from commonhold.exchange.renewing import renew
from commonhold.exchange.reusing import Held, bits, taken_over
from commonhold.exchange.sending import Sent, nobody
from commonhold.exchange.tending import LEASE
from commonhold.formats import inventory, pack
from commonhold.formats.capability import Capability
from commonhold.formats.inventory import Inventory, Packed
from commonhold.formats.multihash import Multihash
from commonhold.formats.pack import Entry

_AT_ONCE: Final = 2  # packs on their way: one is read while another is sent
_SET: Final = b"commonhold kept set v1\0"
_PACK: Final = b"commonhold pack v1\0"

_T = TypeVar("_T")
Read = Callable[[Multihash], bytes]
Told = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be kept: a name for it, its set seed, its shape, and its blocks in order. `instead`: sets that end
    once it is whole."""

    name: str
    seed: bytes
    shape: Shape
    entries: Sequence[Entry]
    instead: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class _Cut:
    """The packs that a set takes over, which of their blocks it wants, and the blocks of each new pack."""

    old: list[Packed]
    wanted: dict[bytes, int]
    new: list[list[Entry]]


def set_seed(verify_key: bytes, root: Capability) -> bytes:
    """Return the set seed of a sealed root, by the key that its verify capability has."""
    return derive(verify_key, _SET + root.digest)


def pack_seed(secret: bytes, shape: Shape, table: bytes) -> bytes:
    """Return the seed of a pack by its table; `secret` is its owner's."""
    return derive(secret, _PACK + bytes((shape.k, shape.n)) + hashlib.sha256(table).digest())


class Keeping:
    """See the module. `told` is told how many bytes of blocks are kept, and of how many; `sent` what goes where."""

    def __init__(
        self, servers: Servers, book: Book, tools: Tools, secret: bytes, now: Callable[[], int], sent: Sent = nobody
    ) -> None:
        self._sent = sent
        self._servers = Opened(servers)
        self._book = book
        self._tools = tools
        self._secret = secret
        self._now = now

    async def keep(self, wanted: Wanted, read: Read, told: Told) -> Inventory:
        """Have a set kept: on return every share of it is on the disk of a server of its own. NotKept."""
        until = self._now() + LEASE
        cut = await self._run(self._cut, wanted)
        if await self._lost(cut.old, until):
            cut = await self._run(self._cut, wanted)
        total = sum(entry.length for entry in wanted.entries)
        sent = total - sum(entry.length for entries in cut.new for entry in entries)
        told(sent, total)
        turns = asyncio.Semaphore(_AT_ONCE)
        made: list[Packed] = []
        for entries in cut.new:
            table = pack.encode_table(entries)
            seed = pack_seed(self._secret, wanted.shape, table)
            made.append(inventory.packed(seed, wanted.shape.k, wanted.shape.n, entries))

        async def put(one: Packed, entries: Sequence[Entry]) -> None:
            nonlocal sent
            async with turns:
                await self._put(one, entries, read, until)
            sent += sum(entry.length for entry in entries)
            told(sent, total)

        try:
            async with asyncio.TaskGroup() as group:
                for one, entries in zip(made, cut.new, strict=True):
                    group.create_task(put(one, entries))
        except ExceptionGroup as errors:  # of whichever fails first: the others are called off
            raise errors.exceptions[0] from None
        found = Inventory((*cut.old, *made))
        listed = [memoryview(found.encoded)]
        await Putting(PackSeed(wanted.seed), wanted.shape, listed, self._tools, self._sent).put(self._servers, until)
        kept = KeptSet(wanted.name, wanted.seed, wanted.shape.k, wanted.shape.n, self._now(), until)
        await self._run(self._book.put_set, kept, found.packs, cut.wanted)
        return found

    def _cut(self, wanted: Wanted) -> _Cut:
        """What is there of it already and good enough, and new packs of everything else."""
        packs: dict[bytes, Packed] = {}
        there: dict[bytes, set[Multihash]] = {}
        at: dict[Multihash, bytes] = {}
        for entry in wanted.entries:
            packed = self._book.pack_of(entry.key, wanted.shape.k, wanted.shape.n)
            if packed is not None:
                packs[packed.seed] = packed
                there.setdefault(packed.seed, set()).add(entry.key)
                at[entry.key] = packed.seed
        others = self._book.wants({wanted.name, *wanted.instead})
        held = [Held(one, bits(one, there[seed]), others.get(seed, 0)) for seed, one in packs.items()]
        old = {one.packed.seed: one for one in taken_over(held)}
        missing = {entry.key: entry for entry in wanted.entries if at.get(entry.key) not in old}
        return _Cut(
            [one.packed for one in old.values()],
            {seed: one.wanted for seed, one in old.items()},
            list(pack.plan(missing.values())),
        )

    async def _lost(self, old: Sequence[Packed], until: int) -> bool:
        """Have packs that were sent before kept as long as the others, whole; whether any could not be read any more.
        Those are forgotten, so that their blocks are sent again."""
        if not old:
            return False
        leaving = leaving_of(self._servers)
        staying = [pin for pin in self._servers.verdicts() if pin not in leaving]
        found = await renew(old, self._servers, staying, until, self._tools)
        lost = False
        for one in found.short(old):
            servers = await opened(self._servers)
            health = await look(one, servers, deep=False, tools=self._tools, leaving=leaving)
            if health.readable:
                await mend(one, health, self._servers, until, self._tools)
            else:
                await self._run(self._book.forget, one)
                lost = True
        return lost

    async def _put(self, packed: Packed, entries: Sequence[Entry], read: Read, until: int) -> None:
        parts = await self._run(lambda: [memoryview(packed.table), *(memoryview(read(one.key)) for one in entries)])
        putting = Putting(PackSeed(packed.seed), Shape(packed.k, packed.n), parts, self._tools, self._sent)
        await putting.put(self._servers, until)
        await self._run(self._book.put_pack, packed, [entry.key for entry in entries])

    async def _run(self, work: Callable[..., _T], *given: object) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._tools.threads, lambda: work(*given))
