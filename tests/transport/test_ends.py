"""Two ends and what goes between them: requests, streams, byte ranges, and who each is to the other."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.client_proto import ResponseHandler

from commonhold.errors import HoldError, Kind
from commonhold.formats.hint import UnixHint
from commonhold.ipc import endpoint
from commonhold.transport import connection as connections
from commonhold.transport import listen
from commonhold.transport.connection import MAX_SOCKETS, Make
from commonhold.transport.visitors import Limits
from tests.transport.ends import PIN, dialled, run, serving, soon


def test_a_request_goes_there_and_back_and_each_end_knows_the_others_key() -> None:
    async def work() -> None:
        async with serving() as (hint, _), dialled(hint) as connection:
            assert (connection.server, connection.hint) == (PIN, hint)
            async with connection.request("GET", "/who") as answer:
                assert (answer.status, await answer.read(100)) == (200, str(connection.own).encode())

    run(work())


def test_by_a_unix_socket_too(tmp_path: Path) -> None:
    async def work() -> None:
        path = tmp_path / ("long" * 30) / "server.sock"
        sockets = [listen.bind("127.0.0.1", 0), endpoint.listen(path, 0o600, 0o700)]
        async with (
            serving(listening=sockets),
            dialled(UnixHint(str(path))) as connection,
            connection.request("GET", "/who") as answer,
        ):
            assert await answer.read(100) == str(connection.own).encode()

    run(work())


def test_bodies_stream_both_ways_at_once() -> None:
    asked = asyncio.Event()

    async def pieces() -> AsyncIterator[bytes]:
        yield b"first"
        await asked.wait()  # the answer's beginning is here before the body's end is sent
        yield b"second"

    async def work() -> None:
        async with (
            serving() as (hint, _),
            dialled(hint) as connection,
            connection.request("POST", "/echo", body=pieces()) as answer,
        ):
            chunks = answer.chunks()
            assert await anext(chunks) == b"first"
            asked.set()
            assert b"".join([chunk async for chunk in chunks]) == b"second"

    run(work())


def test_a_body_of_known_length_says_so_and_a_large_one_arrives() -> None:
    async def count(request: web.Request) -> web.Response:
        length = sum([len(chunk) async for chunk in request.content.iter_any()])
        return web.Response(text=f"{length} {request.content_length}")

    async def work() -> None:
        app = web.Application()
        app.router.add_put("/count", count)
        async with serving(app) as (hint, _), dialled(hint) as connection:
            size = 5 << 20

            async def pieces() -> AsyncIterator[bytes]:
                for _ in range(5):
                    yield bytes(1 << 20)

            for body, length in ((bytes(size), None), (pieces(), size)):
                async with connection.request("PUT", "/count", body=body, length=length) as answer:
                    assert await answer.read(100) == b"%d %d" % (size, size)

    run(work())


def test_a_byte_range_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(range(100)))

    async def file(request: web.Request) -> web.FileResponse:
        return web.FileResponse(tmp_path / "file")

    async def work() -> None:
        app = web.Application()
        app.router.add_get("/file", file)
        async with (
            serving(app) as (hint, _),
            dialled(hint) as connection,
            connection.request("GET", "/file", span=(10, 20)) as answer,
        ):
            assert (answer.status, await answer.read(100)) == (206, bytes(range(10, 20)))

    run(work())


def test_many_requests_at_once_have_a_socket_each_with_one_key_and_no_more_than_so_many() -> None:
    arrived: list[str] = []
    release = asyncio.Event()

    async def wait(request: web.Request) -> web.Response:
        arrived.append(str(listen.peer(request)))
        await release.wait()
        return web.Response()

    async def work() -> None:
        app = web.Application()
        app.router.add_get("/wait", wait)
        async with serving(app) as (hint, visitors), dialled(hint) as connection:

            async def ask() -> None:
                async with connection.request("GET", "/wait") as answer:
                    assert answer.status == 200

            async with asyncio.TaskGroup() as group:
                for _ in range(MAX_SOCKETS + 3):
                    group.create_task(ask())
                await soon(lambda: len(arrived) == MAX_SOCKETS)
                assert len(visitors) == MAX_SOCKETS
                release.set()
            assert arrived == [str(connection.own)] * (MAX_SOCKETS + 3)

    run(work())


def test_a_ping_is_answered_whatever_is_served() -> None:
    async def work() -> None:
        async with serving(web.Application()) as (hint, _), dialled(hint) as connection:
            await connection.ping()

    run(work())


def test_no_redirect_is_followed() -> None:
    async def elsewhere(request: web.Request) -> web.Response:
        raise web.HTTPFound("/who")

    async def work() -> None:
        app = web.Application()
        app.router.add_get("/elsewhere", elsewhere)
        async with (
            serving(app) as (hint, _),
            dialled(hint) as connection,
            connection.request("GET", "/elsewhere") as answer,
        ):
            assert (answer.status, answer.headers["location"]) == (302, "/who")

    run(work())


def test_an_answer_larger_than_was_said_is_too_large() -> None:
    async def work() -> None:
        async with serving() as (hint, _), dialled(hint) as connection:
            with pytest.raises(HoldError) as streamed:
                async with connection.request("POST", "/echo", body=bytes(101)) as answer:
                    await answer.read(100)
            with pytest.raises(HoldError) as announced:
                async with connection.request("GET", "/who") as answer:
                    await answer.read(10)
            assert [error.value.kind for error in (streamed, announced)] == [Kind.TOO_LARGE] * 2

    run(work())


def test_a_source_that_fails_is_what_the_caller_hears_of() -> None:
    class Torn(Exception):
        pass

    async def pieces() -> AsyncIterator[bytes]:
        yield b"first"
        raise Torn

    async def work() -> None:
        async with serving() as (hint, _), dialled(hint) as connection:
            with pytest.raises(Torn):
                async with connection.request("POST", "/echo", body=pieces()) as answer:
                    async for _ in answer.chunks():
                        pass

    run(work())


def test_a_second_socket_that_cannot_be_opened_is_one_request_that_fails() -> None:
    release = asyncio.Event()

    async def wait(request: web.Request) -> web.Response:
        await release.wait()
        return web.Response()

    async def work() -> None:
        app = web.Application()
        app.router.add_get("/wait", wait)
        async with serving(app, Limits(connections=1)) as (hint, visitors), dialled(hint) as connection:

            async def ask() -> int:
                async with connection.request("GET", "/wait") as answer:
                    return answer.status

            first = asyncio.ensure_future(ask())
            await soon(lambda: [visitor.idle_since for visitor in visitors] == [None])
            with pytest.raises(HoldError) as refused:
                await connection.ping()
            assert (refused.value.kind, refused.value.subject) == (Kind.UNREACHABLE, str(PIN))
            release.set()
            assert await first == 200

    run(work())


def test_an_answer_that_comes_before_the_body_is_sent_is_heard() -> None:
    async def full(request: web.Request) -> web.Response:
        return web.Response(status=507, text="full")

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield bytes(1 << 20)

    async def work() -> None:
        app = web.Application()
        app.router.add_put("/", full)
        async with (
            serving(app) as (hint, _),
            dialled(hint) as connection,
            connection.request("PUT", "/", body=endless()) as answer,
        ):
            assert (answer.status, await answer.read(100)) == (507, b"full")

    run(work())


def test_a_connection_that_ends_while_another_socket_is_opened_is_not_taken_up_again() -> None:
    opening, release = asyncio.Event(), asyncio.Event()

    async def unfinished() -> AsyncIterator[bytes]:
        yield b"x"
        await asyncio.Event().wait()

    async def work() -> None:
        async with serving() as (hint, visitors), dialled(hint) as connection:
            open_one = connection._sockets._open_one

            async def slowly(make: Make) -> ResponseHandler:
                opening.set()
                await release.wait()
                return await open_one(make)

            connection._sockets._open_one = slowly
            async with connection.request("POST", "/echo", body=unfinished()):
                second = asyncio.ensure_future(connection.ping())
                await opening.wait()
                for visitor in visitors:
                    visitor.drop()
                await connection.lost()
                release.set()
                with pytest.raises(HoldError, match="it has ended"):
                    await second
                await soon(lambda: len(visitors) == 0)

    run(work())


def test_a_server_that_dies_while_it_answers_is_unreachable() -> None:
    async def work() -> None:
        async with serving() as (hint, visitors), dialled(hint) as connection:
            going = asyncio.Event()

            async def pieces() -> AsyncIterator[bytes]:
                yield b"first"
                await going.wait()

            with pytest.raises(HoldError) as refused:
                async with connection.request("POST", "/echo", body=pieces()) as answer:
                    async for _ in answer.chunks():
                        for visitor in visitors:
                            visitor.drop()
            assert refused.value.kind is Kind.UNREACHABLE

    run(work())


@pytest.mark.slow
def test_a_server_that_says_nothing_is_waited_for_only_so_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "STALL_SECONDS", 0.1)

    async def never(request: web.Request) -> web.Response:
        await asyncio.sleep(3600)
        return web.Response()

    async def work() -> None:
        app = web.Application()
        app.router.add_get("/never", never)
        async with serving(app) as (hint, _), dialled(hint) as connection:
            with pytest.raises(HoldError, match="nothing moved for too long"):
                async with connection.request("GET", "/never"):
                    pass

    run(work())
