"""Sessions of callers: adds under way that live between requests. Each is one user's, and serves one at a time."""

import asyncio
import secrets
import time
from collections.abc import Callable

from commonhold.blockstore.session import StoreSession
from commonhold.errors import HoldError, Kind
from commonhold.node.config import Limits


class Open:
    """One session. Whoever uses it holds `turn`."""

    def __init__(self, owner: int, session: StoreSession, now: float) -> None:
        self.owner = owner
        self.session = session
        self.turn = asyncio.Lock()
        self.used = now


class Sessions:
    """Every open session of a node."""

    def __init__(self, limits: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._clock = clock
        self._open: dict[str, Open] = {}
        self.opened = asyncio.Event()  # set while there are any

    def add(self, owner: int, session: StoreSession) -> str:
        """Keep a session; its name, which cannot be guessed."""
        name = secrets.token_hex(16)
        self._open[name] = Open(owner, session, self._clock())
        self.opened.set()
        return name

    def check_room(self, owner: int) -> None:
        """BUSY where an owner has as many sessions as they may."""
        if sum(one.owner == owner for one in self._open.values()) >= self._limits.sessions:
            raise HoldError("add", Kind.BUSY, "sessions", f"you have {self._limits.sessions} open, which is the limit")

    def find(self, owner: int, name: str) -> Open:
        """An owner's session. NOT_FOUND for anybody else's."""
        found = self._open.get(name)
        if found is None or found.owner != owner:
            raise HoldError("add", Kind.NOT_FOUND, "session", "it has ended, or never was")
        found.used = self._clock()
        return found

    def remove(self, name: str) -> None:
        """Forget a session that is closed."""
        self._open.pop(name, None)
        if not self._open:
            self.opened.clear()

    def idle(self) -> list[tuple[str, Open]]:
        """Sessions that nobody asked anything of for too long, and that nobody is using."""
        before = self._clock() - self._limits.idle_seconds
        return [(name, one) for name, one in self._open.items() if one.used < before and not one.turn.locked()]

    def all(self) -> list[tuple[str, Open]]:
        """Every session."""
        return list(self._open.items())
