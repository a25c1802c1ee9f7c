"""The tender as a process, a parts list: its directory, its wards, its socket, who is away."""

import asyncio
import os
import random
import signal
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from socket import socket
from typing import Final

from aiohttp import web

from commonhold.errors import os_errors
from commonhold.grids.rounds import Setting
from commonhold.host import allocator, disk, systemd
from commonhold.host.locked import DirectoryLock
from commonhold.ipc import endpoint
from commonhold.tender.service import Service
from commonhold.tender.wards import Wards
from commonhold.tender.watch import Watch

_THREADS: Final = 4


@dataclass(frozen=True, slots=True)
class Config:
    """One tender: its directory, and where it listens if the service manager gives it no socket."""

    state: Path
    socket: Path


def run(config: Config, environment: Mapping[str, str]) -> None:
    """Look after what was handed over until INT or TERM. BUSY if it is running already."""
    allocator.tune()
    os.umask(0o077)
    with os_errors("open", str(config.state)):
        disk.make_directory(config.state, 0o700)
    lock = DirectoryLock(config.state, "tender")
    try:
        setting = Setting(lambda: int(time.time()), random.SystemRandom().random, os.urandom)
        wards = Wards(config.state, setting)
        given = systemd.listening(environment, os.getpid())
        listening = given or [endpoint.listen(config.socket, 0o666, 0o755)]
        try:
            with ThreadPoolExecutor(_THREADS, thread_name_prefix="hold-wards") as threads:
                asyncio.run(_until_told(wards, setting, listening, threads, environment))
        finally:
            if not given:
                config.socket.unlink(missing_ok=True)
    finally:
        lock.release()


async def _until_told(
    wards: Wards, setting: Setting, listening: list[socket], threads: ThreadPoolExecutor, environment: Mapping[str, str]
) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await serve(wards, setting, listening, threads, environment, stop)


async def serve(
    wards: Wards, setting: Setting, listening: list[socket], threads: ThreadPoolExecutor,
    environment: Mapping[str, str], stop: asyncio.Event,
) -> None:  # fmt: skip
    """Answer on these sockets, and look after who is away, until stopped."""
    watch = Watch(wards, setting, time.monotonic)
    service = Service(wards, threads, watch.interrupt)
    runner = web.AppRunner(
        service.app(), access_log=None, handle_signals=False, shutdown_timeout=1.0, auto_decompress=False
    )
    await runner.setup()
    assert runner.server is not None
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(service.connections.accept(sock, runner.server)) for sock in listening]
        tasks.append(group.create_task(watch.run()))
        systemd.notify(environment, "READY=1")
        await stop.wait()
        systemd.notify(environment, "STOPPING=1")
        for task in tasks:
            task.cancel()
    for sock in listening:
        sock.close()
    await runner.cleanup()
