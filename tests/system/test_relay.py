"""D17: a server at home, behind a router that lets nobody in, is found, filled and read by way of a relay.

All are real processes and commands, in networks of their own; the client is one that knows an introducer.
"""

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import uvloop

from commonhold.erasure.choosing import quickest
from commonhold.erasure.values import Shape
from commonhold.exchange.book import Book
from commonhold.exchange.packing import Tools
from commonhold.formats import address, hint
from commonhold.formats.address import Address
from commonhold.formats.hint import TcpHint
from commonhold.formats.pin import SpkiPin
from commonhold.formats.statement import Kind
from commonhold.transport.dial import NotReached, dial
from commonhold.transport.rules import Rules
from tests.exchange.grids import Client, Grid, revocations
from tests.exchange.test_keeping import blocks, kept, read
from tests.gossip.statements import GRID
from tests.introducer.processes import Server, Storage, hold
from tests.introducer.test_processes import ASKS, _announcement, _bless
from tests.mesh.meshes import Meshes, Node, meshes
from tests.system.networks import HOME, ROUTER, WORLD, Network, networks
from tests.system.people import Doing

pytestmark = [pytest.mark.root, pytest.mark.slow]

_GOSSIP, _CALLS, _ANSWERS, _LAST = 7374, 7375, 7376, 7380


class _Known(NamedTuple):
    """A server as a client knows it."""

    pin: SpkiPin
    hint: TcpHint


class _There(NamedTuple):
    """All that runs: relay and introducer in the world, the server at home."""

    world: Network
    relay: Server
    server: Storage
    known: Address


@pytest.fixture
def there(tmp_path: Path) -> Iterator[_There]:
    with networks() as (world, home), ExitStack() as stack:
        where = f"tcp:{WORLD}:{_GOSSIP}"
        words = ["--grid", str(GRID), "--listen", where, "--announce", where]
        known = address.parse(hold("introducer", "init", str(tmp_path / "i"), *words).strip())
        calls = ["--listen", f"tcp:{WORLD}:{_CALLS}", "--announce", f"tcp:{WORLD}:{_CALLS}"]
        relay = hold("relay", "init", str(tmp_path / "r"), *calls, "--ports", f"{_ANSWERS}-{_LAST}").strip()
        server = Storage(tmp_path / "s", known, relay=relay)
        _admit(tmp_path / "r", server.pin)
        made = [Server("introducer", tmp_path / "i"), Server("relay", tmp_path / "r"), server]
        for one, network in zip(made, (world, world, home), strict=True):
            one.prefix = network.prefix
            one.start()
            stack.callback(one.stop)
        yield _There(world, made[1], server, known)
    left = subprocess.run(["ip", "netns"], capture_output=True, text=True, check=True).stdout
    assert f"hold-t{os.getpid()}x" not in left


def _admit(state: Path, pin: SpkiPin) -> None:
    """What a person does: name the server in the relay's config."""
    config = state / "relay.toml"
    config.write_text(config.read_text() + f'servers = ["{pin}"]\n')


def _client(there: _There, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Do something as a client in the world."""

    async def bounded() -> None:
        async with asyncio.timeout(120):
            await work()

    def run() -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(bounded())

    Doing(there.world.enter, run).result(150)


@asynccontextmanager
async def _told(there: _There) -> AsyncIterator[tuple[Meshes, Node]]:
    """Who is told by the introducer which servers there are."""
    async with meshes(begun=time.time()) as here:
        yield here, here.subscriber("client", [there.known], ASKS)


async def _found(there: _There, here: Meshes, node: Node) -> TcpHint:
    """The one address that the server announces."""
    await here.until(lambda: _announcement(node, there.server) is not None)
    said = _announcement(node, there.server)
    assert said is not None
    (text,) = said.addresses
    found = hint.parse(text)
    assert isinstance(found, TcpHint)
    return found


async def _pings(there: _There, where: TcpHint) -> None:
    """Dial until the server answers, by the key that is its own."""
    while True:
        try:
            connection = await dial(there.server.pin, [where], Rules(), os.urandom)
        except NotReached:
            await asyncio.sleep(0.2)
            continue
        await connection.ping()
        await connection.close()
        return


def test_a_server_that_nobody_can_dial_is_found_filled_and_read(there: _There, tmp_path: Path) -> None:
    """D17: no packet to the server gets through the router but answers, and what a client sees is a server like any."""
    _bless(there.server)
    have = blocks(1, 2_000_000, 1, 70_000)
    door = TcpHint(WORLD, _ANSWERS + 1)

    async def work() -> None:
        for where in (TcpHint(HOME, 22), TcpHint(ROUTER, 22)):
            with pytest.raises(NotReached):
                await dial(there.server.pin, [where], Rules(direct_seconds=0.5), os.urandom)
        async with _told(there) as (here, node):
            assert await _found(there, here, node) == door
            node.mesh.publish(Kind.REVOCATIONS, revocations(sequence=int(time.time())))
            await here.until(lambda: any((there.server.state / "revocations").glob("*.list")))
        with ThreadPoolExecutor(4) as threads:
            client = Client([_Known(there.server.pin, door)])
            grid, book = Grid([], Tools(quickest(), threads, os.urandom), []), Book(tmp_path / "book.sqlite")
            try:
                await kept(grid, client, book, have, shape=Shape(1, 1))
                await client.close()
                await read(grid, client, have)
            finally:
                await client.close()
                book.close()

    _client(there, work)
    ports = (there.relay.state / "ports").read_text()
    assert ports == f"{there.server.pin} {door.port}\n"


def test_a_relay_that_was_killed_has_the_same_port_again_and_the_server_comes_back(there: _There) -> None:
    """D17."""
    door = TcpHint(WORLD, _ANSWERS + 1)
    _client(there, lambda: _pings(there, door))
    there.relay.stop(signal.SIGKILL)
    there.relay.start()
    _client(there, lambda: _pings(there, door))
