"""Sessions of callers: adds under way that live between requests. Each is one user's, and serves one at a time."""

import asyncio
import contextlib
import secrets
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable

from commonhold.blockstore.session import StoreSession
from commonhold.errors import HoldError, Kind
from commonhold.node.config import Limits
from commonhold.node.memory import Memory


class Open:
    """One session. Whoever uses it, or its memory, holds `turn`."""

    def __init__(self, owner: int, session: StoreSession, now: float) -> None:
        self.owner = owner
        self.session = session
        self.memory: Memory | None = None  # shared with the owner
        self.turn = asyncio.Lock()
        self.used = now


class Sessions:
    """Every open session of a node."""

    def __init__(self, limits: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._clock = clock
        self._open: dict[str, Open] = {}
        self._opening: Counter[int] = Counter()
        self.opened = asyncio.Event()  # set while there are any

    async def begin(self, owner: int, opening: Callable[[], Awaitable[StoreSession]]) -> str:
        """Open a session; its name, which cannot be guessed. BUSY where an owner has as many as they may."""
        count = self._opening[owner] + sum(one.owner == owner for one in self._open.values())
        if count >= self._limits.sessions:
            raise HoldError("add", Kind.BUSY, "sessions", f"you have {self._limits.sessions} open, which is the limit")
        self._opening[owner] += 1
        try:
            session = await opening()
        finally:
            self._opening[owner] -= 1
        name = secrets.token_hex(16)
        self._open[name] = Open(owner, session, self._clock())
        self.opened.set()
        return name

    @contextlib.asynccontextmanager
    async def use(self, owner: int, name: str) -> AsyncIterator[StoreSession]:
        """Have an owner's session to oneself. NOT_FOUND for anybody else's, and for what ended while we waited."""
        one = self._open.get(name)
        if one is None or one.owner != owner:
            raise _ended()
        async with one.turn:
            if self._open.get(name) is not one:
                raise _ended()
            try:
                yield one.session
            finally:
                one.used = self._clock()

    def memory(self, name: str) -> Memory | None:
        """What the owner of a session that is in use was given to put blocks into."""
        return self._open[name].memory

    def share(self, name: str, memory: Memory) -> None:
        """Keep the memory of a session that is in use, until it ends."""
        self._open[name].memory = memory

    def remove(self, name: str) -> None:
        """Forget a session that is closed."""
        one = self._open.pop(name, None)
        if one is not None and one.memory is not None:
            one.memory.close()
        if not self._open:
            self.opened.clear()

    def idle(self) -> list[tuple[int, str]]:
        """Owner and name of sessions that nobody asked anything of for too long, and that nobody is using."""
        before = self._clock() - self._limits.idle_seconds
        return [(one.owner, name) for name, one in self._open.items() if one.used <= before and not one.turn.locked()]

    def all(self) -> list[tuple[int, str]]:
        """Owner and name of every session."""
        return [(one.owner, name) for name, one in self._open.items()]


def _ended() -> HoldError:
    return HoldError("add", Kind.NOT_FOUND, "session", "it has ended, or never was", hint="begin a new one")
