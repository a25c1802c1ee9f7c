"""A server whose key is not known is dialled by the same rules, and what is found is good for nothing but a meeting."""

import asyncio
import contextlib
import os
import re
from pathlib import Path

import pytest
from aiohttp import web

from commonhold.errors import HoldError, Kind
from commonhold.formats import hint as hints
from commonhold.formats.hint import Hint, TcpHint, UnixHint
from commonhold.formats.pin import SpkiPin
from commonhold.transport import dial, listen, tls
from commonhold.transport.connection import Connection
from commonhold.transport.rules import Exemption, Rules, Way
from commonhold.transport.stranger import Stranger
from tests.fakes.socks import SocksProxy
from tests.transport.ends import PIN, SEED, echoing, run, seed_of, serving, soon

SOURCE = Path(dial.__file__).parents[1]


def test_whose_key_was_found_is_known_and_both_ends_agree_on_it() -> None:
    async def work() -> None:
        app = echoing()

        async def who(request: web.Request) -> web.Response:
            return web.Response(text=str(listen.peer(request)))

        app.router.add_post("/who", who)
        async with serving(app) as (hint, _):
            stranger = await dial.dial_unknown(hint, Rules(), os.urandom)
            status, said = await stranger.ask("/who", b"", 1000)
            assert stranger.pin == PIN and (status, said.decode()) == (200, str(stranger.own))
            await stranger.close()

    run(work())


def test_all_sockets_of_a_stranger_lead_to_the_key_that_the_first_has_found() -> None:
    """Who is in between leads the second socket to somebody else."""

    async def work() -> None:
        held, come = asyncio.Event(), asyncio.Event()

        async def hold(request: web.Request) -> web.Response:
            come.set()
            await held.wait()
            return web.Response()

        app = echoing()
        app.router.add_post("/hold", hold)
        async with serving(app) as (hint, _), serving(seed=seed_of(9)) as (other, others):
            assert isinstance(hint, TcpHint) and isinstance(other, TcpHint)
            targets = [hint, other]
            pumps: set[asyncio.Task[None]] = set()

            async def lead(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                target = targets.pop(0)
                there, back = await asyncio.open_connection(target.host, target.port)
                for ends in ((reader, back), (there, writer)):
                    pumps.add(asyncio.create_task(_pump(*ends)))

            between = await asyncio.start_server(lead, "127.0.0.1", 0)
            at = TcpHint(*between.sockets[0].getsockname()[:2])
            stranger = await dial.dial_unknown(at, Rules(), os.urandom)
            first = asyncio.create_task(stranger.ask("/hold", b"a", 100))
            await come.wait()
            with pytest.raises(HoldError, match="another key"):
                await stranger.ask("/echo", b"secret", 100)
            held.set()
            assert (await first)[0] == 200 and targets == []
            await stranger.close()
            between.close()
            await asyncio.wait(pumps)
            await soon(lambda: len(others) == 0)

    run(work())


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    writer.close()


@pytest.mark.parametrize(
    ("rules", "hint", "kind"),
    [
        (Rules(anonymous=True), "tcp:127.0.0.1:1", Kind.ANONYMITY),
        (Rules(tcp=Way.OFF), "tcp:127.0.0.1:1", Kind.DENIED),
        (Rules(), "unix:/run/x.sock", Kind.DENIED),
        (Rules(tcp=Way.TOR), "tcp:127.0.0.1:1", Kind.USAGE),
        (Rules(), "later:anything", Kind.UNSUPPORTED),
    ],
)
def test_the_rules_are_the_same_and_no_override_exempts_what_has_no_key(rules: Rules, hint: str, kind: Kind) -> None:
    async def work() -> None:
        parsed = hints.parse(hint)
        exempted = Rules(
            rules.anonymous,
            rules.tcp,
            exemptions=frozenset(Exemption(pin, parsed) for pin in (PIN, SpkiPin(b"x" * 32))),
        )
        for permitted in (rules, exempted):
            with pytest.raises(HoldError) as refused:
                await dial.dial_unknown(parsed, permitted, os.urandom)
            assert refused.value.kind is kind

    run(work())


def test_nobody_is_reached_where_nobody_is() -> None:
    async def work() -> None:
        sock = listen.bind("127.0.0.1", 0)
        hint: Hint = listen.address(sock)
        sock.close()
        with pytest.raises(HoldError) as refused:
            await dial.dial_unknown(hint, Rules(), os.urandom)
        assert refused.value.kind is Kind.UNREACHABLE and not isinstance(hint, UnixHint)

    run(work())


def test_what_is_found_is_no_connection() -> None:
    assert not issubclass(Stranger, Connection)
    assert {name for name in dir(Stranger) if not name.startswith("_")} == {"pin", "own", "ask", "close"}


def test_one_place_dials_strangers_and_nothing_else_makes_a_context_without_a_pin() -> None:
    for word, users in (
        ("dial_unknown", {"transport/dial.py", "grids/meeting.py"}),
        ("unpinned_context", {"transport/dial.py", "transport/tls.py"}),
        ("Stranger(", {"transport/dial.py"}),
    ):
        found = {
            str(path.relative_to(SOURCE))
            for path in SOURCE.rglob("*.py")
            if re.search(rf"\b{re.escape(word)}", re.sub(r'"""[\s\S]*?"""', "", path.read_text()))
        }
        assert found == users, word
    assert tls.client_context(SEED, PIN).expected == PIN


def test_a_stranger_is_reached_by_tor_where_nothing_else_is_allowed() -> None:
    async def work() -> None:
        async with serving(echoing()) as (hint, _):
            assert isinstance(hint, TcpHint)
            proxy = SocksProxy(lambda asked: hint)
            async with proxy.listening() as at:
                rules = Rules(anonymous=True, tcp=Way.TOR, tor=at)
                for host in ("attic.example", "203.0.113.7"):
                    stranger = await dial.dial_unknown(TcpHint(host, 4653), rules, os.urandom)
                    assert stranger.pin == PIN
                    await stranger.close()
            logins = {asked.login for asked in proxy.asked}
            assert len(proxy.asked) == len(logins) == 2 and None not in logins

    run(work())
