"""A storage server behind an onion address, and its clients, over a real Tor network on loopback."""

import asyncio
import contextlib
import hashlib
import os
import re
import shutil
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import pytest
import uvloop

from commonhold.errors import HoldError, Kind
from commonhold.exchange.server import StorageServer
from commonhold.formats.hint import Hint, TcpHint, TorHint
from commonhold.formats.keys import Seed, decode_pem
from commonhold.formats.pin import parse_pin
from commonhold.formats.shareindex import ShareIndex
from commonhold.host.private import PrivateDirectory
from commonhold.transport import onion
from commonhold.transport.connection import Connection
from commonhold.transport.dial import Attempt, NotReached, dial
from commonhold.transport.kept import Time
from commonhold.transport.onion import Control, Onion
from commonhold.transport.retrying import Retry
from commonhold.transport.rules import Rules, Way
from commonhold.transport.torcontrol import Service
from tests.exchange.grids import DAY, GRID, Client, Server, now, revocations, server
from tests.introducer.processes import Server as Process
from tests.introducer.processes import free, hold
from tests.system.tor import Network, network
from tests.transport.ends import OTHER, numbers
from tests.transport.wire import ALERT, HANDSHAKE, Relayed, relay
from tests.waiting import SECONDS

pytestmark = [pytest.mark.slow, pytest.mark.skipif(shutil.which("tor") is None, reason="no tor here")]

T = TypeVar("T")
_TRY_SECONDS = 20.0  # of one dial: where a service comes and goes, Tor may leave one without an answer
_CLOCK = Time(time.monotonic, asyncio.sleep)


@dataclass
class House:
    """A server that is published; `seen` is what came to it, by whichever way."""

    runner: asyncio.Runner
    tor: Network
    server: Server
    near: TcpHint  # the server's address, for who may dial directly
    seen: list[Relayed]
    hint: TorHint

    def run(self, work: Coroutine[Any, Any, T], seconds: float = 120.0) -> T:
        return self.runner.run(asyncio.wait_for(work, seconds))

    @property
    def anonymous(self) -> Rules:
        return Rules(anonymous=True, tor=self.tor.near.socks)

    @contextlib.asynccontextmanager
    async def dialled(
        self, hint: Hint, rules: Rules, draw: Callable[[int], bytes] = os.urandom
    ) -> AsyncIterator[Connection]:
        connection = await dial(self.server.pin, [hint], rules, draw)
        try:
            yield connection
        finally:
            await connection.close()


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    state = tmp_path_factory.mktemp("tor")
    with (
        network() as tor,
        ThreadPoolExecutor(4) as threads,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        stack = contextlib.AsyncExitStack()
        try:
            yield runner.run(_open_house(runner, tor, state, threads, stack))
        finally:
            runner.run(stack.aclose())


async def _open_house(
    runner: asyncio.Runner, tor: Network, state: Path, threads: ThreadPoolExecutor, stack: contextlib.AsyncExitStack
) -> House:
    there = await stack.enter_async_context(server(state / "server", threads))
    near, seen = await stack.enter_async_context(relay(there.hint))
    seed = onion.key(PrivateDirectory("test", state / "onion", os.geteuid()), os.urandom)
    await stack.enter_async_context(published(tor, Service(seed, 4321, near)))
    house = House(runner, tor, there, near, seen, Service(seed, 4321, near).hint)
    await reached(house, house.hint)
    return house


@contextlib.asynccontextmanager
async def published(tor: Network, service: Service) -> AsyncIterator[list[HoldError | None]]:
    """Have a service kept at the far Tor; what is told of it."""
    told: list[HoldError | None] = []
    control = Control(tor.far.control, tor.far.cookie)
    keeping = asyncio.create_task(
        Onion(control, service, os.urandom).keep(Retry(onion.PACE, lambda: 0.0), _CLOCK, told.append)
    )
    try:
        yield told
    finally:
        keeping.cancel()
        await asyncio.wait([keeping])


async def reached(house: House, hint: TorHint) -> None:
    """Wait until an onion address leads to the server: its descriptor takes some seconds to get around."""
    begun = time.monotonic()
    while True:
        try:
            async with house.dialled(hint, replace(house.anonymous, proxied_seconds=_TRY_SECONDS)) as connection:
                return await connection.ping()
        except NotReached:
            if time.monotonic() - begun > SECONDS:
                raise
            await asyncio.sleep(0.5)


class Stream(NamedTuple):
    circuit: str
    login: str


def streams(house: House, hint: TorHint | TcpHint) -> set[tuple[str, Stream]]:
    """The streams that the near Tor has to an address now, by their numbers."""
    logins = {}
    for line in house.tor.near.ask("GETINFO circuit-status"):
        login = re.search(r'(\d+) BUILT .*SOCKS_USERNAME="([^"]*)" SOCKS_PASSWORD="([^"]*)"', line)
        if login:
            logins[login[1]] = f"{login[2]}:{login[3]}"
    found = set()
    for line in house.tor.near.ask("GETINFO stream-status"):
        stream = re.search(r"(\d+) SUCCEEDED (\d+) (\S+)", line)
        if stream and stream[3] == f"{hint.host}:{hint.port}":
            found.add((stream[1], Stream(stream[2], logins[stream[2]])))
    return found


async def added(house: House, before: set[tuple[str, Stream]], count: int) -> list[Stream]:
    """The streams to the server that were not there before, once there are so many."""
    while len(found := streams(house, house.hint) - before) < count:
        await asyncio.sleep(0.1)
    return [stream for _, stream in found]


def test_a_share_is_put_and_read_back_through_an_onion_address(house: House) -> None:
    share, index = os.urandom(3 << 20), ShareIndex(os.urandom(32))
    badge = Client([house.server]).badge(house.server.pin)

    async def whole(start: int) -> AsyncIterator[bytes]:
        yield share[start:]

    async def work() -> None:
        async with house.dialled(house.hint, house.anonymous) as connection:
            there = StorageServer(connection, badge, now)
            assert await there.begin(index, len(share), now() + DAY) == 0
            assert await there.append(index, 0, whole(0), len(share)) == len(share)
            await there.finish(index, hashlib.sha256(share).digest())
        async with house.dialled(house.hint, house.anonymous) as connection:
            reader = StorageServer(connection, None, now)
            assert await reader.find([index]) == [len(share)]
            back = bytearray(len(share))
            await reader.read(index, 0, memoryview(back))
            assert back == share

    house.run(work())
    assert len(house.server.files) == 1
    assert share[:64] not in b"".join(bytes(one.up + one.down) for one in house.seen)


def test_a_server_that_has_but_its_config_is_reached_and_read_by_who_is_anonymous(house: House, tmp_path: Path) -> None:
    """It listens to loopback alone, announces nothing else, and would dial others by Tor."""
    state, share, index = tmp_path / "family", os.urandom(1 << 20), ShareIndex(os.urandom(32))
    where = free()
    pin = parse_pin(hold("server", "init", str(state), "--grid", str(GRID), "--listen", where).split()[-1])
    tor = house.tor.far
    lines = f"""anonymous = true
tor = "{tor.socks}"
[onion]
control = "{tor.control}"
cookie = "{tor.cookie}"
port = 80
"""
    (state / "server.toml").write_text((state / "server.toml").read_text() + lines)
    (state / "revocations").mkdir(mode=0o700)
    (state / "revocations" / "fresh.list").write_bytes(revocations())
    server = Process("server", state)
    server.start()
    seed = onion.key(PrivateDirectory("test", state, os.geteuid()), os.urandom)
    there = replace(house, server=replace(house.server, seed=decode_pem((state / "server.pem").read_bytes()).seed))
    assert there.server.pin == pin
    badge = Client([]).badge(pin)
    name = Service(seed, 80, house.near).hint

    async def whole(start: int) -> AsyncIterator[bytes]:
        yield share[start:]

    async def work() -> None:
        await reached(there, name)
        async with there.dialled(name, there.anonymous) as connection:
            writer = StorageServer(connection, badge, now)
            assert await writer.begin(index, len(share), now() + DAY) == 0
            assert await writer.append(index, 0, whole(0), len(share)) == len(share)
            await writer.finish(index, hashlib.sha256(share).digest())
        async with there.dialled(name, there.anonymous) as connection:
            reader = StorageServer(connection, None, now)
            assert await reader.find([index]) == [len(share)]
            back = bytearray(len(share))
            await reader.read(index, 0, memoryview(back))
            assert back == share

    try:
        house.run(work(), 3 * SECONDS)
    finally:
        said = server.stop()
    assert said == f"server: published at {name}\n"


def test_ten_connections_go_by_ten_circuits(house: House) -> None:
    async def work() -> None:
        before = streams(house, house.hint)
        async with contextlib.AsyncExitStack() as stack:
            for _ in range(10):
                await stack.enter_async_context(house.dialled(house.hint, house.anonymous))
            found = await added(house, before, 10)
            assert len(found) == len({one.circuit for one in found}) == len({one.login for one in found}) == 10

    house.run(work())


def test_all_sockets_of_one_connection_go_by_one_circuit(house: House) -> None:
    async def work() -> None:
        before = streams(house, house.hint)
        async with house.dialled(house.hint, house.anonymous) as connection:
            await asyncio.gather(*(connection.ping() for _ in range(4)))
            found = await added(house, before, 4)
            assert len(found) == 4 and len(set(found)) == 1

    house.run(work())


def test_what_keeps_circuits_apart_is_the_login(house: House) -> None:
    """Two connections with one login, such as `dial` never makes of real randomness: so the count of circuits tells."""

    async def work() -> None:
        before = streams(house, house.hint)
        async with contextlib.AsyncExitStack() as stack:
            for draw in (numbers(7), numbers(7)):
                await stack.enter_async_context(house.dialled(house.hint, house.anonymous, draw))
            found = await added(house, before, 2)
            assert len(found) == 2 and len(set(found)) == 1

    house.run(work())


def test_whoever_has_another_key_at_the_right_onion_address_gets_nothing(house: House) -> None:
    async def work() -> None:
        count = len(house.seen)
        with pytest.raises(NotReached) as caught:
            await dial(OTHER, [house.hint], house.anonymous, os.urandom)
        assert [(one.kind, one.why) for one in caught.value.attempts] == [
            (Kind.DENIED, f"it has another key: {house.server.pin}")
        ]
        [relayed] = house.seen[count:]
        assert [record for record in relayed.sent() if record != ALERT] == [HANDSHAKE]  # its ClientHello

    house.run(work())


def test_an_onion_address_that_nobody_has_is_not_reached_and_that_is_said_at_once(house: House) -> None:
    dead = Service(Seed(os.urandom(32)), 4321, house.near).hint

    async def work() -> None:
        begun = time.monotonic()
        with pytest.raises(NotReached) as caught:
            await dial(house.server.pin, [dead], house.anonymous, os.urandom)
        assert time.monotonic() - begun < _TRY_SECONDS
        assert caught.value.attempts == (
            Attempt(dead, Kind.UNREACHABLE, "the proxy says: the onion service is not known"),
        )

    house.run(work())


def test_an_address_whose_server_has_gone_is_waited_for_no_longer_than_the_rules_say_and_is_back_with_it(
    house: House,
) -> None:
    service = Service(Seed(os.urandom(32)), 80, house.near)

    async def work() -> None:
        for _ in range(2):
            async with published(house.tor, service) as told:
                await reached(house, service.hint)
                assert told == [None]
            begun = time.monotonic()
            with pytest.raises(NotReached) as caught:
                await dial(house.server.pin, [service.hint], replace(house.anonymous, proxied_seconds=4), os.urandom)
            assert time.monotonic() - begun < 30
            assert [(one.hint, one.kind) for one in caught.value.attempts] == [(service.hint, Kind.UNREACHABLE)]

    house.run(work(), 3 * SECONDS)


def test_a_direct_address_is_not_dialled_by_who_is_anonymous_though_tor_is_there(house: House) -> None:
    async def work() -> None:
        count = len(house.seen)
        with pytest.raises(NotReached) as caught:
            await dial(house.server.pin, [house.near], house.anonymous, os.urandom)
        assert caught.value.kind is Kind.ANONYMITY
        assert len(house.seen) == count

    house.run(work())


def test_a_direct_address_is_reached_through_an_exit_where_the_rules_say_so(house: House) -> None:
    async def work() -> None:
        async with contextlib.AsyncExitStack() as stack:
            for _ in range(3):
                connection = await stack.enter_async_context(
                    house.dialled(house.near, replace(house.anonymous, tcp=Way.TOR))
                )
                await connection.ping()
            found = {stream for _, stream in streams(house, house.near)}
            assert len(found) == len({one.circuit for one in found}) == len({one.login for one in found}) == 3

    house.run(work())
