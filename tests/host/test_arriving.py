"""Who connects is taken in, or hung up on, whenever that is given up."""

import asyncio
import resource
import socket
import time
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import uvloop

from commonhold.host import arriving
from tests.opened import all_closed

TURNS = range(6)  # of the loop; what is looked at here takes fewer


@contextmanager
def listening() -> Iterator[socket.socket]:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        yield sock


def run(work: Coroutine[Any, Any, None]) -> None:
    """Run it on the daemons' loop. It closes what it opens."""
    with all_closed(), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(work)


async def first(door: socket.socket) -> socket.socket:
    """The first to connect."""
    async for sock in arriving.arrivals(door):
        return sock
    raise AssertionError("it has an end")


async def turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def hung_up(caller: socket.socket) -> bool:
    """Whether the other end has gone; it sends nothing here."""
    caller.settimeout(5)
    try:
        return caller.recv(1) == b""
    except ConnectionResetError:
        return True


def test_whoever_connects_arrives_in_their_order_and_does_not_block() -> None:
    async def work(door: socket.socket) -> None:
        callers = [socket.create_connection(door.getsockname()) for _ in range(3)]
        coming = arriving.arrivals(door)
        try:
            for caller in callers:
                with await anext(coming) as sock:
                    assert sock.getpeername() == caller.getsockname()
                    with pytest.raises(BlockingIOError):
                        sock.recv(1)
        finally:
            await coming.aclose()  # type: ignore[attr-defined]
            for caller in callers:
                caller.close()

    with listening() as door:
        run(work(door))


def test_who_has_left_again_keeps_nobody_else_out() -> None:
    async def work(door: socket.socket) -> None:
        socket.create_connection(door.getsockname()).close()
        with socket.create_connection(door.getsockname()) as caller:
            async for sock in arriving.arrivals(door):
                with sock:
                    if sock.getpeername() == caller.getsockname():
                        return

    with listening() as door:
        run(work(door))


def test_while_the_machine_has_no_descriptors_who_connects_waits_and_little_is_done() -> None:
    async def work(door: socket.socket) -> None:
        with socket.create_connection(door.getsockname()) as caller:
            coming = asyncio.create_task(first(door))
            before = resource.getrlimit(resource.RLIMIT_NOFILE)
            resource.setrlimit(resource.RLIMIT_NOFILE, (0, before[1]))
            try:
                busy = time.process_time()
                await asyncio.sleep(0.5)
                assert time.process_time() - busy < 0.25
                assert not coming.done()
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, before)
            with await coming as sock:
                assert sock.getpeername() == caller.getsockname()

    with listening() as door:
        run(work(door))


def test_who_connects_in_the_turn_in_which_that_is_given_up_is_not_forgotten() -> None:
    async def work(count: int) -> None:
        with listening() as door:

            async def take() -> None:
                async for sock in arriving.arrivals(door):
                    taken.append(sock)

            taken: list[socket.socket] = []
            taking = asyncio.create_task(take())
            await turns(2)
            with socket.create_connection(door.getsockname()) as caller:
                await turns(count)
                taking.cancel()
                await asyncio.gather(taking, return_exceptions=True)
                with taken.pop() if taken else door.accept()[0] as sock:  # or it is still at the door
                    assert sock.getpeername() == caller.getsockname()

    for count in TURNS:
        run(work(count))


def test_a_task_that_is_cancelled_in_any_turn_has_hung_up() -> None:
    async def serve(sock: socket.socket) -> None:
        with sock:
            await asyncio.Event().wait()

    async def work(count: int) -> None:
        ours, caller = socket.socketpair()
        with caller:
            async with asyncio.TaskGroup() as group:
                task = arriving.entrust(group, ours, serve)
                await turns(count)
                task.cancel()
            assert hung_up(caller)

    for count in TURNS:
        run(work(count))


def test_what_a_task_has_begun_with_is_its_own_to_close() -> None:
    async def keep(sock: socket.socket) -> None:
        kept.append(sock)

    async def work() -> None:
        ours, caller = socket.socketpair()
        with caller:
            async with asyncio.TaskGroup() as group:
                arriving.entrust(group, ours, keep)
            with kept.pop() as sock:
                sock.send(b"!")
                assert caller.recv(1) == b"!"

    kept: list[socket.socket] = []
    run(work())
