"""Contents of blocks that were read or stored lately, bounded; what several ask for at once is fetched once."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import suppress

from commonhold.errors import HoldError
from commonhold.volume.pieces import CHUNK
from commonhold.volume.vault import Sealed

MOST = 64 << 20
_RUN = 64  # small blocks that are fetched in one go

_Coming = tuple[Sealed, Future[bytes]]


class Opened:
    """A cache of contents by digest. Safe from many threads."""

    def __init__(self, fetch: Callable[[Sealed], bytes], most: int = MOST) -> None:
        self._fetch = fetch
        self._most = most
        self._held = 0
        self._mutex = threading.Lock()
        self._contents: OrderedDict[bytes, bytes] = OrderedDict()
        self._coming: dict[bytes, Future[bytes]] = {}

    def peek(self, digest: bytes) -> bytes | None:
        """A content, if it is here."""
        with self._mutex:
            found = self._contents.get(digest)
            if found is not None:
                self._contents.move_to_end(digest)
            return found

    def _known(self, digest: bytes) -> bool:
        return digest in self._contents or digest in self._coming

    def add(self, digest: bytes, content: bytes) -> None:
        """Remember a content."""
        with self._mutex:
            if digest in self._contents:
                return
            self._contents[digest] = content
            self._held += len(content)
            while self._held > self._most:
                self._held -= len(self._contents.popitem(last=False)[1])

    def fetch_ahead(self, blocks: list[Sealed], pool: Executor, expect: Callable[[list[Sealed]], None]) -> None:
        """Have contents fetched by a pool's threads: those that are not here and not on their way. Never waits.

        Large blocks are fetched each by itself, side by side; small ones that follow one another in one go.
        """
        with self._mutex:
            missing = [block for block in blocks if not self._known(block.digest)]
            coming = [(block, self._coming.setdefault(block.digest, Future())) for block in missing]
        for run in _runs(coming):
            pool.submit(self._bring_all, run, expect)

    def _bring_all(self, run: list[_Coming], expect: Callable[[list[Sealed]], None]) -> None:
        if len(run) > 1:
            with suppress(HoldError):  # each of them will say so
                expect([block for block, _ in run])
        for block, future in run:
            self._bring(block, future)

    def get(self, block: Sealed) -> bytes:
        """A content, fetched if need be."""
        with self._mutex:
            found = self._contents.get(block.digest)
            if found is not None:
                self._contents.move_to_end(block.digest)
                return found
            coming = self._coming.get(block.digest)
            mine = coming is None
            if coming is None:
                coming = self._coming[block.digest] = Future()
        if mine:
            self._bring(block, coming)
        return coming.result()

    def _bring(self, block: Sealed, coming: Future[bytes]) -> None:
        try:
            content = self._fetch(block)
        except Exception as error:  # noqa: BLE001 whoever waits for it is told
            with self._mutex:
                del self._coming[block.digest]
            coming.set_exception(error)
            return
        self.add(block.digest, content)
        with self._mutex:
            del self._coming[block.digest]
        coming.set_result(content)


def _runs(coming: list[_Coming]) -> Iterator[list[_Coming]]:
    """Cut a list into runs of at most a chunk of contents."""
    run: list[_Coming] = []
    size = 0
    for one in coming:
        length = one[0].length
        if run and (size + length > CHUNK or len(run) == _RUN):
            yield run
            run, size = [], 0
        run.append(one)
        size += length
    if run:
        yield run
