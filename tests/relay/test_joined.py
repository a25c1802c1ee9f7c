"""Two sockets joined: all that comes arrives, ends are passed on one by one, and what waits has a bound."""

import asyncio
import socket
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import uvloop

from commonhold.relay.joined import BUFFER, Joined
from tests.transport.ends import soon
from tests.waiting import SECONDS

Work = Callable[["Line"], Coroutine[Any, Any, None]]


class Line:
    """A stream, and what is at its two ends."""

    def __init__(self) -> None:
        self.client, near = socket.socketpair()
        self.server, far = socket.socketpair()
        self.over: list[Joined] = []
        self._far = far
        for one in (self.client, near, self.server, far):
            one.setblocking(False)
        self.stream = Joined(near, bytearray(BUFFER), self.over.append)

    async def join(self) -> None:
        await self.stream.join(self._far)

    async def hears(self, sock: socket.socket, count: int = 1 << 16) -> bytes:
        return await asyncio.get_running_loop().sock_recv(sock, count)

    def close(self) -> None:
        self.client.close()
        self.server.close()
        self.stream.end()


@pytest.fixture(params=[uvloop.new_event_loop, asyncio.new_event_loop], ids=["uvloop", "asyncio"])
def on_line(request: pytest.FixtureRequest) -> Callable[[Work], None]:
    """Do something on a line, in each kind of loop."""

    async def done(work: Work) -> None:
        line = Line()
        async with asyncio.timeout(SECONDS):
            try:
                await work(line)
            finally:
                line.close()
                await asyncio.sleep(0)

    def run(work: Work) -> None:
        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(done(work))

    return run


def test_what_came_before_they_were_joined_comes_first(on_line: Callable[[Work], None]) -> None:
    async def work(line: Line) -> None:
        line.client.send(b"early")
        line.server.send(b"too")
        await line.join()
        line.client.send(b"late")
        heard = b""
        while len(heard) < 9:
            heard += await line.hears(line.server)
        assert heard == b"earlylate" and await line.hears(line.client) == b"too"
        assert line.stream.moved == 12

    on_line(work)


def test_an_end_that_came_before_they_were_joined_is_passed_on(on_line: Callable[[Work], None]) -> None:
    async def work(line: Line) -> None:
        line.client.send(b"all")
        line.client.shutdown(socket.SHUT_WR)
        await line.join()
        assert await line.hears(line.server) == b"all" and await line.hears(line.server) == b""
        line.server.send(b"answer")
        assert await line.hears(line.client) == b"answer" and not line.over

    on_line(work)


def test_one_direction_ends_alone_and_with_the_other_the_stream_does(on_line: Callable[[Work], None]) -> None:
    async def work(line: Line) -> None:
        await line.join()
        line.server.shutdown(socket.SHUT_WR)
        assert await line.hears(line.client) == b""
        line.client.send(b"more")
        assert await line.hears(line.server) == b"more" and not line.over
        line.client.shutdown(socket.SHUT_WR)
        assert await line.hears(line.server) == b""
        await soon(lambda: line.over == [line.stream])

    on_line(work)


def test_what_was_sent_before_both_ends_arrives_though_it_is_taken_late(on_line: Callable[[Work], None]) -> None:
    async def work(line: Line) -> None:
        await line.join()
        data = bytes(range(256)) * (4 * BUFFER // 256)
        sending = asyncio.ensure_future(asyncio.get_running_loop().sock_sendall(line.server, data))
        line.client.shutdown(socket.SHUT_WR)
        assert await line.hears(line.server) == b""
        heard = bytearray()
        while not sending.done():
            heard += await line.hears(line.client, 4096)
        line.server.shutdown(socket.SHUT_WR)
        for _ in range(100):  # the relay sees that both have ended, while some still waits to be taken
            await asyncio.sleep(0)
        while more := await line.hears(line.client):
            heard += more
        assert heard == data

    on_line(work)


def test_with_one_side_that_has_gone_the_other_is_hung_up_on(on_line: Callable[[Work], None]) -> None:
    async def work(line: Line) -> None:
        await line.join()
        line.client.close()
        assert await line.hears(line.server) == b""
        line.server.close()
        await soon(lambda: line.over == [line.stream])

    on_line(work)


def test_a_client_that_has_gone_before_they_were_joined_ends_the_stream(on_line: Callable[[Work], None]) -> None:
    async def work(line: Line) -> None:
        line.client.close()
        await line.join()
        assert await line.hears(line.server) == b""
        line.server.close()
        await soon(lambda: line.over == [line.stream])

    on_line(work)


def test_nothing_more_is_read_than_the_other_side_takes(on_line: Callable[[Work], None]) -> None:
    """A reader that is slow costs the relay two buffers, however much is sent to it."""

    async def work(line: Line) -> None:
        for one in (line.client, line.server):
            one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        await line.join()
        loop = asyncio.get_running_loop()
        data = bytes(range(256)) * (64 << 10)  # 16 MiB
        sending = asyncio.ensure_future(loop.sock_sendall(line.server, data))
        still = -1
        while still != line.stream.moved:  # until it stands still
            still = line.stream.moved
            for _ in range(200):
                await asyncio.sleep(0)
        assert not sending.done() and 0 < still < 4 * BUFFER + (1 << 20)
        waits = sum(side.transport.get_write_buffer_size() for side in line.stream._sides if side.transport)
        assert waits <= 2 * BUFFER
        heard = bytearray()
        while len(heard) < len(data):
            heard += await line.hears(line.client)
        assert heard == data
        await sending

    on_line(work)


def test_it_can_be_ended_at_any_time_and_is_over_once(on_line: Callable[[Work], None]) -> None:
    async def waits(line: Line) -> None:
        line.stream.end()
        assert await line.hears(line.client) == b"" and line.over == [line.stream]
        line.stream.end()
        assert len(line.over) == 1
        line._far.close()

    async def joined(line: Line) -> None:
        await line.join()
        line.stream.end()
        assert await line.hears(line.client) == b"" and await line.hears(line.server) == b""
        assert line.over == [line.stream]

    on_line(waits)
    on_line(joined)
