"""The tender as a process, a parts list: its directory, its wards, its socket, who is away."""

import asyncio
import os
import random
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from socket import socket
from typing import Final

from commonhold.errors import os_errors
from commonhold.grids.rounds import Setting
from commonhold.host import allocator, disk, systemd
from commonhold.host.locked import DirectoryLock
from commonhold.ipc import accepting, endpoint
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
    await serve(wards, setting, listening, threads, environment, systemd.told())


async def serve(
    wards: Wards, setting: Setting, listening: list[socket], threads: ThreadPoolExecutor,
    environment: Mapping[str, str], stop: asyncio.Event,
) -> None:  # fmt: skip
    """Answer on these sockets, and look after who is away, until stopped."""
    watch = Watch(wards, setting, time.monotonic)
    service = Service(wards, threads, watch.interrupt)
    runner = accepting.runner(service.app(), "commonhold.tender")
    await accepting.serve(runner, service.connections, listening, environment, stop, watch.run())
    await runner.cleanup()
