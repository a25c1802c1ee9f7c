"""Servers as processes, from their configs alone, with a Tor of the test's own: how they are reached, and dial."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from commonhold.formats.announcement import Announcement
from commonhold.formats.blessing import INTRODUCER
from commonhold.formats.gossip import Subscription
from commonhold.formats.hint import TcpHint
from commonhold.host.private import PrivateDirectory
from commonhold.transport import onion, torcontrol
from commonhold.transport.torcontrol import Service
from tests.fakes.socks import SocksProxy
from tests.fakes.torcontrol import FakeTor
from tests.gossip.statements import GRID, key
from tests.introducer.processes import Introducer, Server, Storage, hold
from tests.mesh.meshes import meshes
from tests.transport.ends import run, soon

pytestmark = pytest.mark.slow

HERE = TcpHint("127.0.0.1", 1)


def service(state: Path, port: int) -> Service:
    """That of a server's directory; its key is made now if it was not."""
    return Service(onion.key(PrivateDirectory("test", state, os.geteuid()), os.urandom), port, HERE)


def told(tor: FakeTor, state: Path, port: int) -> str:
    """Have a server be told of a Tor, by its config; the key as Tor will be sent it."""
    seed = service(state, port).seed
    expanded = torcontrol._expanded(seed)
    tor.names[expanded] = service(state, port).hint.host.removesuffix(".onion")
    [config] = state.glob("*.toml")
    lines = f'[onion]\ncontrol = "{tor.control}"\ncookie = "{tor.cookie}"\nport = {port}\n'
    config.write_text(f"{config.read_text()}\n{lines}")
    return expanded


@asynccontextmanager
async def started(*servers: Server) -> AsyncIterator[None]:
    """Servers, while the block runs, whatever they say."""
    try:
        for one in servers:
            await asyncio.to_thread(one.start)
        yield
    finally:
        for one in servers:
            await asyncio.to_thread(one.stop)


def test_servers_are_published_for_as_long_as_they_run_and_again_when_tor_comes_back(tmp_path: Path) -> None:
    tor = FakeTor(tmp_path)
    storage, introducer = Storage(tmp_path / "s"), Introducer(tmp_path / "i")
    ports = {
        told(tor, storage.state, 7373): storage.where,
        told(tor, introducer.state, 7374): introducer.address.hints[0],
    }
    wanted = {
        expanded: f"{port},{str(where).removeprefix('tcp:')}"
        for (expanded, where), port in zip(ports.items(), (7373, 7374), strict=True)
    }

    async def work() -> None:
        async with started(storage, introducer):  # before there is a Tor
            for _ in range(2):
                async with tor.running():
                    await soon(lambda: tor.services == wanted)
                Path(tor.control.path).unlink()
            async with tor.running():
                await soon(lambda: tor.services == wanted)
                await asyncio.to_thread(storage.stop)
                await soon(lambda: len(tor.services) == 1)
                await asyncio.to_thread(introducer.stop)
                await soon(lambda: not tor.services)

    run(work())
    name = str(service(introducer.state, 7374).hint)
    assert hold("introducer", "show", str(introducer.state)).strip() == f"{introducer.address},{name}"


def test_an_introducer_behind_an_onion_address_announces_it_and_is_reached_there(tmp_path: Path) -> None:
    """A storage server knows it by that address alone, and comes by the proxy that its config names."""
    tor = FakeTor(tmp_path)
    introducer = Introducer(tmp_path / "i")
    told(tor, introducer.state, 7374)
    name = service(introducer.state, 7374).hint
    asks = (Subscription(GRID, INTRODUCER, frozenset((key("blesser"),))),)

    [near] = introducer.address.hints
    assert isinstance(near, TcpHint)

    async def work() -> None:
        proxy = SocksProxy(lambda asked: near if asked.host == name.host else None)
        async with tor.running(), proxy.listening() as where:
            storage = Storage(tmp_path / "s", type(introducer.address)(introducer.address.server, (name,)))
            config = storage.state / "server.toml"
            config.write_text(f'{config.read_text()}tor = "{where}"\n')
            async with started(introducer, storage), meshes(begun=time.time()) as here:
                client = here.subscriber("client", [introducer.address], asks)

                def announced() -> dict[object, tuple[str, ...]]:
                    records = client.mesh.machine.records()
                    return {
                        one.said.server: one.said.addresses for one in records if isinstance(one.said, Announcement)
                    }

                await here.until(lambda: introducer.address.server in announced())
                assert announced()[introducer.address.server] == (*map(str, introducer.address.hints), str(name))
                await soon(lambda: bool(proxy.asked))
                await here.stop(client)
        assert {(one.host, one.port) for one in proxy.asked} == {(name.host, 7374)}
        assert all(one.login for one in proxy.asked)

    run(work())


def test_a_server_that_would_tell_where_it_is_does_not_start(tmp_path: Path) -> None:
    storage = Storage(tmp_path / "s")
    config = storage.state / "server.toml"
    config.write_text(f'{config.read_text()}anonymous = true\ntor = "tcp:127.0.0.1:9050"\n')
    said = hold("server", "run", str(storage.state), code=15)
    assert "announce: it is to be anonymous" in said and "try: announce nothing" in said and str(config) in said


def test_a_server_that_is_to_be_anonymous_meets_its_blesser_by_tor_too(tmp_path: Path) -> None:
    storage = Storage(tmp_path / "s")
    config = storage.state / "server.toml"
    code = "7-quiet-harbour-lantern@192.0.2.1"

    async def work() -> None:
        proxy = SocksProxy(lambda asked: None)
        async with proxy.listening() as where:
            hidden = [line for line in config.read_text().splitlines() if not line.startswith("announce")]
            config.write_text("\n".join([*hidden, "anonymous = true", f'tor = "{where}"']))
            for more in ((), ("--tor", "tcp:127.0.0.1:1")):
                await asyncio.to_thread(hold, "join", code, "--server", str(storage.state), *more, code=11)
        assert [(one.host, one.port) for one in proxy.asked] == [(bytes((192, 0, 2, 1)), 4653)] * 2

    run(work())
