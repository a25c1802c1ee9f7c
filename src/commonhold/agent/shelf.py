"""Opened nodes and raw leaves, those used last; each is fetched once, however many ask. Safe from many threads."""

import os
import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import suppress
from typing import TypeAlias

from commonhold.agent.blocks import Blocks, malformed
from commonhold.errors import HoldError, Kind
from commonhold.formats import cid as cids
from commonhold.formats.cid import Cid
from commonhold.unixfs import opened
from commonhold.unixfs.opened import Opened

LIMIT = 64 << 20
_COMING = 64  # blocks on their way that nobody waits for yet

Book: TypeAlias = Opened | bytes  # the bytes are a raw leaf's


class Shelf:
    """What was opened lately: about `limit` bytes."""

    def __init__(self, blocks: Blocks, limit: int = LIMIT) -> None:
        self._blocks = blocks
        self._limit = limit
        self._bytes = 0
        self._held: OrderedDict[Cid, tuple[Book, int]] = OrderedDict()
        self._coming: dict[Cid, Future[Book]] = {}
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(min(4, len(os.sched_getaffinity(0))), thread_name_prefix="hold-shelf")

    def close(self) -> None:
        """End the threads. Who waits for what nobody fetches any more is told so."""
        self._pool.shutdown(cancel_futures=True)

    def here(self, cid: Cid) -> Book | None:
        """What a block has, if that is in memory."""
        with self._lock:
            found = self._held.get(cid)
            if found is None:
                return None
            self._held.move_to_end(cid)
            return found[0]

    def get(self, cid: Cid) -> Book:
        """What a block has. HoldError: NOT_FOUND, INVALID and what else a store says."""
        found = self.here(cid)
        if found is not None:
            return found
        mine, coming = self._claim(cid)
        if mine:
            return self._bring(cid, coming)
        return _result(coming)

    def get_all(self, wanted: Sequence[Cid]) -> dict[Cid, Book | HoldError]:
        """What these blocks have, asked for in one go, or why not. Ask for no more than memory can hold."""
        claims = {cid: self._claim(cid) for cid in wanted}
        mine = {cid: coming for cid, (own, coming) in claims.items() if own}
        with suppress(HoldError):  # whoever asks for one is told
            self._blocks.expect(list(mine))
        for cid, coming in mine.items():  # each, whatever becomes of the others: a store keeps what was expected
            with suppress(HoldError):
                self._bring(cid, coming)
        return {cid: _outcome(coming) for cid, (_, coming) in claims.items()}

    def soon(self, wanted: Iterable[Cid]) -> None:
        """Have blocks fetched by and by. Whoever asks for one meanwhile waits for it."""
        for cid in wanted:
            if len(self._coming) < _COMING and cid not in self._held:
                mine, coming = self._claim(cid)
                if mine:
                    self._start(cid, coming)

    def _start(self, cid: Cid, coming: Future[Book]) -> None:
        def tell(task: Future[Book]) -> None:
            if task.cancelled():
                coming.cancel()

        self._pool.submit(self._bring, cid, coming).add_done_callback(tell)

    def _claim(self, cid: Cid) -> tuple[bool, Future[Book]]:
        """What somebody else fetches, or has; or else True, and it is the caller's to fetch."""
        with self._lock:
            coming = self._coming.get(cid)
            if coming is not None:
                return False, coming
            coming = Future()
            found = self._held.get(cid)
            if found is not None:
                coming.set_result(found[0])
                return False, coming
            self._coming[cid] = coming
            return True, coming

    def _bring(self, cid: Cid, coming: Future[Book]) -> Book:
        try:
            book, cost = self._open(cid)
        except BaseException as error:
            with self._lock:
                del self._coming[cid]
            coming.set_exception(error)
            raise
        with self._lock:
            del self._coming[cid]
            self._held[cid] = book, cost
            self._bytes += cost
            while self._bytes > self._limit:
                self._bytes -= self._held.popitem(last=False)[1][1]
        coming.set_result(book)
        return book

    def _open(self, cid: Cid) -> tuple[Book, int]:
        block = self._blocks.block(cid)
        if cid.codec == cids.RAW and cid.inline is None:
            return block, len(block)
        with malformed("read", cid):
            node = opened.open_block(cid, block)
        return node, opened.cost(node)


def _outcome(coming: "Future[Book]") -> Book | HoldError:
    try:
        return _result(coming)
    except HoldError as error:
        return error


def _result(coming: "Future[Book]") -> Book:
    try:
        return coming.result()
    except CancelledError as error:
        raise HoldError("read", Kind.FAILED, "", "it was closed meanwhile") from error
