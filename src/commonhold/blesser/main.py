"""The blesser as a process, a parts list: config, keys, book, office, meetings, sockets, loop."""

import asyncio
import contextlib
import os
import secrets
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path
from socket import socket
from typing import Final

import uvloop

from commonhold.blesser import config, home, mints
from commonhold.blesser.config import Config
from commonhold.blesser.home import Keys
from commonhold.blesser.meetings import Meetings
from commonhold.blesser.office import Office
from commonhold.blesser.orders import Orders
from commonhold.blesser.publishing import Publisher
from commonhold.blesser.service import Limits as Rates
from commonhold.blesser.service import Service
from commonhold.errors import HoldError, Kind
from commonhold.host import allocator
from commonhold.host.saying import say
from commonhold.ipc import control
from commonhold.mesh import foreground
from commonhold.transport import listen, torconfig
from commonhold.transport.onion import published
from commonhold.transport.visitors import Limits, Visitors

_THREADS: Final = 4
_SWEEP_SECONDS: Final = 20.0


def read(path: Path) -> tuple[Config, Keys]:
    """What the blesser in a directory is told, and its keys. Its onion address is among those that others are told."""
    keys = home.keys(path)
    found = config.read(path / home.CONFIG, path.name, keys.public)
    onion = found.tor.onion(path)
    return found.reached(torconfig.addresses(found.own.addresses, onion)) if onion else found, keys


@contextlib.contextmanager
def opened(path: Path, command: str) -> Iterator[Office]:
    """The blesser in a directory at work, while no other process has it. BUSY; NOT_FOUND."""
    with home.opened(path, command) as book:
        found, keys = read(path)
        with mints.opened(path, found.minting, (keys.public, found.charter.grid), secrets.token_bytes) as blindly:
            yield Office(book, keys, found, lambda: int(time.time()), secrets.token_bytes, blindly)


def run(path: Path, environment: Mapping[str, str]) -> None:
    """Serve until INT or TERM. BUSY if it is served already."""
    allocator.tune()
    os.umask(0o077)
    with opened(path, "grid serve") as office, ThreadPoolExecutor(_THREADS, thread_name_prefix="hold-bless") as threads:
        if not office.config.listen:
            why = "it has no address to listen at"
            raise HoldError("serve", Kind.USAGE, str(path / home.CONFIG), why, hint='listen = ["tcp:0.0.0.0:4653"]')
        office.sign_list()
        sockets = foreground.sockets(office.config.listen)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_until_told(office, path, sockets, threads, environment))


async def _until_told(
    office: Office, path: Path, sockets: list[socket], threads: Executor, environment: Mapping[str, str]
) -> None:
    meetings = Meetings(office.withdraw, time.monotonic, secrets.token_bytes)
    service = Service(office, meetings, listen.peer, threads, Rates(time.monotonic))
    async with (
        control.listening(Orders(office, meetings).do, path / control.SOCKET, threads),
        foreground.until_told(office.config.listen, environment) as stop,
    ):
        beside = [_lists(office), _sweep(meetings)]
        if office.config.charter.introducers:
            beside.append(Publisher(office).run())
        if (onion := office.config.tor.onion(path)) is not None:
            beside.append(published(onion, lambda text: say("blesser", text)))
        tasks = [asyncio.create_task(work) for work in beside]
        try:
            await listen.serve(service.app(), office.keys.server, sockets, Visitors(Limits()), stop)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)


async def _lists(office: Office) -> None:
    """Sign revocation lists in good time before they are stale; not on the beat."""
    while True:
        await asyncio.sleep(office.config.list_every * (0.8 + 0.2 * secrets.randbelow(1 << 20) / (1 << 20)))
        await asyncio.to_thread(office.sign_list)


async def _sweep(meetings: Meetings) -> None:
    """End short codes that are over, though nobody asks for them."""
    while True:
        await asyncio.sleep(_SWEEP_SECONDS)
        await asyncio.to_thread(meetings.sweep)
