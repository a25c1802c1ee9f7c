"""The storage server as a process, a parts list: config, key, ledger, shelves, door, mesh, orders, loop."""

import asyncio
import contextlib
import functools
import os
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager

import uvloop

from commonhold.authority.entering import Door
from commonhold.authority.lists import Lists
from commonhold.authority.trust import Rule
from commonhold.crypto import sign
from commonhold.errors import HoldError
from commonhold.formats import pin
from commonhold.formats.blessing import BLESSER, STORAGE
from commonhold.formats.keys import Seed
from commonhold.formats.statement import Kind
from commonhold.gossip.reading import Record
from commonhold.gossip.subscriptions import asked
from commonhold.host import allocator
from commonhold.host.saying import say
from commonhold.ipc import control
from commonhold.mesh import foreground
from commonhold.mesh.presence import Presence, Profile
from commonhold.mesh.relayed import Relayed
from commonhold.mesh.setting import setting
from commonhold.storage import enrolled, hearing, places
from commonhold.storage.beside import Beside, Leaving, Moving, Sweeping
from commonhold.storage.config import Config
from commonhold.storage.door import Gate
from commonhold.storage.hearing import Hearing
from commonhold.storage.keeping import Keeper
from commonhold.storage.orders import Orders
from commonhold.storage.service import Service
from commonhold.storage.shelving import Shelves
from commonhold.transport import listen, torconfig
from commonhold.transport.brought import Brought
from commonhold.transport.onion import published
from commonhold.transport.visitors import Limits, Visitors

_THREADS = 8


def run(config: Config, environment: Mapping[str, str], keeping: type[Keeper] = Keeper) -> None:
    """Serve until INT or TERM. BUSY if the server is running already."""
    allocator.tune()
    os.umask(0o077)
    seed = places.home(config.state).key()
    with places.opened(config.state, "server run") as book, _threads() as workers:
        if not book.shelves():
            places.add_shelf(book, config.state / places.SHARES, None)
        keeper = keeping(book, Shelves(book.shelves(), config.reserve), _now, os.urandom)
        door = Door(pin.pin_of(sign.public_key(seed)), config.grid, Rule(config.blessers, config.needed))
        gate = Gate(door, Lists(door.watched), book, _now, os.urandom)
        heard = _Heard(Hearing(gate, config.state / hearing.DIRECTORY, _warn))
        service = Service(keeper, book, gate, listen.peer, workers)
        brought = Brought()
        with (
            _beside(config, seed, heard, brought, lambda: keeper.leaving is not None) as beside,
            asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
        ):
            orders = Orders(book, lambda: keeper, True)
            ordered = control.listening(orders.do, config.state / control.SOCKET, workers)
            beside += [Sweeping(keeper, _warn).run, Moving(keeper, _warn).run, Leaving(keeper, book, _warn).run]
            runner.run(_until_told(service, keeper, ordered, beside, brought, seed, config, environment))


class _Heard:
    """Takes revocation lists in, whoever brings them."""

    def __init__(self, hearing: Hearing) -> None:
        self._hearing = hearing

    def take(self, statement: bytes) -> None:
        """Take one in. What cannot be kept is known all the same, and asked for again after a restart."""
        try:
            self._hearing.hear(statement)
        except HoldError as error:
            _warn(str(error))

    def learned(self, record: Record) -> None:
        """Of what introducers tell only lists are asked for."""
        if record.kind is Kind.REVOCATIONS:
            self.take(record.data)


@contextlib.contextmanager
def _beside(
    config: Config, seed: Seed, heard: _Heard, brought: Brought, leaving: Callable[[], bool]
) -> Iterator[list[Beside]]:
    """What runs beside the server: its calls to relays; how it is blessed, if it has joined a grid; its place in the
    mesh, if it knows introducers; and its onion address, if it is to have one."""
    joined = enrolled.joined(config.state, config.tor.rules)
    onion = config.tor.onion(config.state)
    own = torconfig.addresses(config.announce, onion)
    relays = [Relayed(one, seed, brought, setting((), config.tor.rules), _warn) for one in config.relays]

    def addresses() -> tuple[str, ...]:
        return tuple(dict.fromkeys((*own, *(text for one in relays for text in one.addresses))))

    introducers = (*config.introducers, *(enrolled.introducers(joined) if joined else ()))
    beside: list[Beside] = [one.run for one in relays]
    with contextlib.ExitStack() as stack:
        if joined is not None:
            enrolment = enrolled.Enrolled(joined, seed, addresses, heard.take)
            stack.callback(enrolment.close)
            beside.append(enrolment.run)
        if introducers:
            profile = Profile(seed, config.grid, STORAGE, addresses, config.name)
            asks = asked(config.grid, BLESSER, config.blessers)
            known, rules = dict.fromkeys(introducers), joined.rules if joined else config.tor.rules
            beside.append(Presence(profile, config.state, known, asks, heard.learned, rules, leaving).run)
        if onion is not None:
            beside.append(functools.partial(published, onion, _warn))
        yield beside


def _warn(text: str) -> None:
    say("server", text)


def _now() -> int:
    return int(time.time())


@contextlib.contextmanager
def _threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="hold-share") as workers:
        yield workers


async def _until_told(
    service: Service, keeper: Keeper, ordered: AbstractAsyncContextManager[None], others: list[Beside],
    brought: Brought, seed: Seed, config: Config, environment: Mapping[str, str],
) -> None:  # fmt: skip
    listening = foreground.sockets(config.listen)
    try:
        async with (
            ordered,
            foreground.until_told(config.listen, environment) as stop,
            asyncio.TaskGroup() as group,
        ):
            beside = [group.create_task(one()) for one in others]
            await listen.serve(service.app(), seed, listening, Visitors(Limits()), stop, brought)
            for task in beside:
                task.cancel()
    finally:
        keeper.close()
