"""The storage server as a process, a parts list: config, key, ledger, shelves, door, loop."""

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from socket import socket

import uvloop

from commonhold.authority.entering import Door
from commonhold.authority.lists import Lists
from commonhold.authority.trust import Rule
from commonhold.crypto import sign
from commonhold.formats import pin
from commonhold.formats.hint import TcpHint, UnixHint
from commonhold.formats.keys import Seed
from commonhold.host import allocator, systemd
from commonhold.ipc import endpoint
from commonhold.storage import places
from commonhold.storage.config import Config
from commonhold.storage.door import Gate
from commonhold.storage.keeping import Keeper
from commonhold.storage.service import Service
from commonhold.storage.shelving import Shelves
from commonhold.transport import listen
from commonhold.transport.visitors import Limits, Visitors

_THREADS = 8
_SWEEP_SECONDS = 60.0


def run(config: Config, environment: Mapping[str, str]) -> None:
    """Serve until INT or TERM. BUSY if the server is running already."""
    allocator.tune()
    os.umask(0o077)
    seed = places.key(config.state)
    with places.opened(config.state, "server run") as book, _threads() as workers:
        if not book.shelves():
            places.add_shelf(book, config.state / places.SHARES, None)
        keeper = Keeper(book, Shelves(book.shelves(), config.reserve), _now, os.urandom)
        door = Door(pin.pin_of(sign.public_key(seed)), config.grid, Rule(config.blessers, config.needed))
        gate = Gate(door, Lists(door.watched), book, _now, os.urandom)
        service = Service(keeper, book, gate, listen.peer, workers)
        sockets = [_listen(one) for one in config.listen]
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_until_told(service, keeper, seed, sockets, environment))


def _now() -> int:
    return int(time.time())


@contextlib.contextmanager
def _threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="hold-share") as workers:
        yield workers


def _listen(where: TcpHint | UnixHint) -> socket:
    if isinstance(where, UnixHint):
        return endpoint.listen(Path(where.path), 0o666, 0o755)
    return listen.bind(where.host, where.port)


async def _until_told(
    service: Service, keeper: Keeper, seed: Seed, sockets: list[socket], environment: Mapping[str, str]
) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    for one in sockets:
        print(f"listening at {listen.address(one)}", file=sys.stderr, flush=True)  # noqa: T201
    sweeping = asyncio.create_task(_sweep(keeper))
    try:
        systemd.notify(environment, "READY=1")
        await listen.serve(service.app(), seed, sockets, Visitors(Limits()), stop)
    finally:
        systemd.notify(environment, "STOPPING=1")
        sweeping.cancel()
        await asyncio.wait([sweeping])
        keeper.close()


async def _sweep(keeper: Keeper) -> None:
    """Let go what is over, now and then, in small steps."""
    while True:
        while await asyncio.to_thread(keeper.sweep):
            pass
        await asyncio.sleep(_SWEEP_SECONDS)
