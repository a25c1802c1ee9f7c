"""The relay as a process, a parts list: config, key, ports, calls, gate, loop."""

import asyncio
import os
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from socket import socket
from typing import Final

import uvloop

from commonhold.crypto import sign
from commonhold.formats.keys import Seed
from commonhold.formats.pin import SpkiPin, pin_of
from commonhold.host import allocator
from commonhold.mesh import foreground
from commonhold.mesh.relayed import PATH
from commonhold.mesh.service import app
from commonhold.mesh.setting import setting
from commonhold.relay import ports
from commonhold.relay.calls import Calls
from commonhold.relay.config import Config
from commonhold.relay.gate import Gate
from commonhold.relay.streams import Limits
from commonhold.transport import listen
from commonhold.transport.home import Home, Sort
from commonhold.transport.rules import Rules
from commonhold.transport.visitors import Limits as Bearable
from commonhold.transport.visitors import Visitors

_SORT: Final = Sort("a relay", "relay.toml", "hold relay init")


def home(state: Path) -> Home:
    """A relay's directory."""
    return Home(state, _SORT)


def assigned(config: Config) -> dict[SpkiPin, int]:
    """Every server's port, also of those that are admitted no more."""
    return ports.assigned(ports.load(config.state), config.servers, config.granted)


def run(config: Config, environment: Mapping[str, str]) -> None:
    """Hand on until INT or TERM. BUSY if it is running already."""
    allocator.tune()
    os.umask(0o077)
    state = home(config.state)
    seed = state.key()
    with state.held("relay run"), ExitStack() as opened:
        every = assigned(config)
        ports.keep(config.state, every)
        own = {server: every[server] for server in config.servers}
        here, limits = setting((), Rules()), Limits()
        calls = Calls(pin_of(sign.public_key(seed)), own, config.answers, here, limits.call_seconds)
        doors = {sock: server for server, port in own.items() for sock in _opened(config, port, opened)}
        gate = Gate(calls, doors, _opened(config, config.answers, opened), limits, here.time, here.randomness)
        listening = foreground.sockets(config.listen)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_until_told(config, calls, gate, seed, listening, environment))


def _opened(config: Config, port: int, opened: ExitStack) -> list[socket]:
    """Sockets at a port, at each address where the relay listens."""
    return [opened.enter_context(listen.bind(one.host, port)) for one in config.listen]


async def _until_told(
    config: Config, calls: Calls, gate: Gate, seed: Seed, listening: list[socket], environment: Mapping[str, str]
) -> None:
    async with foreground.until_told(config.listen, environment) as stop, asyncio.TaskGroup() as group:
        handing = group.create_task(gate.run())
        group.create_task(listen.serve(app(PATH, calls.attend), seed, listening, Visitors(Bearable()), stop))
        await stop.wait()
        handing.cancel()
        calls.end()
