"""Lanes: each user's way to the loop and to the threads. Where another is to go first, see `shares`, it is held."""

import asyncio
import contextlib
import functools
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor, Future
from typing import Any, ParamSpec, TypeVar

from commonhold.node.blocks import Threads
from commonhold.node.shares import Shares

P = ParamSpec("P")
T = TypeVar("T")

_LOOP_SECONDS = 0.0002  # that a request takes in the loop, about
_BYTES_PER_SECOND = 1e9  # that go through the loop, about
_PIECE = 0.0002  # seconds of work in a thread until the loop is asked whether it may go on
_ROUNDS = 3  # of the loop, from the first byte of a request until it is known whose it is
_PATIENCE = 0.02  # seconds that a thread waits to be told to go on; it may hold what others need


class Lanes:
    """The lanes of one node. For the loop's thread, but for what says otherwise."""

    def __init__(self, threads: Threads, clock: Callable[[], float] = time.monotonic) -> None:
        self._threads = threads
        self.clock = clock
        self._shares = Shares()
        self._lanes: dict[int, Lane] = {}
        self._busy: set[Lane] = set()
        self._timer: asyncio.TimerHandle | None = None

    def of(self, uid: int) -> "Lane":
        """A user's lane."""
        lane = self._lanes.get(uid)
        if lane is None:
            lane = self._lanes[uid] = Lane(self, uid, self._threads)
        return lane

    @contextlib.asynccontextmanager
    async def request(self, uid: int) -> AsyncIterator[None]:
        """Do what somebody asked for, once it is their turn."""
        lane = self.of(uid)
        self._shares.begin(uid, self.clock())
        lane.under_way += 1
        self.changed(lane)
        try:
            if lane.held or lane.crowded:
                await lane.pass_gate()
            yield
        finally:
            lane.under_way -= 1
            lane.spent.append(_LOOP_SECONDS)
            self._charge(lane)
            self._shares.end(uid, self.clock())
            self.changed(lane)

    def changed(self, lane: "Lane") -> None:
        """Something of somebody's began or ended: hold whoever comes later now, and let go on whoever does not."""
        self._busy.add(lane)
        if len(self._busy) > 1 or lane.crowded:
            self.look()

    def watch(self, lane: "Lane") -> None:
        """Look at somebody's lane from now on, until nothing is in it."""
        self._busy.add(lane)

    def look(self) -> None:
        """Decide who goes on."""
        for lane in self._busy:
            self._charge(lane)
        now = self.clock()
        standing = self._shares.standing(now)
        held = False
        for lane in list(self._busy):
            used = self._shares.used(lane.uid, now)
            lane.decide(held=standing.fresh < used, crowded=standing.here < used)
            held = held or lane.held
            if not lane.busy:
                self._busy.discard(lane)
        if held and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(standing.lapses - now, self._look_again)

    def _look_again(self) -> None:
        self._timer = None
        self.look()

    def _charge(self, lane: "Lane") -> None:
        seconds = 0.0
        while lane.spent:
            seconds += lane.spent.popleft()
        if seconds:
            self._shares.charge(lane.uid, seconds, self.clock())


class _Piece(threading.local):
    """The piece of work that a thread does."""

    began = 0.0  # by the clock
    worked = 0.0  # the thread's own time then


class Lane:
    """One user's. `threads` are everybody's, in their turn."""

    def __init__(self, lanes: Lanes, uid: int, threads: Threads) -> None:
        self._lanes = lanes
        self.uid = uid
        self.loop = asyncio.get_running_loop()
        self._lines = _Line(self, threads.reading), _Line(self, threads.writing)
        self.threads = Threads(*self._lines, threads.hashing)
        self.held = False  # others go first, now
        self.crowded = False  # others were here lately who have used less: one thing at a time, in pieces
        self.under_way = 0
        self.spent: deque[float] = deque()  # seconds that were worked, and are not yet charged
        self._gate: deque[asyncio.Future[None]] = deque()
        self._paused: list[threading.Lock] = []
        self._piece = _Piece()

    @property
    def busy(self) -> bool:
        """Whether there is anything that could be held."""
        return self.under_way > 0 or any(line.busy for line in self._lines)

    def changed(self) -> None:
        """See `Lanes.changed`."""
        self._lanes.changed(self)

    def watch(self) -> None:
        """See `Lanes.watch`."""
        self._lanes.watch(self)

    def moved(self, size: int) -> None:
        """So many bytes were received or sent for this user."""
        self.spent.append(size / _BYTES_PER_SECOND)

    def decide(self, *, held: bool, crowded: bool) -> None:
        """Hold what has not begun and what pauses, or let it go on."""
        self.crowded = crowded
        released = self.held and not held
        self.held = held
        if released:
            self._release()
            self._open_gate()
            for line in self._lines:
                line.serve()

    # ── in the loop ──

    async def pass_gate(self) -> None:
        """Wait to be let go on; one goes at a time."""
        waiting = self.loop.create_future()
        self._gate.append(waiting)
        if len(self._gate) == 1:
            self._in_a_while(self._open_gate)
        await waiting

    def _open_gate(self) -> None:
        if self.held:
            return
        while self._gate:
            waiting = self._gate.popleft()
            if not waiting.done():
                waiting.set_result(None)
                break
        if self._gate:
            self._in_a_while(self._open_gate)

    def _in_a_while(self, then: Callable[[], None], rounds: int = _ROUNDS) -> None:
        """Do something once the loop has done all that it had to do, and has looked for more."""
        if rounds:
            self.loop.call_soon(self._in_a_while, then, rounds - 1)
        else:
            then()

    # ── in a thread ──

    def pause(self) -> None:
        """Called in a thread between the pieces of long work: it goes on when the loop has nothing else to do."""
        if (self.held or self.crowded) and self._lanes.clock() - self._piece.began > _PIECE:
            self.worked()
            told = threading.Lock()
            told.acquire()
            with contextlib.suppress(RuntimeError):  # the loop has ended: nobody waits any more
                self.loop.call_soon_threadsafe(self._asked, told)
                told.acquire(timeout=_PATIENCE)
            self.works()

    def works(self) -> None:
        """Called in a thread: a piece of work begins."""
        self._piece.began, self._piece.worked = self._lanes.clock(), time.thread_time()

    def worked(self) -> None:
        """Called in a thread: a piece of work has ended."""
        self.spent.append(time.thread_time() - self._piece.worked)

    def _asked(self, told: threading.Lock) -> None:
        self._paused.append(told)
        self._lanes.look()
        self._in_a_while(self._release)

    def _release(self) -> None:
        while self._paused and not self.held:
            self._paused.pop().release()


class _Line(Executor):
    """One user's line in front of a pool of threads."""

    def __init__(self, lane: Lane, pool: Executor) -> None:
        self._lane = lane
        self._pool = pool
        self._waiting: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._running: list[Future[Any]] = []

    @property
    def busy(self) -> bool:
        """Whether anything is being done, or waits."""
        return bool(self._waiting) or not all(one.done() for one in self._running)

    def submit(self, work: Callable[P, T], /, *given: P.args, **named: P.kwargs) -> Future[T]:
        """See `Executor.submit`. From the loop's thread only."""
        whole = functools.partial(work, *given, **named)
        self._lane.changed()
        if not self._waiting and self._may_begin():
            return self._begin(whole)
        future: Future[T] = Future()
        self._waiting.append((future, whole))
        self._lane.watch()
        self.serve()
        return future

    def serve(self) -> None:
        """Begin what may be begun."""
        while self._waiting and self._may_begin():
            future, work = self._waiting.popleft()
            if future.set_running_or_notify_cancel():
                self._begin(work).add_done_callback(functools.partial(_pass_on, future))
        if self._waiting and self._running:
            self._running[0].add_done_callback(self._serve_soon)

    def _may_begin(self) -> bool:
        self._running = [one for one in self._running if not one.done()]
        return not self._lane.held and not (self._running and self._lane.crowded)

    def _begin(self, work: Callable[[], T]) -> Future[T]:
        begun = self._pool.submit(self._do, work)
        self._running.append(begun)
        self._lane.watch()
        return begun

    def _serve_soon(self, _: Future[Any]) -> None:
        self._lane.loop.call_soon_threadsafe(self.serve)

    def _do(self, work: Callable[[], T]) -> T:
        self._lane.works()
        try:
            return work()
        finally:
            self._lane.worked()


def _pass_on(future: Future[T], done: Future[T]) -> None:
    """Have one future end as another did."""
    error = done.exception()
    if error is None:
        future.set_result(done.result())
    else:
        future.set_exception(error)
