"""Blocks over the wire: keys in, archives out, and archives in. Bytes by their hashes: what they mean is not asked."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Executor
from itertools import accumulate
from typing import NamedTuple

from commonhold.blockstore.index import Row
from commonhold.blockstore.owned import OwnedStore
from commonhold.blockstore.session import StoreSession
from commonhold.errors import HoldError, Kind
from commonhold.formats import car, keylist, multihash
from commonhold.formats import cid as cids
from commonhold.formats.malformed import Malformed
from commonhold.formats.multihash import Multihash
from commonhold.host import disk

WINDOW = 16 << 20  # bytes of blocks that are taken in one go; a request holds two of them in memory
_ROOM = WINDOW + (4 << 20)  # a chunk and the longest section fit, too
_HEADER = car.encode_header([])
HASH_APART = 256 << 10  # smaller blocks are not worth a hand-over to another thread


class Threads(NamedTuple):
    """What touches the disk does so in these. What waits for the writer is apart: nobody reads later because of it."""

    reading: Executor
    writing: Executor
    hashing: Executor


class Taken(NamedTuple):
    """What became of a run of blocks. `known`: so many were the caller's, or visible to them, already."""

    blocks: int
    bytes: int
    known: int


# ── out ──


def sizes(store: OwnedStore, keys: Sequence[Multihash]) -> tuple[bytes, bool]:
    """The packed length of each block, as far as it exists for the caller, and whether all do."""
    found = [None if row is None else row.length for row in store.rows(keys)]
    return keylist.pack_sizes(found), None not in found


def outgoing(store: OwnedStore, keys: Sequence[Multihash], most: int | None) -> tuple["Outgoing", list[bytes]]:
    """An archive, and its first window."""
    found = Outgoing(store, keys, most)
    return found, found.window()


class Outgoing:
    """An archive of the blocks that the caller may read, in the order asked; the rest is left out. With `most`, it ends
    before the first that would make it more than so many bytes of blocks.
    """

    def __init__(self, store: OwnedStore, keys: Sequence[Multihash], most: int | None = None) -> None:
        self._store = store
        self._found: list[tuple[Multihash, Row]] = [
            (key, row) for key, row in zip(keys, store.rows(keys), strict=True) if row is not None
        ]
        self.complete = len(self._found) == len(keys)
        if most is not None:
            sums = accumulate(row.length for _, row in self._found)
            self._found = [item for item, so_far in zip(self._found, sums, strict=True) if so_far <= most]
        self.size = len(_HEADER) + sum(_section_size(key, row.length) for key, row in self._found)
        self._next = 0
        self._begun = False

    def window(self) -> list[bytes]:
        """The next pieces of the archive, about a window of them; none at the end."""
        parts = [] if self._begun else [_HEADER]
        self._begun = True
        held = 0
        while self._next < len(self._found) and held < WINDOW:
            key, row = self._found[self._next]
            self._next += 1
            cid = cids.make_v1(cids.RAW, key)
            data = self._store.read(key, row)
            parts += (car.section_head(cid, len(data)), data)
            held += row.length
        if held <= WINDOW // 8:  # many small blocks go out in one piece
            return [b"".join(parts)] if parts else []
        return parts

    @property
    def done(self) -> bool:
        """Whether all of it was given out."""
        return self._begun and self._next == len(self._found)


def _section_size(key: Multihash, length: int) -> int:
    cid = cids.make_v1(cids.RAW, key)
    return len(car.section_head(cid, length)) + length


# ── in ──


class _Window:
    """Memory that a part of a body is received into; used again and again, and nothing until it is filled."""

    def __init__(self) -> None:
        self._room = disk.aligned(_ROOM)
        self.used = 0

    def take(self, chunk: bytes) -> bytes:
        """Fill it; what did not fit."""
        fits = min(len(chunk), _ROOM - self.used)
        self._room[self.used : self.used + fits] = chunk if fits == len(chunk) else chunk[:fits]
        self.used += fits
        return chunk[fits:]

    def sections(self, start: int, rest: "_Window", pause: Callable[[], None]) -> list[tuple[cids.Cid, memoryview]]:
        """The whole sections from an offset on; what comes after them begins another window."""
        found, size = car.split(self._room[start : self.used], pause)
        left = self._room[start + size : self.used]
        rest._room[: len(left)] = left
        rest.used = len(left)
        return found

    def begins_with(self, data: bytes) -> bool:
        """Whether these are its first bytes."""
        return bytes(self._room[: len(data)]) == data


async def take_archive(store: OwnedStore, session: StoreSession, body: AsyncIterator[bytes], threads: Threads) -> Taken:
    """Put every block of an archive, each checked against its name; while one window is taken the next is received."""
    loop = asyncio.get_running_loop()
    total = Taken(0, 0, 0)
    here, other = _Window(), _Window()
    task: asyncio.Future[Taken] | None = None
    start = len(_HEADER)

    async def turn_over() -> None:
        """Have what is here taken, once what came before it was; the next comes into the other window."""
        nonlocal here, other, task, start, total
        if start and not here.begins_with(_HEADER):
            raise Malformed("CAR header", "not that of a CARv1 without roots")
        if task is not None:
            total = _sum(total, await task)
            task = None
        sections = await loop.run_in_executor(threads.writing, here.sections, start, other, store.pause)
        here, other, start = other, here, 0
        task = loop.run_in_executor(threads.writing, _put, store, session, sections, threads.hashing)

    try:
        async for chunk in body:
            left = chunk
            while left:
                left = here.take(left)
                if here.used >= WINDOW:
                    await turn_over()
        await turn_over()
        if here.used:
            raise Malformed("CAR", "cut short")
        assert task is not None
        total = _sum(total, await task)
        task = None
        return total
    finally:
        if task is not None:
            await asyncio.wait([task])


def _sum(one: Taken, other: Taken) -> Taken:
    return Taken(one.blocks + other.blocks, one.bytes + other.bytes, one.known + other.known)


def _put(
    store: OwnedStore, session: StoreSession, sections: list[tuple[cids.Cid, memoryview]], hashing: Executor
) -> Taken:
    keys = [cid.multihash for cid, _ in sections]
    sound = hashing.map(_is_sound, [item for item in zip(keys, sections, strict=True) if len(item[1][1]) >= HASH_APART])
    known = size = 0
    for row in store.rows(keys):
        known += row is not None
    for key, (cid, data) in zip(keys, sections, strict=True):
        if cid.inline is not None:
            raise HoldError("put", Kind.INVALID, str(cid), "an inline block is kept in its name")
        if not (next(sound) if len(data) >= HASH_APART else multihash.matches(key, data)):
            raise HoldError("put", Kind.CORRUPT, str(cid), "the bytes are not what the name says")
        session.put(key, data)
        size += len(data)
    session.pause()  # the frames are few: nobody has one while the next window is on its way
    return Taken(len(keys), size, known)


def _is_sound(item: tuple[Multihash, tuple[cids.Cid, memoryview]]) -> bool:
    key, (_, data) = item
    return multihash.matches(key, data)
