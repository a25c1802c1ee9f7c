"""D17: a server that listens on nothing serves whoever dials its port at a relay, and the relay reads none of it."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from commonhold.exchange.book import Book
from commonhold.transport.brought import Brought
from commonhold.transport.retrying import Pace
from tests.exchange.grids import Grid, grid, server
from tests.exchange.test_keeping import blocks, kept, read
from tests.relay.relays import behind, calling, pin, relay
from tests.transport.ends import dialled, run, seed_of, soon
from tests.transport.wire import relay as wire

ONE, TWO = seed_of(1), seed_of(2)


def test_a_client_dials_the_port_and_reaches_the_server_by_its_pin() -> None:
    async def work() -> None:
        async with relay([pin(ONE)]) as there, behind(there.address, ONE) as server:
            assert server.relayed.addresses == (str(there.door(server.pin)),)
            assert server.said == [f"reached at {there.door(server.pin)}, by a relay"]
            async with dialled(there.door(server.pin), server=server.pin) as connection:
                async with connection.request("GET", "/who") as answer:
                    assert (await answer.read(100)).decode() == str(connection.own)
                data = bytes(range(256)) * 40_000
                async with connection.request("POST", "/echo", body=data) as answer:
                    assert await answer.read(len(data)) == data
            await soon(lambda: not len(there.gate.streams))

    run(work())


def test_each_server_has_a_port_of_its_own_and_many_clients() -> None:
    async def work() -> None:
        async with (
            relay([pin(ONE), pin(TWO)]) as there, behind(there.address, ONE) as one, behind(there.address, TWO) as two,
            AsyncExitStack() as stack,
        ):  # fmt: skip
            for at in (one, two):
                open_ = [dialled(there.door(at.pin), server=at.pin) for _ in range(8)]
                clients = await asyncio.gather(*map(stack.enter_async_context, open_))
                await asyncio.gather(*(client.ping() for client in clients))
                assert len(at.visitors) == 8
            assert len(there.gate.streams) == 16

    run(work())


def test_the_relay_sees_tls_records_and_nothing_that_is_said() -> None:
    async def work() -> None:
        async with relay([pin(ONE)]) as there, behind(there.address, ONE) as server:
            async with (
                wire(there.door(server.pin)) as (at, seen), dialled(at, server=server.pin) as connection,
                connection.request("POST", "/echo", body=b"a secret of alice's") as answer,
            ):  # fmt: skip
                assert await answer.read(100) == b"a secret of alice's"
            for way in (seen[0].up, seen[0].down):
                assert b"secret" not in way and b"/echo" not in way and bytes(server.pin) not in way

    run(work())


@pytest.mark.slow
def test_a_relay_that_was_killed_comes_back_and_the_server_by_itself() -> None:
    async def work() -> None:
        async with AsyncExitStack() as life:
            there = await life.enter_async_context(relay([pin(ONE)]))
            async with behind(there.address, ONE) as server:
                before = server.relayed.addresses
                async with dialled(there.door(server.pin), server=server.pin) as connection:
                    await life.aclose()
                    await connection.lost()
                await soon(lambda: len(server.said) == 2)
                assert "is of no use now" in server.said[1]
                assert server.relayed.addresses == before  # it goes on saying where it will be again
                async with relay([pin(ONE)], like=there) as again:
                    await soon(lambda: server.pin in again.calls)
                    assert server.relayed.addresses == before
                    async with dialled(again.door(server.pin), server=server.pin) as connection:
                        await connection.ping()

    run(work())


def test_a_server_that_calls_again_takes_the_place_of_its_call_before() -> None:
    """As one does whose line has gone dead without a word."""
    once = Pace(spread=0.01, first=9999.0, longest=9999.0)

    async def work() -> None:
        async with (
            relay([pin(ONE)]) as there, behind(there.address, ONE, pace=once) as first,
            behind(there.address, ONE, pace=once) as second,
            dialled(there.door(second.pin), server=second.pin) as connection,
        ):  # fmt: skip
            await connection.ping()
            assert len(second.visitors) == 1 and not len(first.visitors)
            await soon(lambda: len(there.visitors) == 1)  # the call before is hung up on

    run(work())


def test_a_tree_is_put_and_got_by_way_of_a_relay(tmp_path: Path) -> None:
    """D17: the ordinary client and its pinned TLS, with a share at a server that nobody can dial."""
    have = blocks(1, 2_000_000, 1, 70_000)

    async def work() -> None:
        brought = Brought()
        async with grid(tmp_path, 4) as others, AsyncExitStack() as stack:
            hidden = await stack.enter_async_context(
                server(tmp_path / "hidden", stack.enter_context(ThreadPoolExecutor(4)), brought=brought)
            )
            there = await stack.enter_async_context(relay([hidden.pin]))
            await stack.enter_async_context(calling(there.address, hidden.seed, brought))
            await soon(lambda: hidden.pin in there.calls)
            hidden.hint = there.door(hidden.pin)
            every = Grid([*others.servers, hidden], others.tools, others.stops)
            client, book = every.client(), Book(tmp_path / "book.sqlite")
            try:
                await kept(every, client, book, have)
                assert hidden.files
                for number in (0, 1):  # then any three shares are those of the other two and this one
                    await others.kill(number)
                await read(every, client, have)
            finally:
                await client.close()
                book.close()

    run(work())
