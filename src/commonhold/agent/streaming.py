"""A file's bytes out of its blocks, in order, with a few reads ahead. Every block is checked by the store."""

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain, islice

from commonhold.agent.blocks import Blocks, malformed
from commonhold.api import MAX_BLOCK
from commonhold.errors import HoldError, Kind
from commonhold.formats.cid import Cid
from commonhold.host import disk
from commonhold.unixfs import read, run

AHEAD = 12


class Piece:
    """Bytes of a file at an offset. `memory` is what they lie in, to be given back after use; `aligned` tells whether
    they start on a page of it.
    """

    __slots__ = ("aligned", "data", "memory", "offset")

    def __init__(self, offset: int, data: memoryview, memory: memoryview | None, *, aligned: bool) -> None:
        self.offset = offset
        self.data = data
        self.memory = memory
        self.aligned = aligned


Use = Callable[[Piece], None]  # takes a piece, from any thread


class Reader:
    """Reads files of one store by a few threads. Close it to end them."""

    def __init__(self, blocks: Blocks) -> None:
        self._blocks = blocks
        self._pool = ThreadPoolExecutor(min(4, len(os.sched_getaffinity(0))), thread_name_prefix="hold-read")
        self._spare: list[memoryview] = []

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown(cancel_futures=True)

    def expect(self, cids: Sequence[Cid]) -> Future[None]:
        """Say which blocks will be asked for when this is done."""
        return self._pool.submit(self._blocks.expect, cids)

    def pieces(self, cid: Cid, start: int = 0, stop: int | None = None) -> Iterator[Piece]:
        """Yield the bytes of [start, stop), in order. Give each piece back before long: memory is reused."""
        under_way: deque[Future[Piece]] = deque()
        with malformed("read", cid):
            extents = run.items(read.extents(cid, start, stop), self._blocks.fetch)
            first = list(islice(extents, 2))
            if len(first) == 1:  # handing a single block over takes longer than reading it
                yield self._load(first[0])
                return
            try:
                for extent in chain(first, extents):
                    under_way.append(self._pool.submit(self._load, extent))
                    if len(under_way) >= AHEAD:
                        yield under_way.popleft().result()
                while under_way:
                    yield under_way.popleft().result()
            finally:
                for task in under_way:
                    task.cancel()

    def give_back(self, piece: Piece) -> None:
        """Say that a piece is done with."""
        if piece.memory is not None:
            self._spare.append(piece.memory)

    def in_parallel(self, cid: Cid, use: Use) -> None:
        """Have every piece of a file used by the threads that read them, in no particular order."""
        under_way: deque[Future[None]] = deque()
        with malformed("read", cid):
            try:
                for extent in run.items(read.extents(cid), self._blocks.fetch):
                    under_way.append(self._pool.submit(self._load_and_use, extent, use))
                    if len(under_way) >= AHEAD:
                        under_way.popleft().result()
                while under_way:
                    under_way.popleft().result()
            except BaseException:
                for task in under_way:
                    if not task.cancel():
                        task.exception()
                raise

    def _load_and_use(self, extent: read.Extent, use: Use) -> None:
        piece = self._load(extent)
        use(piece)
        self.give_back(piece)

    def _load(self, extent: read.Extent) -> Piece:
        if extent.data is not None:
            return Piece(
                extent.offset, memoryview(extent.data)[extent.skip : extent.skip + extent.size], None, aligned=False
            )
        assert extent.cid is not None
        memory = self._memory()
        length = self._blocks.store.read_into(extent.cid.multihash, memory)
        size = length if extent.size < 0 else extent.size
        if length < extent.skip + size or (extent.whole is not None and length != extent.whole):
            raise HoldError(
                "read", Kind.INVALID, str(extent.cid), f"a leaf of {length} bytes, its parent says otherwise"
            )
        return Piece(extent.offset, memory[extent.skip : extent.skip + size], memory, aligned=extent.skip == 0)

    def _memory(self) -> memoryview:
        try:
            return self._spare.pop()
        except IndexError:
            return disk.aligned(MAX_BLOCK)
