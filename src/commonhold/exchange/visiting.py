"""A visit to all that keep a set: one server after the other is asked; then leases last longer and what is missing is
mended. What is due is `tending`'s to say. docs/spec/keeping.md, "Tending".
"""

import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Final

from commonhold.erasure.values import PackSeed, Shape
from commonhold.errors import HoldError, Kind
from commonhold.exchange import tending
from commonhold.exchange.checking import Health, clear, leaving_of, look, mend, together
from commonhold.exchange.packing import NotKept, Servers, Tools
from commonhold.exchange.renewing import renew_at
from commonhold.exchange.server import StorageServer
from commonhold.exchange.tending import State, Visit
from commonhold.formats.inventory import Packed
from commonhold.formats.pin import SpkiPin

_FAILURES: Final = 3  # to mend, or to look at one server, after which the rest waits for the next visit
_NAMED: Final = 3  # servers, in what is said of a set

Pause = Callable[[], Awaitable[None]]  # between two servers
Turn = Callable[[Packed], AbstractContextManager[object]]  # in which a pack is mended. BUSY, CHANGED: not now


@dataclass(frozen=True, slots=True)
class Kept:
    """All that is kept of a set. `inventory`: its bytes, and the pack that they are; None where another set has it."""

    packs: tuple[Packed, ...]
    inventory: tuple[Packed, bytes] | None

    @property
    def all(self) -> tuple[Packed, ...]:
        """The inventory first."""
        return ((self.inventory[0],) if self.inventory else ()) + self.packs

    def bytes_of(self, packed: Packed) -> bytes | None:
        """A pack that needs not be read from servers."""
        return self.inventory[1] if self.inventory is not None and self.inventory[0] == packed else None


@dataclass
class Survey:
    """What servers have said: of each pack, and who of them could not be reached, or did not renew."""

    packs: Sequence[Packed]
    parts: list[list[Health]]
    until: int | None
    reached: set[SpkiPin] = field(default_factory=set)
    away: dict[SpkiPin, HoldError] = field(default_factory=dict)
    unrenewed: set[SpkiPin] = field(default_factory=set)

    def healths(self) -> list[Health]:
        """How each pack is, as far as they say."""
        none = [Health(one.length, Shape(one.k, one.n), {}) for one in self.packs]
        return [together([nothing, *parts]) for nothing, parts in zip(none, self.parts, strict=True)]


@dataclass(frozen=True, slots=True)
class Visited:
    """What came of a visit. `until`: the leases of all shares that count last so long now; None: as before."""

    state: State
    said: str
    until: int | None
    reached: frozenset[SpkiPin]
    away: Mapping[SpkiPin, HoldError]


async def survey(
    packs: Sequence[Packed], servers: Servers, order: Sequence[SpkiPin], what: Visit, tools: Tools, pause: Pause
) -> Survey:
    """Ask servers, one after the other, for the shares of packs, and have them keep those longer. Each is hung up on
    before the next is called: what ends together belongs together."""
    found = Survey(packs, [[] for _ in packs], what.until)
    for number, pin in enumerate(order):
        if number:
            await pause()
        line = _Line(servers, pin)
        try:
            await _ask(found, line, what, tools)
        finally:
            await line.hang_up()
    return found


class _Line:
    """To one server."""

    def __init__(self, servers: Servers, pin: SpkiPin) -> None:
        self.pin = pin
        self.leaving = leaving_of(servers)
        self._servers = servers
        self._there: StorageServer | None = None

    async def open(self) -> StorageServer:
        """The server, called again if its connection was lost. HoldError."""
        self._there = await self._servers.open(self.pin)
        return self._there

    async def hang_up(self) -> None:
        """End it."""
        if self._there is not None:
            await self._there.hang_up()


async def _ask(found: Survey, line: _Line, what: Visit, tools: Tools) -> None:
    """Ask one server for all packs, in an order that is its own: that of its indexes. D18."""
    indexes = [PackSeed(one.seed).index(line.pin) for one in found.packs]
    order = sorted(range(len(indexes)), key=indexes.__getitem__)
    try:
        server = await line.open()
        sizes = await server.find([indexes[number] for number in order])
    except HoldError as error:
        if error.kind is not Kind.BLESSING:  # of those nobody ever blessed nothing is expected
            found.away[line.pin] = error
        return
    found.reached.add(line.pin)
    if what.until is not None and any(sizes) and not await _renewed(server, found.packs, what.until, tools):
        found.unrenewed.add(line.pin)
    await _look(found, line, [number for number, size in zip(order, sizes, strict=True) if size], what.deep, tools)


async def _renewed(server: StorageServer, packs: Sequence[Packed], until: int, tools: Tools) -> bool:
    try:
        await renew_at(server, packs, until, tools)
    except HoldError:
        return False
    return True


async def _look(found: Survey, line: _Line, there: Sequence[int], deep: bool, tools: Tools) -> None:
    """Look at the shares of those packs that a server says it has; if it ends to answer, it is away."""
    pin, left = line.pin, _FAILURES
    for number in there:
        packed = found.packs[number]
        try:
            health = await look(packed, [await line.open()], deep=deep, tools=tools, leaving=line.leaving)
            found.parts[number].append(health)
            if pin in health.failed:  # what it cannot give out it lets go, once it has looked itself
                left -= 1
                await (await line.open()).check(PackSeed(packed.seed).index(pin))
        except HoldError as error:
            if error.kind is Kind.UNREACHABLE:
                found.away[pin] = error
                return
        if not left:
            found.away[pin] = HoldError("look", Kind.UNREACHABLE, str(pin), health.failed[pin])
            return


class Mending:
    """Whatever a survey found missing is mended. `turn` is had for each pack; new leases last until a time."""

    def __init__(self, kept: Kept, servers: Servers, tools: Tools, turn: Turn, until: int) -> None:
        self._kept = kept
        self._servers = servers
        self._tools = tools
        self._turn = turn
        self._until = until

    async def mended(self, found: Survey, waits: Callable[[SpkiPin], bool]) -> Visited:
        """How the set is then. `waits`: whether one that is away is waited for. UNREACHABLE if nobody answered."""
        if not found.reached:
            raise HoldError("look", Kind.UNREACHABLE, "servers", _named("no server can be reached", found.away))
        healths = found.healths()
        away = sum(map(waits, found.away))
        why, left = "", _FAILURES
        for number in sorted(range(len(healths)), key=lambda one: healths[one].placed):
            if left > 0 and self._due(found.packs[number], healths[number], away):
                try:
                    healths[number] = await self._mend(found.packs[number], healths[number])
                except HoldError as error:
                    # Where servers are too few, or the set was ended, the next pack's turn would end as this one's.
                    left -= _FAILURES if isinstance(error, NotKept) or error.kind is Kind.CHANGED else 1
                    why = why or ("; ".join(error.lines) if isinstance(error, NotKept) else str(error))
            if healths[number].whole:
                await clear(found.packs[number], healths[number], self._servers)
        renewed = found.until if all(one.without(found.unrenewed).whole for one in healths) else None
        said = why or _said(healths, found)
        return Visited(tending.state_of(healths), said, renewed, frozenset(found.reached), found.away)

    def _due(self, packed: Packed, health: Health, away: int) -> bool:
        return tending.to_mend(health, away) or (not health.readable and self._kept.bytes_of(packed) is not None)

    async def _mend(self, packed: Packed, health: Health) -> Health:
        """How a pack is after it was mended. HoldError."""
        with self._turn(packed):
            await mend(packed, health, self._servers, self._until, self._tools, self._kept.bytes_of(packed))
        there: list[StorageServer] = []
        for pin in self._servers.verdicts():
            with contextlib.suppress(HoldError):
                there.append(await self._servers.open(pin))
        return await look(packed, there, deep=False, tools=self._tools, leaving=leaving_of(self._servers))


def _said(healths: Sequence[Health], found: Survey) -> str:
    """Why a set is not whole."""
    if all(one.whole for one in healths):
        return ""
    damaged = {
        pin: HoldError("look", Kind.CORRUPT, str(pin), why) for one in healths for pin, why in one.damaged.items()
    }
    said = [_named("damaged", damaged)] if damaged else []
    return "; ".join([*said, *([_named("away", found.away)] if found.away else [])])


def _named(what: str, errors: Mapping[SpkiPin, HoldError]) -> str:
    """Some of those who are meant, and how many more."""
    some = [f"{str(pin)[:12]}…: {error.why}" for pin, error in list(errors.items())[:_NAMED]]
    more = [f"{len(errors) - _NAMED} more"] if len(errors) > _NAMED else []
    return f"{what}: {', '.join([*some, *more])}" if errors else what
