"""A tender at work: who is away has a round made for them, each user in a thread of their own, a few at a time.

Whoever was served longest ago comes first, and a round may not take for ever: what one user has handed over keeps
nobody else's from being looked after.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError
from typing import Final

from commonhold.errors import HoldError
from commonhold.grids.rounds import REST, Rounds, Setting
from commonhold.host.looping import LoopThread
from commonhold.host.saying import say
from commonhold.tender.wards import Wards

SLOTS: Final = 4  # users at once
LONGEST: Final = 3 * 3600.0  # seconds for one visit; the next goes on where it was broken off
LOOK: Final = 60.0  # seconds until somebody looks who is away


class Watch:
    """See the module. `clock` gives seconds that only go forward."""

    def __init__(self, wards: Wards, setting: Setting, clock: Callable[[], float], look: float = LOOK) -> None:
        self._wards = wards
        self._setting = setting
        self._clock = clock
        self._look = look
        self._next: dict[int, float] = {}  # of each user: when there may be something to do
        self._under_way: dict[int, _Round] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Look after everybody until cancelled."""
        try:
            while True:
                try:
                    users = await asyncio.to_thread(self._wards.users)
                except HoldError as error:
                    say("tender", str(error))
                    users = []
                self._begin(users)
                await self._setting.wait(self._look)
        finally:
            for uid in list(self._under_way):
                await self.interrupt(uid)
            if self._tasks:
                await asyncio.wait(self._tasks)

    async def interrupt(self, uid: int) -> None:
        """End what is under way for a user: it is looked at again when they are away again."""
        self._next.pop(uid, None)
        found = self._under_way.get(uid)
        if found is not None:
            await asyncio.to_thread(found.cancel)

    def _begin(self, users: list[int]) -> None:
        now = self._clock()
        ready = [uid for uid in users if uid not in self._under_way and self._next.get(uid, 0.0) <= now]
        for uid in sorted(ready, key=lambda uid: self._next.get(uid, 0.0))[: SLOTS - len(self._under_way)]:
            self._under_way[uid] = _Round(self._wards, uid, self._setting)
            task = asyncio.get_running_loop().create_task(self._served(uid))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _served(self, uid: int) -> None:
        try:
            rest = await asyncio.to_thread(self._under_way[uid].once)
        finally:
            del self._under_way[uid]
        self._next[uid] = self._clock() + rest


class _Round:
    """One round for one user, in a loop that another thread may end."""

    def __init__(self, wards: Wards, uid: int, setting: Setting) -> None:
        self._wards = wards
        self._uid = uid
        self._setting = setting
        self._mutex = threading.Lock()
        self._loop: LoopThread | None = None
        self._ended = False

    def once(self) -> float:
        """Visit what is due; seconds until there may be more."""
        try:
            away = self._wards.away(self._uid)
            if not away:
                return 0.0
            with self._mutex:
                if self._ended:
                    return 0.0
                self._loop = LoopThread("hold-tend")
            return self._visited(Rounds(lambda: away, self._setting))
        except (HoldError, OSError) as error:  # a full disk, say, or files that were damaged
            say("tender", f"for uid {self._uid}: {error}")
            return REST

    def _visited(self, rounds: Rounds) -> float:
        loop = self._loop
        assert loop is not None

        async def bounded() -> float:
            async with asyncio.timeout(LONGEST):
                return await rounds.once()

        try:
            with contextlib.suppress(CancelledError, TimeoutError):
                return loop.run(bounded())
            return 0.0
        finally:
            with self._mutex:
                self._loop = None
            loop.close()

    def cancel(self) -> None:
        """End it, if it goes on."""
        with self._mutex:
            self._ended = True
            if self._loop is not None:
                self._loop.cancel()
