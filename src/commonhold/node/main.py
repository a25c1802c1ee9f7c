"""The node as a process, a parts list: config, socket, store, threads, loop; it serves until it is told to stop."""

import asyncio
import contextlib
import gc
import os
import socket
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import uvloop

from commonhold.blockstore import store as stores
from commonhold.blockstore.store import Store
from commonhold.errors import HoldError, Kind, os_errors
from commonhold.host import allocator, systemd, timers
from commonhold.host.repository import Lock
from commonhold.ipc import accepting, endpoint
from commonhold.node import records
from commonhold.node.blocks import Threads
from commonhold.node.config import Config
from commonhold.node.records import RecordStore
from commonhold.node.service import Service

_THREADS = 8
_STOP_SECONDS = 20.0  # for what is under way when it is told to stop
_BUFFER = 1 << 20
_SWITCH_SECONDS = 0.00002
_GARBAGE = 10_000  # objects until it is looked for, while everybody waits; 700 is usual, and far too often


def run(config: Config, environment: Mapping[str, str]) -> None:
    """Serve until INT or TERM; requests under way are finished first."""
    allocator.tune()
    _be_fair()
    os.umask(0o077)
    _prepare(config.repository)
    lock = Lock(config.repository, "node")
    try:
        with (
            Store(config.repository) as store,
            contextlib.closing(RecordStore(config.repository / records.FILE)) as kept,
            threads() as workers,
        ):
            service = Service(store, kept, config, os.geteuid(), workers)
            given = systemd.listening(environment, os.getpid())
            listening = given or [listen(config)]
            try:
                with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                    runner.run(_until_told(service, listening, environment))
            finally:
                if not given:
                    config.socket.unlink(missing_ok=True)
    finally:
        lock.release()


def _be_fair() -> None:
    """What one thread does for somebody keeps the others waiting only for moments."""
    timers.be_on_time()  # whoever waits for the interpreter waits with one
    sys.setswitchinterval(_SWITCH_SECONDS)
    gc.freeze()  # what is here stays
    gc.set_threshold(_GARBAGE, 20, 10)


def _prepare(repository: Path) -> None:
    """Make the repository where there is none. DENIED where it is somebody else's."""
    with os_errors("open", str(repository)):
        if repository.exists() and repository.stat().st_uid != os.geteuid():
            why = f"it belongs to uid {repository.stat().st_uid}, not to the node's user"
            raise HoldError("open", Kind.DENIED, str(repository), why)
        if not (repository / stores.FORMAT_NAME).exists():
            stores.create(repository)


@contextlib.contextmanager
def threads() -> Iterator[Threads]:
    """The threads that one node works with."""
    with (
        ThreadPoolExecutor(_THREADS, thread_name_prefix="hold-read") as reading,
        ThreadPoolExecutor(_THREADS, thread_name_prefix="hold-write") as writing,
        ThreadPoolExecutor(len(os.sched_getaffinity(0)), thread_name_prefix="hold-hash") as hashing,
    ):
        yield Threads(reading, writing, hashing)


def listen(config: Config) -> socket.socket:
    """Open the socket. Who may call is decided by who they are, not by its mode."""
    if config.group:
        return endpoint.listen(config.socket, 0o666, 0o755)
    return endpoint.listen(config.socket, 0o600, 0o700)


async def _until_told(service: Service, listening: list[socket.socket], environment: Mapping[str, str]) -> None:
    await serve(service, listening, environment, systemd.told())


async def serve(
    service: Service, listening: list[socket.socket], environment: Mapping[str, str], stop: asyncio.Event
) -> None:
    """Answer on these sockets until stopped; what is under way then is finished."""
    runner = accepting.runner(service.app(), "commonhold.node", _BUFFER)
    await accepting.serve(runner, service.connections, listening, environment, stop)
    await service.drain(_STOP_SECONDS)
    await runner.cleanup()
