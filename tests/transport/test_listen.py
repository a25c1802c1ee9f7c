"""What strangers may take of a server: connections, time, heads of requests, and bodies that do not move."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import NamedTuple, cast

import pytest
from aiohttp import StreamReader, web
from aiohttp.base_protocol import BaseProtocol

from commonhold.errors import HoldError, Kind
from commonhold.formats.hint import TcpHint, UnixHint
from commonhold.formats.keys import Seed
from commonhold.formats.pin import SpkiPin
from commonhold.transport import listen, tls
from commonhold.transport.visitors import Limits, Visitor, Visitors
from tests.opened import all_closed
from tests.transport.ends import PIN, SEED, dialled, echoing, run, seed_of, serving, soon

PING = b"GET /ping HTTP/1.1\r\nHost: hold\r\n\r\n"
PONG = b"HTTP/1.1 204 No Content\r\n"


class Raw(NamedTuple):
    """A client that writes what it likes."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def says(self, data: bytes) -> bytes:
        """The first line of the answer to some bytes; empty if the connection ends."""
        self.writer.write(data)
        try:
            return await self.reader.readline()
        except (ConnectionError, ssl.SSLError):
            return b""

    async def ended(self) -> bool:
        """Whether the server ends it, saying whatever it likes before."""
        with suppress(ConnectionError, ssl.SSLError):
            await self.reader.read()
        return True


@asynccontextmanager
async def raw(hint: TcpHint, seed: Seed | None = None, server: SpkiPin = PIN) -> AsyncIterator[Raw]:
    """A connection whose bytes the test writes."""
    context = tls.client_context(seed or Seed(bytes(32)), server)
    reader, writer = await asyncio.open_connection(hint.host, hint.port, ssl=context, server_hostname="")
    try:
        yield Raw(reader, writer)
    finally:
        writer.transport.abort()


def test_a_port_is_chosen_and_told_and_one_that_is_taken_is_refused() -> None:
    async def work() -> None:
        async with serving() as (hint, _):
            assert hint.port > 0
            with pytest.raises(HoldError) as taken:
                listen.bind("127.0.0.1", hint.port)
            assert str(hint.port) in taken.value.subject

    run(work())


def test_an_address_to_listen_at_is_a_number() -> None:
    with pytest.raises(HoldError) as refused:
        listen.bind("localhost", 0)
    assert refused.value.kind is Kind.USAGE


def test_ipv6_too() -> None:
    async def work() -> None:
        async with serving(listening=[listen.bind("::1", 0)]) as (hint, _), dialled(hint) as connection:
            await connection.ping()
            assert str(hint).startswith("tcp:[::1]:")

    run(work())


def test_a_unix_socket_is_known_by_its_path(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.bind(str(path))
        assert listen.address(sock) == UnixHint(str(path))


def test_one_application_listens_at_several_addresses() -> None:
    async def work() -> None:
        sockets = [listen.bind("127.0.0.1", 0), listen.bind("127.0.0.1", 0)]
        async with serving(listening=sockets):
            for sock in sockets:
                async with dialled(listen.address(sock)) as connection:
                    await connection.ping()

    run(work())


# ── how many ──


def test_of_one_key_there_are_so_many_connections_and_another_when_one_has_ended() -> None:
    async def work() -> None:
        async with serving(limits=Limits(of_peer=2)) as (hint, visitors):
            async with raw(hint) as first, raw(hint) as second:
                assert [await one.says(PING) for one in (first, second)] == [PONG] * 2
                async with raw(hint) as third, raw(hint, seed_of(5)) as somebody:
                    assert await third.says(PING) == b""
                    assert await somebody.says(PING) == PONG
            await soon(lambda: len(visitors) == 0)
            async with raw(hint) as again:
                assert await again.says(PING) == PONG

    run(work())


def test_one_too_many_has_no_request_answered() -> None:
    served: list[int] = []

    async def note(request: web.Request) -> web.Response:
        served.append(1)
        return web.Response()

    async def work() -> None:
        app = web.Application()
        app.router.add_get("/", note)
        async with serving(app, Limits(of_peer=1)) as (hint, _), raw(hint) as first, raw(hint) as second:
            assert await second.says(b"GET / HTTP/1.1\r\nHost: hold\r\n\r\n") == b""
            assert await first.says(PING) == PONG

    run(work())
    assert served == []


def test_when_it_is_full_who_is_idle_longest_gives_place_first_of_those_who_never_asked() -> None:
    async def work() -> None:
        async with serving(limits=Limits(connections=3)) as (hint, visitors), raw(hint) as first, raw(hint) as second:
            assert [await one.says(PING) for one in (first, second)] == [PONG] * 2
            async with raw(hint) as never, raw(hint) as fourth:
                assert await fourth.says(PING) == PONG
                assert await never.ended()
                async with raw(hint) as fifth:
                    assert await fifth.says(PING) == PONG
                    assert await first.ended()
                    assert len(visitors) == 3

    run(work())


def test_when_all_are_at_work_nobody_else_comes_in() -> None:
    release = asyncio.Event()
    working: list[int] = []

    async def wait(request: web.Request) -> web.Response:
        working.append(1)
        await release.wait()
        return web.Response(status=204)

    async def work() -> None:
        app = web.Application()
        app.router.add_get("/wait", wait)
        async with serving(app, Limits(connections=2)) as (hint, _), raw(hint) as first, raw(hint) as second:
            asked = [
                asyncio.ensure_future(one.says(b"GET /wait HTTP/1.1\r\nHost: h\r\n\r\n")) for one in (first, second)
            ]
            await soon(lambda: len(working) == 2)
            with pytest.raises(OSError):
                async with raw(hint):
                    pass
            release.set()
            assert [await one for one in asked] == [PONG] * 2

    run(work())


# ── how long ──


def test_who_does_not_shake_hands_is_dropped() -> None:
    async def work() -> None:
        async with serving(limits=Limits(handshake_seconds=0.1)) as (hint, visitors):
            reader, writer = await asyncio.open_connection(hint.host, hint.port)
            writer.write(b"\x16\x03\x01")
            await soon(lambda: len(visitors) == 1)
            with suppress(ConnectionError):
                assert await reader.read() == b""
            writer.close()
            await soon(lambda: len(visitors) == 0)

    run(work())


def test_who_shakes_hands_slowly_gives_place_too() -> None:
    async def work() -> None:
        async with serving(limits=Limits(connections=1, handshake_seconds=600.0)) as (hint, visitors):
            reader, writer = await asyncio.open_connection(hint.host, hint.port)
            await soon(lambda: len(visitors) == 1)
            async with raw(hint) as somebody, asyncio.timeout(60):
                assert await somebody.says(PING) == PONG
                with suppress(ConnectionError):
                    assert await reader.read() == b""  # long before its time for that is over
            writer.close()

    run(work())


def test_who_sends_no_request_or_a_piece_of_its_head_now_and_then_is_dropped() -> None:
    async def work() -> None:
        async with serving(limits=Limits(idle_seconds=0.3)) as (hint, _), raw(hint) as silent, raw(hint) as slow:
            dropped = asyncio.ensure_future(slow.ended())
            for byte in PING[:-2]:
                slow.writer.write(bytes((byte,)))
                done, _ = await asyncio.wait((dropped,), timeout=0.05)
                if done:
                    break
            assert dropped.done() and await silent.ended()

    run(work())


@pytest.mark.slow
def test_who_asks_again_in_time_stays() -> None:
    async def work() -> None:
        async with serving(limits=Limits(idle_seconds=0.5)) as (hint, _), raw(hint) as client:
            for _ in range(5):
                assert await client.says(PING) == PONG
                assert await client.reader.readline() == b"\r\n"
                await asyncio.sleep(0.15)

    run(work())


@pytest.mark.parametrize(
    "head",
    [
        b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\nX: " + b"a" * 9000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\n" + b"".join(b"X%d: y\r\n" % number for number in range(100)) + b"\r\n",
    ],
    ids=["line", "header", "headers"],
)
def test_a_head_has_so_many_bytes(head: bytes) -> None:
    async def work() -> None:
        async with serving() as (hint, _), raw(hint) as client:
            assert await client.says(head) in (b"HTTP/1.1 400 Bad Request\r\n", b"HTTP/1.0 400 Bad Request\r\n")
            assert await client.ended()

    run(work())


def test_what_strangers_do_is_not_said_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    async def work() -> None:
        async with serving() as (hint, visitors):
            async with raw(hint) as client:
                assert b" 400 " in await client.says(b"\x00\x01 nonsense\r\n\r\n")
            for body in (UPLOAD + b"x", CHUNKED + b"5\r\nxx", CHUNKED + b"nonsense\r\n"):
                async with raw(hint) as client:
                    client.writer.write(body)
                    await client.reader.readline()
            await soon(lambda: len(visitors) == 0)

    run(work())
    assert caplog.records == []


def test_the_application_says_how_large_a_body_may_be() -> None:
    async def whole(request: web.Request) -> web.Response:
        return web.Response(text=str(len(await request.read())))

    async def work() -> None:
        app = web.Application(client_max_size=1000)
        app.router.add_post("/whole", whole)
        async with serving(app) as (hint, _), dialled(hint) as connection:
            for size, status in ((1000, 200), (1001, 413)):
                async with connection.request("POST", "/whole", body=bytes(size)) as answer:
                    assert answer.status == status

    run(work())


# ── what does not move ──

STALL = Limits(stall_seconds=0.2, stall_bytes=100)
UPLOAD = b"POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n"


CHUNKED = b"POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"


def test_a_body_that_comes_too_slowly_is_cut_off() -> None:
    async def work() -> None:
        async with serving(limits=STALL) as (hint, visitors), raw(hint) as client:
            client.writer.write(UPLOAD)
            dropped = asyncio.ensure_future(client.ended())
            for _ in range(100):
                client.writer.write(b"x")
                done, _ = await asyncio.wait((dropped,), timeout=0.02)
                if done:
                    break
            assert dropped.done()
            await soon(lambda: len(visitors) == 0)

    run(work())


@pytest.mark.slow
def test_a_body_that_comes_fast_enough_is_not_cut_off() -> None:
    async def work() -> None:
        async with serving(limits=STALL) as (hint, _), raw(hint) as client:
            client.writer.write(UPLOAD.replace(b"100000", b"4000"))
            for _ in range(20):
                client.writer.write(bytes(200))
                await asyncio.sleep(0.03)
            assert await client.reader.readline() == b"HTTP/1.1 200 OK\r\n"

    run(work())


@pytest.mark.slow
def test_a_body_that_may_take_its_time_is_not_cut_off_and_goes_both_ways() -> None:
    async def echo(request: web.Request) -> web.StreamResponse:
        listen.unhurried(request)
        answer = web.StreamResponse()
        await answer.prepare(request)
        async for chunk in request.content.iter_any():
            await answer.write(chunk)
        return answer

    async def pieces(heard: asyncio.Queue[bytes]) -> AsyncIterator[bytes]:
        yield b"0"
        for number in range(1, 5):
            assert await heard.get() == b"%d" % (number - 1)
            await asyncio.sleep(0.5)
            yield b"%d" % number

    async def work() -> None:
        app, heard = web.Application(), asyncio.Queue[bytes]()
        app.router.add_post("/slow", echo)
        async with serving(app, STALL) as (hint, _), dialled(hint) as connection:
            async with connection.request("POST", "/slow", body=pieces(heard)) as answer:
                async for chunk in answer.chunks():
                    heard.put_nowait(chunk)
            assert heard.get_nowait() == b"4"

    run(work())


@pytest.mark.slow
def test_a_body_that_the_application_does_not_read_yet_is_not_cut_off() -> None:
    async def later(request: web.Request) -> web.Response:
        await asyncio.sleep(0.6)
        return web.Response(text=str(len(await request.read())))

    async def work() -> None:
        app = web.Application(client_max_size=64 << 20)
        app.router.add_post("/later", later)
        async with serving(app, STALL) as (hint, _), dialled(hint) as connection:
            body = bytes(32 << 20)
            async with connection.request("POST", "/later", body=body, length=len(body)) as answer:
                assert await answer.read(100) == b"%d" % len(body)

    run(work())


class Paused(asyncio.Transport):
    """A transport that is read when the test says so."""

    reading = False
    aborted = False
    peer = PIN

    def get_extra_info(self, name: str, default: object = None) -> "Paused":
        return self

    def is_reading(self) -> bool:
        return self.reading

    def abort(self) -> None:
        self.aborted = True


def test_a_span_in_which_nothing_could_come_is_not_counted() -> None:
    async def work() -> None:
        visitors, transport = Visitors(Limits(stall_seconds=0.1)), Paused()
        visitor = Visitor(visitors, asyncio.Protocol())
        visitors.enter(visitor)
        visitor.connection_made(transport)
        loop = asyncio.get_running_loop()
        with visitor.busy(StreamReader(BaseProtocol(loop), 1, loop=loop)):
            await asyncio.sleep(0.15)
            transport.reading = True  # in the middle of the second span
            await asyncio.sleep(0.1)
            assert not transport.aborted
            await soon(lambda: transport.aborted)

    run(work())


def test_an_answer_that_nobody_takes_is_cut_off() -> None:
    ended: list[str] = []

    async def endless(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        try:
            while True:
                await answer.write(bytes(1 << 20))
        finally:
            ended.append("cut off")

    async def work() -> None:
        app = web.Application()
        app.router.add_get("/endless", endless)
        async with serving(app, STALL) as (hint, visitors), raw(hint) as client:
            client.writer.transport.pause_reading()  # type: ignore[attr-defined]
            client.writer.write(b"GET /endless HTTP/1.1\r\nHost: h\r\n\r\n")
            await soon(lambda: ended == ["cut off"] and len(visitors) == 0)

    run(work())


def test_at_the_end_everybody_is_let_go() -> None:
    async def work() -> None:
        async with serving(echoing()) as (hint, visitors):
            stranger = socket.create_connection((hint.host, hint.port))
            reader, writer = await asyncio.open_connection(
                hint.host, hint.port, ssl=tls.client_context(seed_of(3), PIN), server_hostname=""
            )
            await soon(lambda: len(visitors) == 2)
        stranger.close()
        assert await reader.read() == b""
        writer.close()
        await soon(lambda: len(visitors) == 0)

    run(work())


@pytest.mark.parametrize("comes", [0, 2, 6])
def test_whoever_comes_in_the_turn_in_which_it_ends_is_hung_up_on_too(comes: int) -> None:
    async def stopped(turns: int) -> None:
        loop, stop = asyncio.get_running_loop(), asyncio.Event()
        visitors, listening = Visitors(), listen.bind("127.0.0.1", 0)
        hint = cast(TcpHint, listen.address(listening))
        running = asyncio.create_task(listen.serve(echoing(), SEED, [listening], visitors, stop))
        for _ in range(comes):
            await asyncio.sleep(0)
        with socket.create_connection((hint.host, hint.port)) as caller:
            for _ in range(turns):
                await asyncio.sleep(0)
            stop.set()
            await running
            caller.setblocking(False)
            async with asyncio.timeout(30):
                with suppress(ConnectionResetError):
                    assert await loop.sock_recv(caller, 1) == b""
        assert len(visitors) == 0

    for turns in range(8):
        with all_closed():
            run(stopped(turns))
