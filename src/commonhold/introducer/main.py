"""The introducer as a process, a parts list: config, key, mesh, memory, announcements, way in, loop."""

import asyncio
import os
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from socket import socket
from typing import Final

import uvloop

from commonhold.crypto import sign
from commonhold.errors import HoldError
from commonhold.formats.blessing import INTRODUCER
from commonhold.formats.keys import Seed
from commonhold.formats.pin import pin_of
from commonhold.gossip.reading import Record
from commonhold.gossip.values import Config as Role
from commonhold.host import allocator
from commonhold.host.saying import say
from commonhold.introducer.config import Config
from commonhold.mesh import foreground, service
from commonhold.mesh.announcing import NUMBERS, Announcer, Notice, Numbers
from commonhold.mesh.blessings import DIRECTORY, Blessings
from commonhold.mesh.memory import FILE, Memory
from commonhold.mesh.mesh import Mesh
from commonhold.mesh.reaching import contact
from commonhold.mesh.setting import Setting, setting
from commonhold.transport import torconfig
from commonhold.transport.home import Home, Sort
from commonhold.transport.onion import Onion, published
from commonhold.transport.visitors import Limits, Visitors

_KEPT_SECONDS: Final = 30.0
_SORT: Final = Sort("an introducer", "introducer.toml", "hold introducer init")


def home(state: Path) -> Home:
    """An introducer's directory."""
    return Home(state, _SORT)


def run(config: Config, environment: Mapping[str, str]) -> None:
    """Pass announcements on until INT or TERM. BUSY if it is running already."""
    allocator.tune()
    os.umask(0o077)
    state = home(config.state)
    seed = state.key()
    with state.held("introducer run"), closing(Memory(config.state / FILE)) as memory:
        here = setting(config.introducers, config.tor.rules)
        onion = config.tor.onion(config.state)
        mesh = Mesh(_role(config, seed), here)
        memory.restore(mesh)
        announcer = _announcer(config, torconfig.addresses(config.announce, onion), seed, mesh, here)
        listening = foreground.sockets(config.listen)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_until_told(config, mesh, memory, announcer, onion, seed, listening, environment))


def _role(config: Config, seed: Seed) -> Role:
    known = tuple(map(contact, config.introducers))
    return Role(frozenset(config.grids), True, pin_of(sign.public_key(seed)), known, config.blessers)


def _announcer(config: Config, addresses: tuple[str, ...], seed: Seed, mesh: Mesh, here: Setting) -> Announcer:
    server = pin_of(sign.public_key(seed))
    blessings = Blessings(config.state / DIRECTORY, server, _warn)

    def notices() -> list[Notice]:
        now = here.time.now()
        return [
            Notice(grid, INTRODUCER, addresses, blessings.of(grid, INTRODUCER, now), config.name)
            for grid in config.grids
        ]

    numbers = Numbers(config.state / NUMBERS)
    return Announcer(mesh, seed, server, numbers, notices, here.time, here.draw, _warn)


async def _until_told(
    config: Config, mesh: Mesh, memory: Memory, announcer: Announcer, onion: Onion | None, seed: Seed,
    listening: list[socket], environment: Mapping[str, str],
) -> None:  # fmt: skip
    async with foreground.until_told(config.listen, environment) as stop, asyncio.TaskGroup() as group:
        beside = [group.create_task(work) for work in (announcer.run(), _remember(mesh, memory))]
        if onion is not None:
            beside.append(group.create_task(published(onion, _warn)))
        await service.serve(mesh, seed, listening, Visitors(Limits()), stop)
        for task in beside:
            task.cancel()
    _keep(memory, list(mesh.machine.records()))


async def _remember(mesh: Mesh, memory: Memory) -> None:
    """Keep what is known, now and then."""
    while True:
        await asyncio.sleep(_KEPT_SECONDS)
        await asyncio.to_thread(_keep, memory, list(mesh.machine.records()))


def _keep(memory: Memory, records: list[Record]) -> None:
    try:
        memory.keep(records)
    except HoldError as error:  # such as a full disk, which ends nothing: others know the same
        _warn(str(error))


def _warn(text: str) -> None:
    say("introducer", text)
