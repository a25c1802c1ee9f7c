"""Calls everybody who is to answer for a grid, to see whether they do: introducers, blessers, servers, proxies.

Each call has a time limit. Nothing that is heard is kept. What others say is a stranger's word: of what goes wrong
nothing but its words are told on, and a clock's time.
"""

import asyncio
import os
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeVar

from commonhold.authority import times
from commonhold.authority.lists import Lists
from commonhold.crypto.statements import verified
from commonhold.errors import HoldError, Kind
from commonhold.exchange.badge import Badge
from commonhold.exchange.server import StorageServer
from commonhold.formats import hint, instant, revocations
from commonhold.formats.announcement import Announcement
from commonhold.formats.charter import Blesser, Introducer
from commonhold.formats.hint import Hint
from commonhold.formats.keys import PublicKey
from commonhold.formats.malformed import Malformed
from commonhold.formats.pin import GridId, SpkiPin
from commonhold.formats.statement import Kind as Said
from commonhold.formats.storagewords import Use
from commonhold.gossip import views
from commonhold.grids import fields
from commonhold.grids.calling import Caller
from commonhold.grids.known import KnownServer
from commonhold.grids.membership import Membership
from commonhold.grids.seen import Apart, Asked, Hidden, How, Look
from commonhold.grids.subscribing import Subscriber
from commonhold.mesh.mesh import Mesh
from commonhold.transport.dial import NotReached, dial, find_proxy
from commonhold.transport.rules import Proxy, Rules, route

SECONDS: Final = 3.5  # for each, all at once
_LISTEN: Final = 2.5  # to introducers
_QUIET: Final = 0.5
_PAUSE: Final = 0.05
_CLOCKS: Final = re.compile(r"signed at \S{20,30}, while it is (\S{20,30}) here")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class World:
    """Whose files they are, what time it is here, in seconds since 1970, and `randomness(n)`: n random bytes."""

    owner: int
    now: int
    randomness: Callable[[int], bytes] = os.urandom


class Called(NamedTuple):
    """How a call went, what it says of clocks, and what a server said of its account."""

    look: Look
    apart: tuple[Apart, ...] = ()
    use: Use | None = None


async def _within(look: Awaitable[T]) -> T:
    try:
        async with asyncio.timeout(SECONDS):
            return await look
    except TimeoutError as error:
        raise HoldError("call", Kind.UNREACHABLE, "", f"no answer within {SECONDS:g} s") from error


# ── one after the other ──


async def introducer(one: Introducer, by: Rules, world: World) -> Called:
    """Whether an introducer is there."""
    who = introducer_name(one.pin)

    async def call() -> None:
        await (await dial(one.pin, list(map(hint.parse, one.addresses)), by, world.randomness)).close()

    try:
        await _within(call())
    except HoldError as error:
        return Called(_failed(who, error, by, one.pin))
    return Called(Look(who))


async def blesser(one: Blesser, by: Rules, heard: Lists, world: World) -> Called:
    """Ask a blesser for its revocation list, which is heard."""
    who = blesser_name(one.key)
    try:
        data = await _within(Caller(by, world.randomness).revocations(one))
        said = revocations.parse(verified(Said.REVOCATIONS, data))
        heard.take(data)
    except HoldError as error:
        return Called(_failed(who, error, by, one.pin))
    except Malformed as error:
        return Called(Look(who, How.REFUSED, f"its revocation list is none: {error}"))
    if not times.begun(said.issued, world.now):
        return Called(Look(who), (Apart(who, said.issued - world.now),))
    if world.now >= times.end(said.fresh_until):  # it signs the next in time while it runs
        return Called(Look(who), (Apart(who, said.fresh_until - world.now),))
    return Called(Look(who))


async def server(one: KnownServer, badge: Badge | None, world: World) -> Called:
    """Whether a server is there and, with a badge, what the account uses there."""
    who = server_name(one)

    async def call() -> Use | None:
        connection = await dial(one.pin, one.hints, one.rules, world.randomness)
        try:
            return await StorageServer(connection, badge, lambda: world.now).use() if badge else None
        finally:
            await connection.close()

    try:
        use = await _within(call())
    except HoldError as error:
        clock = clock_said(who, error, world.now)
        return Called(Look(who, How.CLOCK, error.why) if clock else _failed(who, error, one.rules, one.pin), clock)
    return Called(Look(who), (Apart(who, 0),) if use else (), use)  # a door looks at the time of who comes in


async def asking(one: Blesser, request: bytes, by: Rules, world: World) -> tuple[Asked, str, tuple[Apart, ...]]:
    """What a blesser says to an encoded request. Asked again, it says the same."""
    who = blesser_name(one.key)
    try:
        found = await _within(Caller(by, world.randomness).enrol(one, request))
    except HoldError as error:
        clock = clock_said(who, error, world.now)
        refused = Asked.REFUSED if error.kind is Kind.BLESSING else Asked.NOT
        return Asked.CLOCK if clock else refused, error.why, clock
    return Asked.WAITS if found is None else Asked.GRANTED, "", (Apart(who, 0),)


def clock_said(who: str, error: HoldError, now: int) -> tuple[Apart, ...]:
    """How far a clock is from this one, where that was the reason of a refusal."""
    found = _CLOCKS.search(error.why)
    if found is None:
        return ()
    try:
        return (Apart(who, instant.parse_rfc3339(found.group(1)) // instant.SECOND - now),)
    except Malformed:
        return ()


def _failed(who: str, error: HoldError, by: Rules, pin: SpkiPin) -> Look:
    """What has gone wrong in calling somebody."""
    if not isinstance(error, NotReached):
        return Look(who, How.AWAY if error.kind is Kind.UNREACHABLE else How.REFUSED, error.why)
    routed = [one for one in error.attempts if _routed(by, pin, one.hint)]
    for one in routed:
        if one.kind is Kind.DENIED:  # a way leads there, and whoever is there has proved to be another
            return Look(who, How.OTHER_KEY, f"{one.hint}: {one.why}")
    return Look(who, How.AWAY if routed else How.BARRED, error.why)


def _routed(by: Rules, pin: SpkiPin, one: Hint) -> bool:
    try:
        route(by, pin, one)
    except HoldError:
        return False
    return True


# ── proxies ──


async def proxies(by: Rules) -> tuple[Look, ...]:
    """Whether anybody listens where proxies should: nothing is said to them."""
    named = [(name, proxy) for name, proxy in (("Tor", by.tor), ("I2P", by.i2p)) if proxy is not None]
    return tuple(await asyncio.gather(*(_proxy(f"{name}'s proxy {proxy}", proxy) for name, proxy in named)))


async def _proxy(who: str, proxy: Proxy) -> Look:
    try:
        await find_proxy(proxy, SECONDS)
    except HoldError as error:
        return Look(who, How.AWAY, error.why)
    return Look(who)


# ── what introducers show ──


async def hidden(of: Membership, heard: Lists, world: World) -> tuple[Hidden, ...]:
    """Listen to all introducers for a moment: who shows less than others do. Revocation lists are heard."""
    if not of.charter.introducers:
        return ()
    mesh = Subscriber(of, world.owner, heard.take).mesh
    async with asyncio.TaskGroup() as group:
        running = group.create_task(mesh.run())
        await _quiet(mesh, len(of.charter.introducers))
        found = _findings(mesh, world.now)
        running.cancel()
    return found


async def _quiet(mesh: Mesh, introducers: int) -> None:
    """Return when nothing new comes of all of them, or after so long."""
    loop = asyncio.get_running_loop()
    until, quiet, known = loop.time() + _LISTEN, loop.time() + _QUIET, 0
    while loop.time() < until and not (len(mesh.machine.views()) >= introducers and loop.time() > quiet):
        await asyncio.sleep(_PAUSE)
        total = len(mesh.machine) + sum(len(view.ids) for view in mesh.machine.views())
        if total != known:
            known, quiet = total, loop.time() + _QUIET


def _findings(mesh: Mesh, now: int) -> tuple[Hidden, ...]:
    """By what introducers show in a moment. A server's number is the time at which it said so: what is that new may
    still be on its way."""
    shown = [view._replace(since=0.0) for view in mesh.machine.views()]
    said = [
        views.Seen(one, float(one.said.sequence)) for one in mesh.machine.matching() if one.kind is Said.ANNOUNCEMENT
    ]
    found: dict[SpkiPin, list[views.Finding]] = {}
    for one in views.findings(shown, said, float(now)):
        found.setdefault(one.server, []).append(one)
    return tuple(
        Hidden(introducer_name(pin), tuple(map(_announced, kept)), max(len(one.shown_by) for one in kept))
        for pin, kept in found.items()
    )


def _announced(one: views.Finding) -> str:
    said = one.record.said
    return (said.name or fields.shown(said.server)) if isinstance(said, Announcement) else "a list"


# ── names ──


def server_name(one: KnownServer) -> str:
    """A server as people are told it, and as `hold why` takes it. What it calls itself may look like an option."""
    return one.name if one.name[:1].isalnum() else str(one.pin)[:12]


def introducer_name(pin: SpkiPin) -> str:
    """An introducer as people are told it."""
    return f"introducer {fields.shown(pin)}"


def blesser_name(key: PublicKey) -> str:
    """A blesser as people are told it."""
    return f"blesser {str(GridId(key))[:10]}…"
