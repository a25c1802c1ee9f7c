"""A wire hands on what comes, or nothing, or slowly, as its file says."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from commonhold.formats.malformed import Malformed
from commonhold.lab.processes import free_ports
from commonhold.lab.wire import LOOK_SECONDS, State, Wire, parse


@pytest.mark.parametrize("state", [State(), State(cut=True), State(False, 1000, 0.25)])
def test_a_state_is_read_as_it_was_written(state: State) -> None:
    assert parse(state.text) == state


@pytest.mark.parametrize("text", ["", "shut", "slow", "slow 0 5", "slow -1 5", "slow 5", "open cut", "slow ٣ 5"])
def test_what_is_no_state_is_refused(text: str) -> None:
    with pytest.raises(Malformed):
        parse(text)


def test_states_add_up() -> None:
    assert State(False, 10, 0.5).over(State(False, 20, 0.25)) == State(False, 10, 0.75)
    assert State().over(State(cut=True)).cut and State(cut=True).over(State()).cut
    assert State().over(State()) == State()


def through(told: Path, work: Callable[[int], Awaitable[None]], *also: Path) -> None:
    """Run something at the port of a wire, at whose other end is an echo."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(4096):
            writer.write(data)
        writer.close()

    async def run() -> None:
        port, to = free_ports(2, 7)
        server = await asyncio.start_server(echo, "127.0.0.1", to)
        wire = asyncio.create_task(Wire([told, *also], port, to).run())
        await asyncio.sleep(0.05)
        try:
            await work(port)
        finally:
            wire.cancel()
            await asyncio.wait([wire])
            server.close()

    asyncio.run(run())


async def said(port: int, data: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(data)
        return await reader.readexactly(len(data))
    finally:
        writer.close()


def test_an_open_wire_hands_on_both_ways(tmp_path: Path) -> None:
    told = tmp_path / "wire"
    told.write_text("open\n")

    async def work(port: int) -> None:
        assert await said(port, b"hello") == b"hello"

    through(told, work)


def test_a_cut_wire_ends_what_goes_through_it_and_lets_nothing_new_in(tmp_path: Path) -> None:
    told = tmp_path / "wire"
    told.write_text("open\n")

    async def work(port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        told.write_text("cut\n")
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await asyncio.wait_for(reader.readexactly(1), 60)
        writer.close()
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await said(port, b"hello")

    through(told, work)


def test_a_slow_wire_takes_its_time(tmp_path: Path) -> None:
    told = tmp_path / "wire"
    told.write_text("slow 1000000 100\n")

    async def work(port: int) -> None:
        began = time.monotonic()
        assert await said(port, b"hello") == b"hello"
        assert time.monotonic() - began >= 0.2

    through(told, work)


def test_a_line_that_is_cut_by_either_of_its_files_is_cut(tmp_path: Path) -> None:
    everybodys, own = tmp_path / "wire", tmp_path / "wire.alice"
    everybodys.write_text("open\n")
    own.write_text("open\n")

    async def work(port: int) -> None:
        assert await said(port, b"hello") == b"hello"
        for path in (own, everybodys):
            path.write_text("cut\n")
            await asyncio.sleep(3 * LOOK_SECONDS)
            with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                await said(port, b"hello")
            path.write_text("open\n")
            await asyncio.sleep(3 * LOOK_SECONDS)
        assert await said(port, b"hello") == b"hello"

    through(everybodys, work, own)
