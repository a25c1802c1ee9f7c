"""Relay, introducer and storage server as processes: what the server announces is where the relay has it now."""

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from commonhold.formats import hint
from commonhold.formats.hint import TcpHint
from commonhold.transport.dial import dial
from commonhold.transport.rules import Rules
from tests.introducer.processes import Introducer, Server, Storage, free, hold
from tests.introducer.test_processes import ASKS, _announcement, _bless, run
from tests.mesh.meshes import meshes

pytestmark = pytest.mark.slow


def _free_spans(count: int) -> Iterator[int]:
    """The first of so many ports, one after the other, that nobody has now; again and again."""
    for first in range(20_000, 30_000, count):
        if all(map(_is_free, range(first, first + count))):
            yield first


def _is_free(port: int) -> bool:
    with socket.socket() as sock:
        try:
            sock.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def test_what_a_server_announces_follows_the_port_that_its_relay_grants(tmp_path: Path) -> None:
    """D17, B6: at first it has no address, and announces nothing."""
    spans, where = _free_spans(3), free()
    first = next(spans)
    words = ["--listen", where, "--announce", where, "--ports", f"{first}-{first + 2}"]
    address = hold("relay", "init", str(tmp_path / "r"), *words).strip()
    introducer, relay = Introducer(tmp_path / "i"), Server("relay", tmp_path / "r")
    server = Storage(tmp_path / "s", introducer.address, relay=address)
    _bless(server)
    config = tmp_path / "r" / "relay.toml"
    config.write_text(config.read_text() + f'servers = ["{server.pin}"]\n')

    async def work() -> None:
        async with meshes(begun=time.time()) as here:
            client = here.subscriber("client", [introducer.address], ASKS)

            def announced() -> tuple[str, ...]:
                said = _announcement(client, server)
                return () if said is None else said.addresses

            await here.until(lambda: announced() == (f"tcp:127.0.0.1:{first + 1}",))
            relay.stop()
            moved = next(spans)
            config.write_text(config.read_text().replace(f"{first}-{first + 2}", f"{moved}-{moved + 2}"))
            relay.start()
            await here.until(lambda: announced() == (f"tcp:127.0.0.1:{moved + 1}",))
            found = hint.parse(announced()[0])
            assert isinstance(found, TcpHint)
            connection = await dial(server.pin, [found], Rules(), os.urandom)
            await connection.ping()
            await connection.close()

    with contextlib.ExitStack() as stack:
        for one in (introducer, relay, server):
            one.start()
            stack.callback(one.stop)
        run(work())


def test_a_relay_stops_cleanly_with_calls_and_streams_open(tmp_path: Path) -> None:
    first, where = next(_free_spans(3)), free()
    words = ["--listen", where, "--announce", where, "--ports", f"{first}-{first + 2}"]
    address = hold("relay", "init", str(tmp_path / "r"), *words).strip()
    relay, server = Server("relay", tmp_path / "r"), Storage(tmp_path / "s", relay=address)
    config = tmp_path / "r" / "relay.toml"
    config.write_text(config.read_text() + f'servers = ["{server.pin}"]\n')

    async def work() -> None:
        connection = await dial(server.pin, [TcpHint("127.0.0.1", first + 1)], Rules(), os.urandom)
        await connection.ping()
        assert await asyncio.to_thread(relay.stop) == ""  # and its exit code is 0
        await connection.lost()
        await connection.close()

    with contextlib.ExitStack() as stack:
        for one in (relay, server):
            one.start()
            stack.callback(one.stop)
        run(work())
