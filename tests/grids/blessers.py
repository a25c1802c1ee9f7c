"""A blesser that serves in this process, whose every byte is noted, and those who ask it. Time is set by the test."""

import asyncio
import itertools
import os
from collections.abc import AsyncIterator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from commonhold.authority.derived import Secret
from commonhold.blesser import config, home
from commonhold.blesser.home import Keys
from commonhold.blesser.meetings import Meetings
from commonhold.blesser.office import Office
from commonhold.blesser.orders import Orders
from commonhold.blesser.service import Limits as Rates
from commonhold.blesser.service import Service
from commonhold.crypto import sign
from commonhold.formats import charter
from commonhold.formats.blessing import INTRODUCER, STORAGE
from commonhold.formats.charter import Blesser, Charter
from commonhold.formats.hint import TcpHint
from commonhold.formats.invitation import Invitation
from commonhold.formats.keys import Seed, seed_of
from commonhold.formats.pin import GridId, SpkiPin, pin_of
from commonhold.grids import joining
from commonhold.grids.accounts import AccountEnrolment
from commonhold.grids.hosts import ServerEnrolment
from commonhold.grids.joining import Choice
from commonhold.grids.surroundings import Surroundings
from commonhold.transport import listen
from commonhold.transport.rules import Rules
from commonhold.transport.visitors import Limits, Visitors

NOW = 1_800_000_000
HOUR, DAY = 3600, 86_400
GIB = 1 << 30


@dataclass
class Clock:
    """Seconds since 1970; whoever sleeps by it has slept at once."""

    now: int = NOW

    async def sleep(self, seconds: float) -> None:
        self.now += max(1, int(seconds))
        await asyncio.sleep(0)

    def world(self) -> Surroundings:
        chances = itertools.cycle((0.1, 0.9, 0.5))
        return Surroundings(lambda: self.now, self.sleep, lambda: next(chances), os.urandom)


class Together(Clock):
    """Time goes on when all of so many sleep, to when the first of them wakes."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self._count = count
        self._asleep: list[tuple[int, asyncio.Future[None]]] = []

    async def sleep(self, seconds: float) -> None:
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._asleep.append((self.now + max(1, int(seconds)), done))
        if len(self._asleep) == self._count:
            first = min(self._asleep, key=lambda one: one[0])
            self._asleep.remove(first)
            self.now = max(self.now, first[0])
            first[1].set_result(None)
        await done


def make_home(
    path: Path, address: str, of: GridId | None = None, list_hours: int = 24, accounts: Secret | None = None
) -> Keys:
    """A blesser's home, as `hold grid create` makes it."""

    def first(keys: Keys) -> str:
        own = Blesser(keys.public, keys.pin, (address,))
        made = charter.of_one(of or GridId(keys.public), path.name, own, (STORAGE, INTRODUCER))
        return config.first(made, (address,)).replace("list_hours = 24", f"list_hours = {list_hours}")

    return home.create(path, accounts, first, os.urandom)


@contextmanager
def office(path: Path, clock: Clock) -> Iterator[Office]:
    """A blesser at work, without anybody who could ask it."""
    with home.opened(path, "test") as book:
        keys = home.keys(path)
        yield Office(book, keys, config.read(path / home.CONFIG, path.name, keys.public), lambda: clock.now, os.urandom)


@dataclass
class Serving:
    """A blesser that answers. `said` is all that went by, in the clear, in both directions."""

    office: Office
    meetings: Meetings
    hint: TcpHint
    said: list[bytes] = field(default_factory=list)

    @property
    def orders(self) -> Orders:
        return Orders(self.office, self.meetings)

    @property
    def blesser(self) -> Blesser:
        return self.office.config.own

    @property
    def charter(self) -> Charter:
        return self.office.config.charter


@asynccontextmanager
async def blessing(
    path: Path, clock: Clock, rates: Rates | None = None, port: int = 0, list_hours: int = 24
) -> AsyncIterator[Serving]:
    """A blesser that answers, over TLS; its home is made if there is none."""
    sock = listen.bind("127.0.0.1", port)
    hint = listen.address(sock)
    assert isinstance(hint, TcpHint)
    if not home.is_home(path):
        make_home(path, str(hint), list_hours=list_hours)
    with ExitStack() as stack:
        found = stack.enter_context(office(path, clock))
        threads = stack.enter_context(ThreadPoolExecutor(2))
        meetings = Meetings(found.withdraw, lambda: float(clock.now), os.urandom)
        serving = Serving(found, meetings, hint)
        app = Service(found, meetings, listen.peer, threads, rates or Rates(lambda: float(clock.now))).app()
        app.middlewares.append(_noting(serving.said))
        stop = asyncio.Event()
        running = asyncio.create_task(listen.serve(app, found.keys.server, [sock], Visitors(Limits()), stop))
        try:
            yield serving
        finally:
            stop.set()
            await running


def _noting(said: list[bytes]) -> Middleware:
    @web.middleware
    async def note(request: web.Request, handler: Handler) -> web.StreamResponse:
        said.append(str(request.rel_url).encode() + await request.read())
        answer = await handler(request)
        assert isinstance(answer, web.Response)
        said.append(bytes(answer.body or b""))  # type: ignore[arg-type]
        return answer

    return note


def joined(
    invitation: Invitation, directory: Path, clock: Clock, wanted: Iterable[SpkiPin] = (), rules: Rules | None = None
) -> AccountEnrolment:
    """Somebody who takes an invitation, and wants places at these servers."""
    made = joining.join(invitation, directory, Choice(rules or Rules()), clock.now, os.urandom).membership
    servers = tuple(wanted)
    return AccountEnrolment(made, lambda: servers, clock.world())


def server_joined(invitation: Invitation, directory: Path, clock: Clock, seed: Seed) -> ServerEnrolment:
    """A server that takes an invitation."""
    made = joining.join(invitation, directory, Choice(Rules()), clock.now, os.urandom).membership
    return ServerEnrolment(made, seed, lambda: ("tcp:attic.example:7373",), clock.world())


def seed(number: int) -> Seed:
    """One of many keys."""
    return seed_of(number.to_bytes(32, "big"))


def pin(number: int) -> SpkiPin:
    """Of one of many servers."""
    return pin_of(sign.public_key(seed(number)))
