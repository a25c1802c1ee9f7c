"""Bytes of a pack, from any k of those who have shares of it: the quickest are asked, others when one is late or wrong.

Only the segments that a range needs are fetched. docs/spec/keeping.md.
"""

import asyncio
import threading
from collections.abc import Sequence
from concurrent.futures import Executor
from typing import Final

from commonhold.erasure.code import Code
from commonhold.erasure.gathering import Gathering
from commonhold.erasure.layout import Layout
from commonhold.erasure.share import Share
from commonhold.errors import HoldError, Kind
from commonhold.exchange.locating import Holder
from commonhold.formats.malformed import Malformed

BATCH: Final = 8  # segments that are asked for in one go
_AHEAD: Final = 2  # batches under way at once
_HEDGE: Final = 2.0  # times as long as expected, and another server is asked too
_FIRST_GUESS: Final = 0.5  # seconds for a batch of a server that nothing is known of
_LEAST: Final = 0.05


class _Batch:
    """Segments that are fetched in one go, and the pieces of them that have come. Safe from many threads.

    They go to a buffer for the bytes of the pack from `first` on, each as a whole or as far as it is in there.
    """

    def __init__(self, layout: Layout, segments: range, first: int, into: memoryview) -> None:
        self.segments = segments
        self.start = layout.part(segments[0]).start
        self.stop = layout.part(segments[-1]).stop
        self.last = segments[-1] == layout.segments - 1
        self._layout = layout
        self._gathered: list[Gathering] = []
        self._cut: list[tuple[memoryview, memoryview]] = []  # a segment of which a part is wanted; where that goes
        for index in segments:
            start, stop = (at - first for at in layout.bounds(index))
            room = into[max(start, 0) : stop]
            if len(room) < stop - start:
                whole = memoryview(bytearray(stop - start))
                self._cut.append((whole[max(-start, 0) :][: len(room)], room))
                room = whole
            self._gathered.append(Gathering(layout, index, room))
        self._turn = threading.Lock()

    @property
    def enough(self) -> bool:
        """Whether all of it can be restored."""
        return all(one.enough for one in self._gathered)

    def add(self, share: Share, data: memoryview) -> None:
        """Open what one server sent: Malformed if it is not what was written there."""
        with self._turn:
            for index, one in zip(self.segments, self._gathered, strict=True):
                start, stop = self._layout.part(index)
                one.add(share, data[start - self.start : stop - self.start])

    def restore(self, code: Code) -> None:
        """Have what is wanted of it in the buffer."""
        with self._turn:
            for one in self._gathered:
                one.restore(code)
            for part, room in self._cut:
                room[:] = part


class PackSource:
    """One pack that can be read. `bad` has those whose share was damaged, or that failed, and why."""

    def __init__(self, layout: Layout, holders: Sequence[Holder], code: Code, threads: Executor) -> None:
        self.layout = layout
        self.bad: dict[Holder, HoldError] = {}
        self._holders = list(holders)
        self._code = code
        self._threads = threads
        self._pace: dict[Holder, float] = {}  # seconds a batch takes, as seen lately
        self._busy: dict[Holder, int] = dict.fromkeys(holders, 0)

    async def read(self, start: int, stop: int) -> bytearray:
        """The bytes of the pack from `start` to before `stop`. NOT_FOUND if too few shares are left that are sound."""
        into = bytearray(stop - start)
        view = memoryview(into)
        segments = self.layout.covering(start, stop)
        batches = [segments[at : at + BATCH] for at in range(0, len(segments), BATCH)]
        turns = asyncio.Semaphore(_AHEAD)

        async def fetch(batch: range) -> None:
            async with turns:
                await self._fetch(batch, start, view)

        try:
            async with asyncio.TaskGroup() as group:
                for batch in batches:
                    group.create_task(fetch(batch))
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None
        return into

    async def _fetch(self, segments: range, start: int, into: memoryview) -> None:
        """One batch, from as many servers as it takes, to where it belongs in what was asked for."""
        batch = _Batch(self.layout, segments, start, into)
        untried = sorted((holder for holder in self._holders if holder not in self.bad), key=self._expected)
        pending: dict[asyncio.Task[None], Holder] = {}
        numbers: set[int] = set()
        try:
            while not batch.enough:
                while len(numbers | {one.share.number for one in pending.values()}) < self.layout.shape.k and untried:
                    self._ask(pending, untried.pop(0), batch)
                if not pending:
                    raise self._too_few(len(numbers))
                late = _HEDGE * max(_LEAST, *(self._expected(holder) for holder in pending.values()))
                done, _ = await asyncio.wait(pending, timeout=late, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    holder = pending.pop(task)
                    if self._good(task, holder):
                        numbers.add(holder.share.number)
                if not done and untried:
                    self._ask(pending, untried.pop(0), batch)
        finally:
            for task in pending:
                task.cancel()
            await asyncio.gather(*pending, return_exceptions=True)
        await asyncio.get_running_loop().run_in_executor(self._threads, batch.restore, self._code)

    def _expected(self, holder: Holder) -> float:
        return self._pace.get(holder, _FIRST_GUESS) * (1 + self._busy[holder])

    def _ask(self, pending: dict[asyncio.Task[None], Holder], holder: Holder, batch: _Batch) -> None:
        pending[asyncio.ensure_future(self._one(holder, batch))] = holder

    async def _one(self, holder: Holder, batch: _Batch) -> None:
        """Fetch one server's pieces of a batch, and open them."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        # To the share's end, whose zeros are other ones at each server: where the pack ends is the same at all. D18.
        stop = holder.share.length if batch.last else batch.stop
        data = memoryview(bytearray(stop - batch.start))
        self._busy[holder] += 1
        try:
            await holder.server.read(holder.index, batch.start, data, holder.copy)
        finally:
            self._busy[holder] -= 1
        took = loop.time() - began
        self._pace[holder] = (took + self._pace.get(holder, took)) / 2
        await loop.run_in_executor(self._threads, batch.add, holder.share, data)

    def _good(self, task: asyncio.Task[None], holder: Holder) -> bool:
        """Whether what a server sent is good; if not, it is asked no more."""
        try:
            task.result()
        except Malformed as error:
            self.bad[holder] = HoldError("read share", Kind.CORRUPT, str(holder.server.pin), str(error))
        except HoldError as error:
            self.bad[holder] = error
        return holder not in self.bad

    def _too_few(self, count: int) -> HoldError:
        said = "; ".join(f"{error.subject}: {error.why}" for error in self.bad.values())
        why = f"{count} of the {self.layout.shape.k} shares that it takes" + (f" ({said})" if said else "")
        return HoldError("read pack", Kind.NOT_FOUND, "pack", why, hint="hold servers")
