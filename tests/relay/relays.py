"""A relay on loopback, servers behind it that listen on nothing, all in one loop: real sockets and real TLS.

The waits of servers are short, the limits are the test's.
"""

import asyncio
import os
import random
import socket
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from commonhold.crypto import sign
from commonhold.formats.address import Address
from commonhold.formats.hint import TcpHint
from commonhold.formats.keys import Seed
from commonhold.formats.pin import SpkiPin, pin_of
from commonhold.mesh.reaching import Reaching
from commonhold.mesh.relayed import PATH, Relayed
from commonhold.mesh.service import app
from commonhold.mesh.setting import Setting
from commonhold.relay.calls import Calls
from commonhold.relay.gate import Gate
from commonhold.relay.streams import Limits
from commonhold.transport import listen
from commonhold.transport.brought import Brought
from commonhold.transport.kept import Time
from commonhold.transport.retrying import Pace
from commonhold.transport.rules import Rules
from commonhold.transport.visitors import Visitors
from tests.transport.ends import echoing, seed_of, soon

RELAY = seed_of(7)
QUICK = Pace(spread=0.01, first=0.02, longest=0.1)


def setting() -> Setting:
    return Setting(Rules(), Time(time.time, asyncio.sleep), os.urandom, random.random, Reaching(()), 0.0)


def pin(seed: Seed) -> SpkiPin:
    return pin_of(sign.public_key(seed))


def at(sock: socket.socket) -> TcpHint:
    """Where a socket of `bind` listens."""
    return TcpHint(*sock.getsockname()[:2])


@dataclass
class Relay:
    """One that runs, and where."""

    hint: TcpHint  # where it takes calls
    calls: Calls
    gate: Gate
    ports: dict[SpkiPin, int]
    answers: TcpHint
    seed: Seed
    visitors: Visitors

    @property
    def address(self) -> Address:
        return Address(pin(self.seed), (self.hint,))

    def door(self, server: SpkiPin) -> TcpHint:
        """Where a server's clients come."""
        return TcpHint("127.0.0.1", self.ports[server])


@asynccontextmanager
async def relay(
    servers: Sequence[SpkiPin], limits: Limits | None = None, like: Relay | None = None, seed: Seed = RELAY,
    draw: Callable[[int], bytes] = os.urandom,
) -> AsyncIterator[Relay]:  # fmt: skip
    """A relay that admits these; at the ports of one that has ended, if it is `like` that."""
    limits, here = limits or Limits(), setting()
    control = listen.bind("127.0.0.1", like.hint.port if like else 0)
    answers = listen.bind("127.0.0.1", like.answers.port if like else 0)
    doors = {listen.bind("127.0.0.1", like.ports[one] if like else 0): one for one in servers}
    ports = {one: at(sock).port for sock, one in doors.items()}
    where = at(answers)
    calls = Calls(pin(seed), ports, where.port, here, limits.call_seconds)
    gate = Gate(calls, doors, [answers], limits, here.time, draw)
    visitors, stop = Visitors(), asyncio.Event()
    made = Relay(at(control), calls, gate, ports, where, seed, visitors)
    running = asyncio.create_task(gate.run())
    serving = asyncio.create_task(listen.serve(app(PATH, calls.attend), seed, [control], visitors, stop))
    try:
        yield made
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        stop.set()
        await serving


@dataclass
class Behind:
    """A server that listens on nothing."""

    seed: Seed
    visitors: Visitors
    relayed: Relayed
    said: list[str]

    @property
    def pin(self) -> SpkiPin:
        return pin(self.seed)


@asynccontextmanager
async def behind(where: Address, seed: Seed, *, wait: bool = True, pace: Pace = QUICK) -> AsyncIterator[Behind]:
    """A server that calls a relay; it has its port, unless one does not wait for that."""
    brought, visitors, stop = Brought(), Visitors(), asyncio.Event()
    serving = asyncio.create_task(listen.serve(echoing(), seed, [], visitors, stop, brought))
    try:
        async with calling(where, seed, brought, pace) as (relayed, said):
            if wait:
                await soon(lambda: bool(relayed.addresses))
            yield Behind(seed, visitors, relayed, said)
    finally:
        stop.set()
        await serving


@asynccontextmanager
async def calling(
    where: Address, seed: Seed, brought: Brought, pace: Pace = QUICK
) -> AsyncIterator[tuple[Relayed, list[str]]]:
    """A server's call, and what it had to say."""
    said: list[str] = []
    relayed = Relayed(where, seed, brought, setting(), said.append, pace)
    running = asyncio.create_task(relayed.run())
    try:
        yield relayed, said
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def connected(hint: TcpHint) -> socket.socket:
    """A plain socket there."""
    sock = socket.socket()
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, (hint.host, hint.port))
    return sock


async def ended(sock: socket.socket) -> bool:
    """Whether the other end has hung up, and said nothing; waits for that."""
    with sock:
        try:
            return await asyncio.get_running_loop().sock_recv(sock, 1) == b""
        except ConnectionError:
            return True
