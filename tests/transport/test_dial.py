"""The one function that dials: hints in order, each with its reason if it led nowhere, and what a proxy is told."""

import asyncio
import os
import socket
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from commonhold.errors import Kind
from commonhold.formats import hint as hints
from commonhold.formats.hint import Hint, TcpHint, TorHint, UnixHint
from commonhold.transport import dial, tls
from commonhold.transport.connection import Connection
from commonhold.transport.dial import MAX_HINTS, Attempt, NotReached
from commonhold.transport.rules import Exemption, Rules, Way
from tests.fakes.socks import Asked, SocksProxy
from tests.opened import opened, opened_since
from tests.transport.ends import OTHER, PIN, SEED, dialled, numbers, run, seed_of, serving, soon
from tests.waiting import SECONDS

ONION = TorHint("pg6mmjiyjmcrsslvykfwnntlaru7p5svn6y2ymmju6nubxndf4pscryd.onion", 80)
DESTINATION = hints.I2pHint("a" * 52 + ".b32.i2p", 80)


def closed_port() -> TcpHint:
    """An address at which nobody listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return TcpHint(*sock.getsockname())


def test_the_first_hint_that_leads_there_is_taken_in_their_order() -> None:
    async def work() -> None:
        async with serving() as (first, _), serving() as (second, _), serving(seed=seed_of(7)) as (impostor, _):
            for order in ((first, second), (second, first)):
                async with dialled(closed_port(), impostor, *order) as connection:
                    assert connection.hint == order[0]
                    await connection.ping()

    run(work())


def test_if_none_leads_there_each_is_named_with_its_reason(tmp_path: Path) -> None:
    async def work() -> NotReached:
        async with serving(seed=seed_of(7)) as (impostor, _), Silent() as mute:
            given: list[Hint] = [
                closed_port(), impostor, mute, UnixHint(str(tmp_path / "none")), UnixHint("/x"), ONION, DESTINATION,
                hints.parse("iroh:later"),
            ]  # fmt: skip
            allowed = frozenset(Exemption(PIN, one) for one in given if one != UnixHint("/x"))
            with pytest.raises(NotReached) as refused:
                await dial.dial(PIN, given, Rules(exemptions=allowed, direct_seconds=0.2), os.urandom)
            assert [attempt.hint for attempt in refused.value.attempts] == given
            assert all(str(one) in str(refused.value) for one in given)
            return refused.value

    error = run(work())
    assert error.kind is Kind.UNREACHABLE and error.subject == str(PIN)
    reasons = [(attempt.kind, attempt.why) for attempt in error.attempts]
    assert "failed" in reasons[0][1] or "refused" in reasons[0][1]
    assert reasons[1][0] is Kind.DENIED and "another key" in reasons[1][1]
    assert reasons[2] == (Kind.UNREACHABLE, "no answer within 0.2 s")
    assert reasons[3] == (Kind.UNREACHABLE, "No such file or directory")
    assert [kind for kind, _ in reasons[4:]] == [Kind.DENIED, Kind.USAGE, Kind.USAGE, Kind.UNSUPPORTED]


class Silent:
    """A server that takes connections and says nothing."""

    async def __aenter__(self) -> TcpHint:
        self._sock = socket.socket()
        self._sock.bind(("127.0.0.1", 0))
        self._sock.listen(10)
        return TcpHint(*self._sock.getsockname())

    async def __aexit__(self, *error: object) -> None:
        self._sock.close()


def test_what_led_nowhere_leaves_nothing_open() -> None:
    async def work() -> None:
        loop = asyncio.get_running_loop()
        async with serving(seed=seed_of(7)) as (impostor, visitors), Silent() as mute:
            rules = Rules(tor=mute, direct_seconds=0.05, proxied_seconds=0.05)
            with pytest.raises(NotReached):
                await dial.dial(PIN, [impostor, mute, ONION], rules, os.urandom)
            await soon(lambda: len(visitors) == 0)
            before = opened()
            for _ in range(5):
                with pytest.raises(NotReached):
                    await dial.dial(PIN, [impostor, mute, ONION, closed_port()], rules, os.urandom)
                given_up = asyncio.ensure_future(dial.dial(PIN, [mute], Rules(), os.urandom))
                loop.call_later(0.02, given_up.cancel)
                with pytest.raises(asyncio.CancelledError):
                    await given_up
            await soon(lambda: len(visitors) == 0 and not opened_since(before))

    run(work())


def test_a_dial_that_is_given_up_in_any_turn_of_the_loop_says_nothing_and_leaves_nothing(tmp_path: Path) -> None:
    with greeting(tmp_path / "door") as hint:

        async def work() -> int:
            rules = Rules(exemptions=frozenset({Exemption(PIN, hint)}))
            turns = 0
            while await given_up(dial.dial(PIN, [hint], rules, os.urandom), turns):
                turns += 1
            return turns

        assert run(work()) >= 3  # its start, the socket, the handshake: at least a turn each


async def given_up(dialling: Coroutine[None, None, Connection], turns: int) -> bool:
    """Give a dial up after so many turns of the loop, before what is due in that turn; False if it was done by then.

    Each turn takes long enough for the other end's answer to be there in the next, as on a busy machine.
    """
    loop = asyncio.get_running_loop()

    def before(left: int) -> None:
        if left:
            loop.call_soon(before, left - 1)
        else:
            task.cancel()

    def after() -> None:
        if not task.done():
            time.sleep(0.02)
            loop.call_soon(after)

    loop.call_soon(before, turns)
    task = asyncio.create_task(dialling)
    loop.call_soon(after)
    try:
        connection = await task
    except asyncio.CancelledError:
        return True
    await connection.close()
    return False


@contextmanager
def greeting(path: Path) -> Iterator[Hint]:
    """A server in a thread that shakes hands, and waits for its caller to go."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen(16)

        def serve() -> None:
            with suppress(OSError):
                while True:
                    sock, _ = listening.accept()
                    with sock, suppress(OSError), tls.server_context(SEED).wrap_socket(sock, server_side=True) as ours:
                        while ours.recv(1 << 10):
                            pass

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield UnixHint(str(path))
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join(SECONDS)
            assert not thread.is_alive()


def test_a_server_without_an_address_is_not_reached() -> None:
    with pytest.raises(NotReached, match="it has no address"):
        run(dial.dial(PIN, [], Rules(), os.urandom))


def test_no_more_than_so_many_hints_are_tried_and_each_once() -> None:
    given = [closed_port()] * 5 + [UnixHint(f"/{number}") for number in range(100)]
    with pytest.raises(NotReached) as refused:
        run(dial.dial(PIN, given, Rules(), os.urandom))
    assert [attempt.hint for attempt in refused.value.attempts] == list(dict.fromkeys(given))[:MAX_HINTS]


def test_in_anonymous_mode_nothing_is_dialled_directly_nor_looked_up() -> None:
    async def work() -> NotReached:
        async with serving() as (hint, visitors):
            named = TcpHint("localhost", 1)
            with pytest.raises(NotReached) as refused:
                await dial.dial(PIN, [hint, named], Rules(anonymous=True), os.urandom)
            assert len(visitors) == 0
            return refused.value

    looked_up: list[str] = []
    with auditing(lambda event, args: looked_up.append(event) if event.startswith("socket.") else None):
        error = asyncio.run(work())
    assert error.kind is Kind.ANONYMITY
    assert {attempt.kind for attempt in error.attempts} == {Kind.ANONYMITY}
    assert "override" in error.hint
    assert not {"socket.getaddrinfo", "socket.connect"} & set(looked_up)


def test_in_anonymous_mode_the_one_named_server_is_reached_by_the_address_in_its_override() -> None:
    async def work() -> None:
        async with serving() as (hint, _):
            rules = Rules(anonymous=True, exemptions=frozenset({Exemption(PIN, hint)}))
            async with dialled(closed_port(), hint, rules=rules) as connection:
                await connection.ping()
            with pytest.raises(NotReached) as refused:  # another server may not use its neighbour's address
                async with dialled(hint, rules=rules, server=OTHER):
                    pass
            assert refused.value.kind is Kind.ANONYMITY

    run(work())


class auditing:  # noqa: N801
    """Have the interpreter's events noted while a block runs."""

    _active: Callable[[str, object], object] | None = None
    _hooked = False

    def __init__(self, note: Callable[[str, object], object]) -> None:
        self._note = note

    def __enter__(self) -> None:
        if not auditing._hooked:
            sys.addaudithook(lambda event, args: auditing._active and auditing._active(event, args))
            auditing._hooked = True
        auditing._active = self._note

    def __exit__(self, *error: object) -> None:
        auditing._active = None


# ── through a proxy ──

Work = Callable[[Rules, SocksProxy, TcpHint], Awaitable[None]]


def by_proxy(work: Work, rules: Callable[[TcpHint], Rules], **changed: object) -> SocksProxy:
    """Run with a server behind a proxy; what the proxy was asked."""

    async def whole() -> SocksProxy:
        async with serving() as (hint, _):
            proxy = SocksProxy(lambda asked: hint, **changed)  # type: ignore[arg-type]
            async with proxy.listening() as where:
                await work(rules(where), proxy, hint)
            return proxy

    return run(whole())


def anonymous(where: TcpHint) -> Rules:
    return Rules(anonymous=True, tcp=Way.TOR, tor=where)


def test_ten_connections_through_tor_show_ten_different_logins() -> None:
    async def work(rules: Rules, proxy: SocksProxy, server: TcpHint) -> None:
        for _ in range(10):
            async with dialled(ONION, rules=rules) as connection:
                await connection.ping()

    logins = [asked.login for asked in by_proxy(work, anonymous).asked]
    assert len(logins) == 10 and None not in logins
    assert len({user for user, _ in logins if logins}) == len({password for _, password in logins if logins}) == 10  # type: ignore[misc]


def test_all_sockets_of_one_connection_go_by_one_circuit() -> None:
    async def work(rules: Rules, proxy: SocksProxy, server: TcpHint) -> None:
        async with dialled(ONION, rules=rules) as connection, asyncio.TaskGroup() as group:
            for _ in range(4):
                group.create_task(connection.ping())

    asked = by_proxy(work, anonymous).asked
    assert len(asked) == 4 and len({one.login for one in asked}) == 1


@pytest.mark.parametrize("name", [ONION, TcpHint("attic.example", 443)])
def test_a_name_goes_to_the_proxy_as_a_name(name: Hint) -> None:
    async def work(rules: Rules, proxy: SocksProxy, server: TcpHint) -> None:
        async with dialled(name, rules=rules) as connection:
            await connection.ping()

    assert [asked[1:] for asked in by_proxy(work, anonymous).asked] == [(name.host, name.port)]  # type: ignore[union-attr]


def test_an_address_goes_to_the_proxy_as_an_address() -> None:
    async def work(rules: Rules, proxy: SocksProxy, server: TcpHint) -> None:
        for host in ("192.0.2.1", "2001:db8::1"):
            async with dialled(TcpHint(host, 443), rules=rules) as connection:
                await connection.ping()

    assert [asked.host for asked in by_proxy(work, anonymous).asked] == [
        bytes((192, 0, 2, 1)),
        bytes.fromhex("20010db8000000000000000000000001"),
    ]


def test_a_proxy_that_would_go_without_a_login_is_not_used_for_tor() -> None:
    async def work(rules: Rules, proxy: SocksProxy, server: TcpHint) -> None:
        with pytest.raises(NotReached, match="it takes no login"):
            async with dialled(ONION, rules=rules):
                pass

    proxy = by_proxy(work, anonymous, methods=(0,))
    assert proxy.asked == [] and proxy.offered == [b"\x02"]


def test_i2p_is_asked_by_name_and_without_a_login() -> None:
    async def work(rules: Rules, proxy: SocksProxy, server: TcpHint) -> None:
        async with dialled(DESTINATION, rules=rules) as connection:
            await connection.ping()

    assert by_proxy(work, lambda where: Rules(i2p=where)).asked == [Asked(None, DESTINATION.host, 80)]


def test_a_proxy_by_a_unix_socket_that_is_not_there_is_named(tmp_path: Path) -> None:
    async def work() -> None:
        with pytest.raises(NotReached) as refused:
            await dial.dial(PIN, [ONION], Rules(tor=UnixHint(str(tmp_path / "tor"))), os.urandom)
        assert refused.value.attempts == (Attempt(ONION, Kind.UNREACHABLE, "No such file or directory"),)

    run(work())


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (b"\x05\x02\x01\x00\x05\x04\x00\x01", "the proxy says: the host is unreachable"),
        (b"\x05\x02\x01\x00\x05\xf2\x00\x01", "the proxy says: no introduction point answered"),
        (b"\x05\x02\x01\x00\x05\x99\x00\x01", r"the proxy says: it failed \(153\)"),
        (b"\x05\x02\x01\x01", "the proxy says: it does not take the login"),
        (b"\x05\xff", "the proxy says: it takes no login"),
        (b"\x05\x00", "the proxy says: it takes no login"),
        (b"HTTP/1.1 400", "the proxy is none: it speaks another version"),
        (b"\x05\x02\x01\x00\x05\x00\x00\x07", "the proxy is none: an address of an unknown kind"),
        (b"\x05\x02\x01\x00\x05\x00\x00\x03\xff" + bytes(10), "the proxy has hung up"),
        (b"\x05", "the proxy has hung up"),
        (b"", "the proxy has hung up"),
    ],
)
def test_what_a_proxy_says_instead_is_told(said: bytes, why: str) -> None:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(said)
        with suppress(ConnectionError):
            writer.write_eof()
            await reader.read()
        writer.close()

    async def work() -> None:
        server = await asyncio.start_server(speak, "127.0.0.1", 0)
        where = TcpHint(*server.sockets[0].getsockname()[:2])
        with pytest.raises(NotReached, match=why):
            await dial.dial(PIN, [ONION], Rules(tor=where, proxied_seconds=2), os.urandom)
        server.close()
        await server.wait_closed()

    run(work())


def test_the_randomness_that_is_given_makes_key_and_login() -> None:
    owns: list[object] = []

    async def work(rules: Rules, proxy: SocksProxy, server: TcpHint) -> None:
        for seed in (1, 1, 2):
            connection = await dial.dial(PIN, [ONION], rules, numbers(seed))
            owns.append((connection.own, proxy.asked[-1].login))
            await connection.close()

    by_proxy(work, anonymous)
    assert owns[0] == owns[1] and owns[1] != owns[2]
