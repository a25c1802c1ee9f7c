"""Two connections have nothing in common that their servers could compare (REQUIREMENTS D18)."""

import asyncio
import itertools
import ssl
from pathlib import Path
from typing import NamedTuple

import pytest
from aiohttp import web

from commonhold.formats.hint import TcpHint
from commonhold.transport import certificates
from tests.transport.ends import OTHER, PIN, dialled, run, seed_of, serving
from tests.transport.wire import Hello, hello, relay

SERVER_NAME, PRE_SHARED_KEY, TICKET, ALPN, STATUS_REQUEST, KEY_SHARE = 0, 41, 35, 16, 5, 51


class Seen(NamedTuple):
    """What a server sees of a client: its greeting, its certificate, its request's line and headers."""

    hello: Hello
    certificate: bytes
    said: dict[str, str]


def seen_by_servers() -> list[Seen]:
    """What two servers see of one client, each in its second request."""
    seen: list[Seen] = []
    requests: list[tuple[bytes, dict[str, str]]] = []

    async def note(request: web.Request) -> web.Response:
        certificate = request.get_extra_info("ssl_object").getpeercert(binary_form=True)
        requests.append((certificate, {"line": f"{request.method} {request.raw_path}", **request.headers}))
        answer = web.Response()
        answer.set_cookie("known", "again")
        return answer

    async def work() -> None:
        for _ in range(2):
            app = web.Application()
            app.router.add_put("/", note)
            async with serving(app) as (hint, _), relay(hint) as (through, relayed):
                async with dialled(TcpHint("localhost", through.port)) as connection:
                    for _ in range(2):
                        async with connection.request("PUT", "/", body=b"body") as answer:
                            assert answer.status == 200
                seen.append(Seen(hello(bytes(relayed[0].up)), *requests[-1]))

    run(work())
    return seen


def test_nothing_that_a_server_sees_of_one_connection_is_in_another() -> None:
    (one, certificate, said), (other, other_certificate, other_said) = seen_by_servers()
    # What differs is random, each time. What does not differ is the same for everybody.
    assert one.random != other.random and one.session != other.session
    assert one.extension(KEY_SHARE) != other.extension(KEY_SHARE)
    assert one.ciphers == other.ciphers
    assert [number for number, _ in one.extensions] == [number for number, _ in other.extensions]
    for number, content in one.extensions:
        assert number == KEY_SHARE or other.extension(number) == content
    assert said == other_said
    assert common(certificate, other_certificate) <= 8


def test_the_greeting_names_nobody_and_takes_nothing_up_again() -> None:
    async def two_sockets() -> list[Hello]:
        async with serving() as (hint, _), relay(hint) as (through, relayed), dialled(through) as connection:
            await asyncio.gather(connection.ping(), connection.ping())
            return [hello(bytes(one.up)) for one in relayed]

    greetings = [seen.hello for seen in seen_by_servers()] + run(two_sockets())
    assert len(greetings) == 4
    for greeting in greetings:
        for number in (SERVER_NAME, PRE_SHARED_KEY, ALPN, STATUS_REQUEST, TICKET):
            assert greeting.extension(number) is None


def test_a_request_says_no_more_than_what_is_asked() -> None:
    for seen in seen_by_servers():
        assert seen.said == {"line": "PUT /", "Host": "hold", "Content-Length": "4"}


def common(one: bytes, other: bytes) -> int:
    """Bytes at the same place that are the same in two certificates, but not in all: keys and signatures have few."""
    ders = [ssl.PEM_cert_to_DER_cert(certificates.client(seed_of(number)).certificate.decode()) for number in range(20)]
    fixed = [len(set(column)) == 1 for column in zip(*ders, strict=True)]
    assert len(one) == len(other) == len(fixed)
    assert fixed.count(False) <= 32 + 64
    return sum(a == b for a, b, same in zip(one, other, fixed, strict=True) if not same)


def test_two_connections_to_one_server_have_two_keys() -> None:
    """D1."""

    async def work() -> None:
        async with serving() as (hint, _):
            owns = []
            for _ in range(4):
                async with dialled(hint) as connection:
                    owns.append(connection.own)
            assert all(a != b for a, b in itertools.combinations([*owns, PIN, OTHER], 2))

    run(work())


def test_what_stands_in_the_environment_is_not_looked_at(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "netrc").write_text("machine hold login alice password secret")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    for seen in seen_by_servers():
        assert "Authorization" not in seen.said


def test_an_answer_tells_neither_program_nor_time() -> None:
    async def work() -> None:
        async with serving() as (hint, _), dialled(hint) as connection:
            for path in ("/who", "/ping", "/absent"):
                async with connection.request("GET", path) as answer:
                    assert not {"Server", "Date"} & set(answer.headers)

    run(work())
