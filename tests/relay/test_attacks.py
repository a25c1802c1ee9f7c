"""What strangers, lying relays and lying servers try, and what comes of it."""

import asyncio
import contextlib
import resource
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import pytest
from aiohttp import web

from commonhold.crypto.statements import signed
from commonhold.errors import HoldError, Kind
from commonhold.formats import fields, relaywords
from commonhold.formats.address import Address
from commonhold.formats.hint import TcpHint
from commonhold.formats.keys import Seed
from commonhold.formats.pin import SpkiPin
from commonhold.formats.relaywords import MAX_SAID, Call, Granted, Knock, Refused, Token
from commonhold.formats.statement import Kind as Said
from commonhold.host import arriving
from commonhold.mesh.framing import ALIVE, Frames, framed
from commonhold.mesh.relayed import ANSWERS, PATH
from commonhold.mesh.service import coming
from commonhold.relay.joined import BUFFER
from commonhold.relay.streams import Limits
from commonhold.transport import listen
from commonhold.transport.connection import Connection
from commonhold.transport.dial import dial, reach
from commonhold.transport.rules import Rules
from tests.relay.relays import RELAY, Relay, at, behind, connected, ended, pin, relay
from tests.transport.ends import dialled, numbers, run, seed_of, serving, soon
from tests.transport.wire import HANDSHAKE
from tests.transport.wire import relay as wire

ONE, TWO, STRANGER = seed_of(1), seed_of(2), seed_of(3)


# ── who calls ──


class Caller:
    """One who calls a relay by hand: says what a test wants, and hears what comes."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.heard: list[relaywords.Word] = []
        self.over = False
        self._say: asyncio.Queue[bytes] = asyncio.Queue()

    def say(self, data: bytes) -> None:
        self._say.put_nowait(framed(data))

    def say_raw(self, data: bytes) -> None:
        self._say.put_nowait(data)

    def call(self, seed: Seed, **other: object) -> None:
        """Say what a server says; `other` fields take the place of its own."""
        said = {"relay": pin(RELAY), "connection": self.connection.own, "time": int(time.time())} | other
        self.say(signed(Said.CALL, Call(**said).body, seed).encoded)  # type: ignore[arg-type]

    async def run(self) -> None:
        frames = Frames()
        with suppress(HoldError):
            async with self.connection.request("POST", PATH, body=self._saying()) as answer:
                async for chunk in answer.chunks():
                    self.heard += [relaywords.decode(one) for one in frames.feed(chunk) if one]
        self.over = True

    async def _saying(self) -> AsyncIterator[bytes]:
        while True:
            yield await self._say.get()


@asynccontextmanager
async def caller(there: Relay) -> AsyncIterator[Caller]:
    async with dialled(there.hint, server=pin(there.seed)) as connection:
        made = Caller(connection)
        running = asyncio.create_task(made.run())
        try:
            yield made
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


@pytest.mark.parametrize(
    ("seed", "other", "why"),
    [
        (STRANGER, {}, "not a server that this relay admits"),
        (ONE, {"relay": pin(TWO)}, "signed for another relay"),
        (ONE, {"connection": pin(TWO)}, "another connection"),
        (ONE, {"time": int(time.time()) - 3600}, "another time"),
    ],
)
def test_nobody_gets_a_port_but_a_server_that_is_admitted(seed: Seed, other: dict[str, object], why: str) -> None:
    """The second and third: what a server has signed elsewhere, shown by somebody who got it there."""

    async def work() -> None:
        async with relay([pin(ONE)]) as there, caller(there) as one:
            one.call(seed, **other)
            await soon(lambda: bool(one.heard))
            (said,) = one.heard
            assert isinstance(said, Refused) and why in said.why
            assert pin(ONE) not in there.calls and await ended(await connected(there.door(pin(ONE))))

    run(work())


def test_what_is_signed_as_something_else_is_no_call() -> None:
    async def work() -> None:
        async with relay([pin(ONE)]) as there, caller(there) as one:
            body = Call(pin(RELAY), one.connection.own, int(time.time())).body
            one.say(signed(Said.ENTRY, body, ONE).encoded)
            await soon(lambda: bool(one.heard))
            assert isinstance(one.heard[0], Refused) and pin(ONE) not in there.calls

    run(work())


@pytest.mark.parametrize("first", [bytes(MAX_SAID), b"\xff" * 8, None])
def test_who_says_nothing_or_nonsense_is_hung_up_on(first: bytes | None) -> None:
    async def work() -> None:
        async with relay([pin(ONE)], Limits(call_seconds=0.05)) as there, caller(there) as one:
            one.say_raw(ALIVE if first is None else framed(first))
            await soon(lambda: one.over)
            assert not any(isinstance(said, Granted) for said in one.heard)

    run(work())


@pytest.mark.parametrize("more", [framed(b"more"), framed(bytes(1 << 20)), b"\xff" * 64, ALIVE * 64])
def test_a_server_that_goes_on_talking_loses_its_call(more: bytes) -> None:
    async def work() -> None:
        async with relay([pin(ONE)]) as there, caller(there) as one:
            one.call(ONE)
            await soon(lambda: pin(ONE) in there.calls)
            one.say_raw(more)
            await soon(lambda: one.over)
            assert pin(ONE) not in there.calls and [type(said) for said in one.heard] == [Granted]

    run(work())


def test_a_stranger_cannot_end_a_servers_call() -> None:
    async def work() -> None:
        async with relay([pin(ONE)]) as there, behind(there.address, ONE) as server, caller(there) as one:
            one.call(STRANGER)
            await soon(lambda: bool(one.heard))
            async with dialled(there.door(server.pin), server=server.pin) as connection:
                await connection.ping()

    run(work())


# ── who shows tokens ──


@asynccontextmanager
async def knocked(limits: Limits | None = None) -> AsyncIterator[tuple[Relay, Caller, socket.socket, Token]]:
    """A server that was told of a client, and does not answer by itself."""
    async with relay([pin(ONE)], limits) as there, caller(there) as one:
        one.call(ONE)
        await soon(lambda: len(one.heard) == 1)
        client = await connected(there.door(pin(ONE)))
        await soon(lambda: len(one.heard) == 2)
        knock = one.heard[1]
        assert isinstance(knock, Knock)
        with client:
            yield there, one, client, knock.token


async def answering(there: Relay, preface: bytes) -> socket.socket:
    sock = await connected(there.answers)
    await asyncio.get_running_loop().sock_sendall(sock, preface)
    return sock


def test_a_token_joins_once_and_a_guessed_one_never() -> None:
    async def work() -> None:
        loop = asyncio.get_running_loop()
        async with knocked() as (there, _, client, token):
            for wrong in (bytes(32), token[:-1] + bytes([token[-1] ^ 1])):
                assert await ended(await answering(there, relaywords.preface(Token(wrong))))
            with await answering(there, relaywords.preface(token)) as server:
                assert await ended(await answering(there, relaywords.preface(token)))  # it is used
                await loop.sock_sendall(client, b"hello")
                assert await loop.sock_recv(server, 9) == b"hello"
                await loop.sock_sendall(server, b"there")
                assert await loop.sock_recv(client, 9) == b"there"

    run(work())


@pytest.mark.parametrize("preface", [b"GET / HTTP/1.1\r\n" + bytes(64), b"\x16\x03\x01" + bytes(64), b"hold"])
def test_who_answers_with_something_else_is_hung_up_on(preface: bytes) -> None:
    async def work() -> None:
        async with knocked(Limits(preface_seconds=0.1)) as (there, _, client, token):
            assert await ended(await answering(there, preface))
            (await answering(there, relaywords.preface(token))).close()  # which is good all the same
            assert await ended(client)
            await soon(lambda: not len(there.gate.streams))

    run(work())


def test_those_who_wait_to_show_a_token_are_so_many_and_the_oldest_go() -> None:
    async def work() -> None:
        async with knocked(Limits(answers=8)) as (there, _, client, token):
            silent = [await connected(there.answers) for _ in range(64)]
            with await answering(there, relaywords.preface(token)) as server:
                await asyncio.get_running_loop().sock_sendall(client, b"hello")
                assert await asyncio.get_running_loop().sock_recv(server, 9) == b"hello"
                assert len(there.gate._greeting) <= 8
            for sock in silent:
                sock.close()

    run(work())


def test_a_stream_that_is_never_answered_ends_and_its_token_with_it() -> None:
    async def work() -> None:
        async with knocked(Limits(answer_seconds=0.0)) as (there, _, client, token):
            assert await ended(client)
            assert await ended(await answering(there, relaywords.preface(token))) and not len(there.gate.streams)

    run(work())


def test_a_stream_on_which_nothing_moves_ends() -> None:
    async def work() -> None:
        async with knocked(Limits(idle_seconds=0.0)) as (there, _, client, token):
            server = await answering(there, relaywords.preface(token))
            assert await ended(client) and await ended(server) and not len(there.gate.streams)

    run(work())


# ── who opens streams ──


@pytest.mark.slow
def test_thousands_of_streams_are_no_more_than_the_limit_and_others_are_served_by_it() -> None:
    limits = Limits(of_server=40, of_address=30)

    async def work() -> None:
        async with (
            relay([pin(ONE), pin(TWO)], limits) as there, behind(there.address, ONE) as one,
            behind(there.address, TWO),
        ):  # fmt: skip
            flood = [await connected(there.door(one.pin)) for _ in range(2000)]
            await soon(lambda: len(there.gate.streams) == 30)
            ends = [asyncio.create_task(_hung_up(sock)) for sock in flood]
            await soon(lambda: sum(end.done() for end in ends) == 2000 - 30)
            for end in ends:
                end.cancel()
            found = await asyncio.gather(*ends, return_exceptions=True)
            assert sum(each is None for each in found) == 2000 - 30
            with socket.socket() as elsewhere:  # from another address there is room, at either server
                elsewhere.bind(("127.0.0.2", 0))
                elsewhere.setblocking(False)
                door = there.door(pin(TWO))
                await asyncio.get_running_loop().sock_connect(elsewhere, (door.host, door.port))
                await soon(lambda: len(there.gate.streams) == 31)
            for sock in flood:
                sock.close()
            await soon(lambda: not len(there.gate.streams))
            async with dialled(there.door(one.pin), server=one.pin) as connection:
                await connection.ping()

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 16384), hard))
    try:
        run(work())
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def _hung_up(sock: socket.socket) -> None:
    """Return when the relay has hung up, which it does at once where there is no room."""
    with contextlib.suppress(ConnectionError):
        assert await asyncio.get_running_loop().sock_recv(sock, 1) == b""


@pytest.mark.slow
def test_slow_readers_do_not_make_the_relay_grow() -> None:
    """Clients send without end, and read nothing of what comes back."""

    async def work() -> None:
        async with relay([pin(ONE)]) as there, behind(there.address, ONE) as server, AsyncExitStack() as stack:
            for _ in range(10):
                connection = await stack.enter_async_context(dialled(there.door(server.pin), server=server.pin))
                await stack.enter_async_context(connection.request("POST", "/echo", body=_endless()))
            moved = -1
            while moved != sum(stream.moved for stream in there.gate.streams.all()):
                moved = sum(stream.moved for stream in there.gate.streams.all())
                await asyncio.sleep(0.2)  # until nothing goes on any more
            held = [
                side.transport.get_write_buffer_size()
                for stream in there.gate.streams.all() for side in stream._sides if side.transport
            ]  # fmt: skip
            assert len(held) == 20 and max(held) <= 2 * BUFFER and any(held)

    run(work())


async def _endless() -> AsyncIterator[bytes]:
    while True:
        yield bytes(1 << 16)


# ── relays that lie ──


def test_a_relay_that_passes_itself_off_as_the_server_is_refused_by_the_pin() -> None:
    """The client's pin is the server's: the relay gets a greeting and no byte of application data."""

    async def work() -> None:
        asked: list[str] = []

        async def note(request: web.Request) -> web.Response:
            asked.append(request.path)
            return web.Response()

        app = web.Application()
        app.router.add_route("*", "/{path:.*}", note)
        async with serving(app, seed=RELAY) as (door, _), wire(door) as (at, seen):
            with pytest.raises(HoldError) as caught:
                await dial(pin(ONE), [at], Rules(), numbers())
            assert caught.value.kind is Kind.UNREACHABLE and "it has another key" in caught.value.why
            assert asked == [] and set(seen[0].sent()) <= {HANDSHAKE, 20, 21} and len(seen) == 1
            assert seen[0].sent()[0] == HANDSHAKE and len(seen[0].up) < 1000

    run(work())


class Liar:
    """A relay that says to servers what a test wants. What it heard from each, and what came to its other port."""

    def __init__(self, says: Callable[[int], list[bytes]]) -> None:
        self.says = says
        self.calls = 0
        self.came = 0


@asynccontextmanager
async def liar(says: Callable[[int], list[bytes]]) -> AsyncIterator[tuple[Liar, Address]]:
    answers = listen.bind("127.0.0.1", 0)
    port, made = at(answers).port, Liar(says)

    async def call(request: web.Request) -> web.StreamResponse:
        listen.unhurried(request)
        answer = web.StreamResponse()
        await answer.prepare(request)
        made.calls += 1
        for word in made.says(port):
            await answer.write(word)
        async for _ in coming(request):
            pass
        return answer

    async def count() -> None:
        async for sock in arriving.arrivals(answers):
            made.came += 1
            held.append(sock)

    held: list[socket.socket] = []
    app = web.Application()
    app.router.add_post(PATH, call)
    counting = asyncio.create_task(count())
    try:
        async with serving(app, seed=RELAY) as (hint, _):
            yield made, Address(pin(RELAY), (hint,))
    finally:
        counting.cancel()
        await asyncio.gather(counting, return_exceptions=True)
        for sock in (answers, *held):
            sock.close()


@pytest.mark.parametrize(
    "words",
    [
        [framed(b"nonsense")], [framed(Knock(Token(bytes(32))).encoded)], [framed(Granted(1, 2).encoded)] * 2,
        [framed(Granted(1, 2).encoded), framed(Refused("no").encoded)], [b"\xff" * 64], [framed(bytes(MAX_SAID + 1))],
        [framed(Granted(1, 2).encoded), (1 << 20).to_bytes(4) + bytes(70_000)], [ALIVE * 64],
    ],
)  # fmt: skip
def test_a_relay_that_speaks_otherwise_is_hung_up_on_and_called_again_later(words: list[bytes]) -> None:
    async def work() -> None:
        async with liar(lambda port: words) as (lies, where), behind(where, ONE, wait=False):
            await soon(lambda: lies.calls >= 2)
            assert not lies.came

    run(work())


def test_a_relay_that_refuses_is_announced_no_more() -> None:
    async def work() -> None:
        granted, refused = Granted(1234, 1), Refused("away with you")
        says = iter([[framed(granted.encoded), framed(b"nonsense")]])
        async with (
            liar(lambda port: next(says, [framed(refused.encoded)])) as (_, where),
            behind(where, ONE, wait=False) as server,
        ):
            await soon(lambda: "reached at tcp:127.0.0.1:1234, by a relay" in server.said)
            await soon(lambda: not server.relayed.addresses)
            await soon(lambda: any("away with you" in said for said in server.said))

    run(work())


def test_a_relay_that_knocks_without_end_is_answered_so_often_at_a_time() -> None:
    """It gets connections to a port of its own, with 45 bytes each; what comes of them counts as strangers do."""
    token = numbers()

    def says(port: int) -> list[bytes]:
        knocks = b"".join(framed(Knock(Token(token(32))).encoded) for _ in range(1000))
        return [framed(Granted(1234, port).encoded), knocks]

    async def work() -> None:
        async with liar(says) as (lies, where), behind(where, ONE) as server:
            await soon(lambda: len(server.visitors) > 0)
            before = -1
            while before != lies.came:
                before = lies.came
                await asyncio.sleep(0.1)
            assert 0 < lies.came <= 4 * ANSWERS and len(server.visitors) <= lies.came

    run(work())


def test_a_relay_is_answered_where_its_call_goes_whatever_its_name_means_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else whoever has the name could have a server connect to any port of the network that it is in."""
    asked: list[str] = []

    async def reaching(server: SpkiPin, hint: TcpHint, permitted: Rules) -> socket.socket:
        asked.append(hint.host)
        return await reach(server, hint, permitted)

    monkeypatch.setattr("commonhold.mesh.relayed.reach", reaching)

    async def work() -> None:
        says = [framed(Knock(Token(bytes(32))).encoded)]
        async with liar(lambda port: [framed(Granted(1234, port).encoded), *says]) as (lies, where):
            (hint,) = where.hints
            assert isinstance(hint, TcpHint)
            named = Address(where.server, (TcpHint("localhost", hint.port),))
            async with behind(named, ONE) as server:
                await soon(lambda: lies.came == 1)
                assert asked == ["127.0.0.1"] and server.relayed.addresses == ("tcp:localhost:1234",)

    run(work())


def test_what_a_relay_names_as_a_host_is_nothing_to_anybody() -> None:
    async def work() -> None:
        word = fields.made(port=1234, answers=1, host="evil.example", addresses=["tcp:evil.example:1"])
        async with liar(lambda port: [framed(word)]) as (_, where), behind(where, ONE) as server:
            assert server.relayed.addresses == ("tcp:127.0.0.1:1234",)

    run(work())
