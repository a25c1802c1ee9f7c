"""One grid as its user's client: who may keep shares, who may be read from, and open connections to them.

All of it is what the files say at the time: an override or a new blessing counts from the next question on.
"""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, Protocol

from commonhold.authority.blessed import Verdict
from commonhold.authority.lists import Lists
from commonhold.authority.trust import Trust
from commonhold.errors import HoldError, Kind
from commonhold.exchange.badge import Badge
from commonhold.exchange.server import StorageServer
from commonhold.formats.blessing import STORAGE
from commonhold.formats.pin import SpkiPin
from commonhold.grids import broker, files
from commonhold.grids.broker import Ground
from commonhold.grids.known import KnownServer
from commonhold.transport.connection import Connection
from commonhold.transport.dial import dial
from commonhold.transport.rules import Rules

_AGE: Final = 3  # seconds
_STALE: Final = 600  # seconds after which introducers are asked again
_LISTEN: Final = 5.0
_JITTER: Final = 20.0  # seconds within which an anonymous client's connections begin


class Taking(Protocol):
    """Who takes part in a grid: whom they believe, how they dial, and what lets them in. `grids.member`, for one."""

    @property
    def directory(self) -> Path: ...
    @property
    def trust(self) -> Trust: ...
    @property
    def rules(self) -> Rules: ...

    def lists(self) -> Lists:
        """The newest revocation lists."""
        ...

    def badge(self, server: SpkiPin) -> Badge | None:
        """What lets them in at a server; None where there is nothing of the kind."""
        ...

    def standing_at(self, server: SpkiPin) -> str:
        """How they stand at a server, in words."""
        ...

    async def listen(self, seconds: float) -> int:
        """Ask introducers which servers there are, for so long at most; how many introducers answered."""
        ...


class GridClient:
    """See the module; an `exchange.packing.Servers`. For one event loop. `now` gives seconds since 1970."""

    def __init__(self, member: Taking, owner: int, now: Callable[[], int], randomness: Callable[[int], bytes]) -> None:
        self.member = member
        self._owner = owner
        self._now = now
        self._randomness = randomness
        self._connections: dict[SpkiPin, Connection] = {}
        self._dialling: dict[SpkiPin, asyncio.Lock] = {}
        self._read: tuple[int, tuple[KnownServer, ...]] | None = None
        self._badges: dict[SpkiPin, Badge] = {}  # made since then

    def known(self) -> tuple[KnownServer, ...]:
        """The storage servers of this grid, as the files have had them within the last seconds."""
        if self._read is None or not 0 <= self._now() - self._read[0] < _AGE:
            self.forget()
            self._read = self._now(), self._look()
        return self._read[1]

    async def refresh(self, *, now: bool = False) -> None:
        """Ask introducers which servers there are, if that was not asked lately, or none is known; or else `now`."""
        newest = max((one.seen or 0 for one in self.known()), default=0)
        if now or self._now() - newest > _STALE:
            await self.member.listen(_LISTEN)
            self.forget()

    def forget(self) -> None:
        """Look at the files again when something is asked next."""
        self._read = None
        self._badges.clear()

    def _badge(self, server: SpkiPin) -> Badge | None:
        """What lets the member in at a known server, made from what is on the disk as often as that is read."""
        self.known()
        found = self._badges.get(server) or self.member.badge(server)
        if found is not None:
            self._badges[server] = found
        return found

    def _look(self) -> tuple[KnownServer, ...]:
        member = self.member
        found = files.read(member.directory, self._owner)
        ground = Ground(member.trust, member.rules, member.lists(), self._now())
        return tuple(
            one for one in broker.known(found.caches, found.override, ground).servers if one.purpose == STORAGE
        )

    def verdicts(self) -> Mapping[SpkiPin, Verdict]:
        """All that are known, and whether anything may be put there."""
        return {server.pin: self._upload(server) for server in self.known()}

    def _upload(self, server: KnownServer) -> Verdict:
        if server.upload.allowed and self._badge(server.pin) is None:
            return Verdict(False, self.member.standing_at(server.pin), server.upload.by)
        return server.upload

    async def open(self, server: SpkiPin) -> StorageServer:
        """One of them, over a connection that is open. NOT_FOUND for one that is not known, BLESSING for one that was
        never blessed: anybody can announce a server, and it would learn who keeps things here; what dialling says."""
        for one in self.known():
            if one.pin == server:
                if not one.read.allowed:
                    raise HoldError("open", Kind.BLESSING, str(server), one.read.said)
                return await self._opened(one)
        raise HoldError("open", Kind.NOT_FOUND, str(server), "no such server is known", hint="hold servers")

    async def readers(self) -> tuple[list[StorageServer], dict[SpkiPin, HoldError]]:
        """Those that may be read from and can be reached; and why the others are not."""
        allowed = [one for one in self.known() if one.read.allowed]
        answers = await asyncio.gather(*(self._opened(one) for one in allowed), return_exceptions=True)
        found: list[StorageServer] = []
        failed: dict[SpkiPin, HoldError] = {}
        for one, answer in zip(allowed, answers, strict=True):
            if isinstance(answer, StorageServer):
                found.append(answer)
            elif isinstance(answer, HoldError):
                failed[one.pin] = answer
            else:
                raise answer
        return found, failed

    async def _opened(self, server: KnownServer) -> StorageServer:
        async with self._dialling.setdefault(server.pin, asyncio.Lock()):
            there = self._connections.get(server.pin)
            if there is None or there.is_lost:
                if server.rules.anonymous:  # no two servers are to see that somebody came to both at one moment
                    await asyncio.sleep(_JITTER * int.from_bytes(self._randomness(4)) / 2**32)
                if there is not None:
                    await there.close()
                there = await dial(server.pin, server.hints, server.rules, self._randomness)
                self._connections[server.pin] = there
        return StorageServer(there, self._badge(server.pin), self._now)

    async def close(self) -> None:
        """Close all connections."""
        for connection in self._connections.values():
            with contextlib.suppress(HoldError):
                await connection.close()
        self._connections.clear()
