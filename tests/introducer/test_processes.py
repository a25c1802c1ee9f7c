"""Introducers and a storage server as processes: they find each other, tell who asks, and outlive kill -9."""

import asyncio
import os
import signal
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
import uvloop

from commonhold.crypto.statements import signed
from commonhold.formats.announcement import Announcement
from commonhold.formats.blessing import STORAGE, Blessing
from commonhold.formats.gossip import Id, Subscription
from commonhold.formats.revocations import Revocations
from commonhold.formats.statement import Kind
from tests.gossip.statements import DAY, GRID, announced, key, seed
from tests.introducer.processes import Introducer, Storage, own_address, running
from tests.mesh.meshes import Meshes, Node, meshes
from tests.waiting import SECONDS

ASKS = (Subscription(GRID, STORAGE, frozenset((key("blesser"),))),)

pytestmark = pytest.mark.slow


def run(work: Coroutine[Any, Any, None]) -> None:
    """Run it on the daemons' loop."""

    async def bounded() -> None:
        async with asyncio.timeout(SECONDS):
            await work

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(bounded())


def _publish(here: Meshes, node: Node, number: int = 0) -> Id:
    now = int(here.clock.now())
    data = announced("server", now + number, until=now + DAY)
    node.mesh.publish(Kind.ANNOUNCEMENT, data)
    return here.reader.read(Kind.ANNOUNCEMENT, data).id


def test_three_introducers_and_a_subscriber_agree(tmp_path: Path) -> None:
    """B1, B9, B14, B25."""
    first = Introducer(tmp_path / "i0")
    others = [Introducer(tmp_path / f"i{number}", first.address) for number in (1, 2)]

    async def work() -> None:
        async with meshes(begun=time.time()) as here:
            server = here.subscriber("server", [others[0].address])
            client = here.subscriber("client", [others[1].address], ASKS)
            found = _publish(here, server)
            await here.until(lambda: client.has(found) and len(client.mesh.machine) == 4)

    with running(first, *others):
        run(work())


def test_one_address_leads_to_five_and_the_first_is_needed_no_more(tmp_path: Path) -> None:
    host = own_address()
    if host is None:
        pytest.skip("this machine has no address but loopback, which no announcement may name")
    first = Introducer(tmp_path / "i0", host=host)
    others = [Introducer(tmp_path / f"i{number}", first.address, host=host) for number in range(1, 5)]

    async def work() -> None:
        async with meshes(begun=time.time()) as here:
            client = here.subscriber("client", [others[3].address], ASKS)
            server = here.subscriber("server", [others[0].address])
            await here.until(lambda: len(client.mesh.machine) == 5 and len(client.mesh.shown()) == 3)
            first.stop(signal.SIGKILL)
            found = _publish(here, server)
            await here.until(lambda: client.has(found))

    with running(first, *others):
        run(work())


def test_one_that_was_killed_catches_up(tmp_path: Path) -> None:
    first = Introducer(tmp_path / "i0")
    second = Introducer(tmp_path / "i1", first.address)

    async def work() -> None:
        async with meshes(begun=time.time()) as here:
            server = here.subscriber("server", [first.address])
            early = here.subscriber("early", [second.address], ASKS)
            before = _publish(here, server)
            await here.until(lambda: early.has(before))
            second.stop(signal.SIGKILL)
            found = _publish(here, server, 1)
            second.start()
            late = here.subscriber("late", [second.address], ASKS, outbound=1)
            await here.until(lambda: late.has(found))

    with running(first, second):
        run(work())


def test_one_that_was_stopped_is_not_empty_when_it_comes_back(tmp_path: Path) -> None:
    only = Introducer(tmp_path / "i0")
    found: list[Id] = []

    async def before() -> None:
        async with meshes(begun=time.time()) as here:
            server = here.subscriber("server", [only.address])
            client = here.subscriber("client", [only.address], ASKS)
            found.append(_publish(here, server))
            await here.until(lambda: client.has(found[0]))

    async def after() -> None:
        async with meshes(begun=time.time()) as here:
            client = here.subscriber("client", [only.address], ASKS)
            await here.until(lambda: client.has(found[0]))

    for part in (before, after):
        with running(only):
            run(part())


def _bless(server: Storage) -> None:
    now = int(time.time())
    said = Blessing(GRID, STORAGE, server.pin, ("home",), now - 10, now + DAY, 7)
    directory = server.state / "blessings"
    directory.mkdir(exist_ok=True)
    (directory / ".new").write_bytes(signed(Kind.BLESSING, said.body, seed("blesser")).encoded)
    os.replace(directory / ".new", directory / "blesser.bless")


def _announcement(node: Node, server: Storage) -> Announcement | None:
    for record in node.mesh.machine.records():
        if isinstance(record.said, Announcement) and record.said.server == server.pin:
            return record.said
    return None


def test_a_storage_server_is_found_once_it_is_blessed_and_hears_what_is_taken_back(tmp_path: Path) -> None:
    first = Introducer(tmp_path / "i0")
    server = Storage(tmp_path / "attic", first.address)
    lists = server.state / "revocations"

    async def work() -> None:
        async with meshes(begun=time.time()) as here:
            client = here.subscriber("client", [first.address], ASKS)
            await here.until(lambda: len(client.mesh.machine) == 1)
            assert _announcement(client, server) is None  # nobody asks for who is not blessed
            _bless(server)
            await here.until(lambda: _announcement(client, server) is not None)
            said = _announcement(client, server)
            assert said is not None and said.addresses == (server.where,)
            assert (said.name, len(said.blessings)) == ("attic", 1)
            data = _revoked(5, 7)
            client.mesh.publish(Kind.REVOCATIONS, data)
            await here.until(lambda: _files(lists) == [data])
            server.stop(signal.SIGKILL)
            sequence = said.sequence
            server.start()
            await here.until(_newer(client, server, sequence))
            assert _files(lists) == [data]

    with running(first, server):
        run(work())


def _revoked(*serials: int) -> bytes:
    now = int(time.time())
    said = Revocations(GRID, now, now - 10, now + DAY, serials)
    return signed(Kind.REVOCATIONS, said.body, seed("blesser")).encoded


def _newer(node: Node, server: Storage, sequence: int) -> Callable[[], bool]:
    def holds() -> bool:
        said = _announcement(node, server)
        return said is not None and said.sequence > sequence

    return holds


def _files(directory: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted(directory.glob("*.list"))]
