"""The node as a process, a parts list: config, socket, store, threads, loop; it serves until it is told to stop."""

import asyncio
import contextlib
import os
import signal
import socket
import stat
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

import uvloop
from aiohttp import web

from commonhold.blockstore import store as stores
from commonhold.blockstore.store import Store
from commonhold.errors import HoldError, Kind, os_errors
from commonhold.host import allocator, sockets, systemd
from commonhold.host.repository import Lock
from commonhold.node import records
from commonhold.node.blocks import Threads
from commonhold.node.config import Config
from commonhold.node.records import RecordStore
from commonhold.node.service import Service

_THREADS = 8
_STOP_SECONDS = 20.0
_BACKLOG = 1024


def run(config: Config, environment: Mapping[str, str]) -> None:
    """Serve until INT or TERM; requests under way are finished first."""
    allocator.tune()
    os.umask(0o077)
    if not (config.repository / stores.FORMAT_NAME).exists():
        stores.create(config.repository)
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
    """Open the socket, in place of one whose node has gone."""
    path = str(config.socket)
    with os_errors("listen", path):
        config.socket.parent.mkdir(mode=0o755 if config.group else 0o700, parents=True, exist_ok=True)
        if config.socket.exists() and not stat.S_ISSOCK(config.socket.stat().st_mode):
            raise HoldError("listen", Kind.EXISTS, path, "there is something that is no socket")
        config.socket.unlink(missing_ok=True)  # the repository is ours by its lock, so nobody listens there
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sockets.bind(sock, config.socket)
        config.socket.chmod(0o666 if config.group else 0o600)  # who may call is decided by who they are
        sock.listen(_BACKLOG)
    return sock


async def _until_told(service: Service, listening: list[socket.socket], environment: Mapping[str, str]) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await serve(service, listening, environment, stop)


async def serve(
    service: Service, listening: list[socket.socket], environment: Mapping[str, str], stop: asyncio.Event
) -> None:
    """Answer on these sockets until stopped; what is under way then is finished."""
    runner = web.AppRunner(
        service.app(), access_log=None, handle_signals=False, shutdown_timeout=_STOP_SECONDS, read_bufsize=1 << 20
    )
    await runner.setup()
    for sock in listening:
        await web.SockSite(runner, sock, backlog=_BACKLOG).start()
    systemd.notify(environment, "READY=1")
    await stop.wait()
    systemd.notify(environment, "STOPPING=1")
    await runner.cleanup()
