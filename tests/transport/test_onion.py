"""A server's onion address: its key stays, Tor is told of it again whenever it forgets, and nobody else is."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from commonhold.errors import HoldError, Kind
from commonhold.formats.hint import TcpHint, UnixHint
from commonhold.host.private import PrivateDirectory
from commonhold.transport import onion
from commonhold.transport.kept import Time
from commonhold.transport.onion import Control, Onion
from commonhold.transport.retrying import Pace, Retry
from tests.fakes.torcontrol import FakeTor
from tests.transport.ends import run, soon
from tests.transport.test_torcontrol import KEY, NAME, SERVICE


def directory(path: Path) -> PrivateDirectory:
    return PrivateDirectory("test", path / "state", os.geteuid())


def fake(path: Path) -> FakeTor:
    tor = FakeTor(path)
    tor.names[KEY] = NAME
    return tor


def control(tor: FakeTor) -> Control:
    return Control(tor.control, tor.cookie)


def test_the_key_stays_and_so_does_the_address(tmp_path: Path) -> None:
    first = onion.key(directory(tmp_path), os.urandom)
    assert onion.key(directory(tmp_path), os.urandom) == first
    [file] = (tmp_path / "state").iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    assert onion.key(directory(tmp_path / "state"), os.urandom) != first  # of another server


def test_a_key_that_others_can_read_or_that_is_none_is_not_used(tmp_path: Path) -> None:
    onion.key(directory(tmp_path), os.urandom)
    [file] = (tmp_path / "state").iterdir()
    file.chmod(0o640)
    with pytest.raises(HoldError) as caught:
        onion.key(directory(tmp_path), os.urandom)
    assert caught.value.kind is Kind.DENIED
    file.chmod(0o600)
    file.write_bytes(b"x")
    with pytest.raises(HoldError) as caught:
        onion.key(directory(tmp_path), os.urandom)
    assert caught.value.kind is Kind.CORRUPT and str(file) in str(caught.value)


def test_it_is_published_for_as_long_as_the_socket_is_open(tmp_path: Path) -> None:
    async def work() -> None:
        tor = fake(tmp_path)
        async with tor.running():
            sock = await Onion(control(tor), SERVICE, os.urandom).publish()
            assert tor.services == {KEY: "80,127.0.0.1:4321"}
            sock.close()
            await soon(lambda: not tor.services)

    run(work())


@asynccontextmanager
async def keeping(tor: FakeTor) -> AsyncIterator[list[HoldError | None]]:
    """A service that is kept, and what is told of it; time goes fast."""
    told: list[HoldError | None] = []
    time = Time(lambda: 0.0, lambda seconds: asyncio.sleep(seconds / 1000))
    retry = Retry(Pace(spread=1, first=1, longest=60), lambda: 0.5)
    running = asyncio.ensure_future(Onion(control(tor), SERVICE, os.urandom).keep(retry, time, told.append))
    try:
        yield told
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def test_a_tor_that_comes_back_is_told_again(tmp_path: Path) -> None:
    async def work() -> None:
        tor = fake(tmp_path)
        async with keeping(tor) as told:
            for turn in range(3):
                await soon(lambda: bool(told) and told[-1] is not None)  # there is none
                told.clear()
                async with tor.running():
                    await soon(lambda: told[-1:] == [None])
                    assert list(tor.services) == [KEY], turn
                    count = len(told)
                    tor.hang_up()
                    await soon(lambda: len(told) > count + 1 and told[-1] is None)  # noqa: B023
                    ended = told[count]
                    assert ended is not None and ended.kind is Kind.UNREACHABLE and "ended" in ended.why
                Path(tor.control.path).unlink()
        assert not tor.services

    run(work())


def test_a_tor_with_another_cookie_is_not_given_the_key(tmp_path: Path) -> None:
    async def work() -> None:
        tor = fake(tmp_path)
        other = tmp_path / "other"
        other.write_bytes(bytes(32))
        async with tor.running():
            with pytest.raises(HoldError, match="does not know the cookie") as caught:
                await Onion(Control(tor.control, other), SERVICE, os.urandom).publish()
            assert caught.value.kind is Kind.UNREACHABLE
        assert [line.split()[0] for line in tor.asked] == ["AUTHCHALLENGE"]

    run(work())


def test_what_tor_refuses_is_said_with_what_to_look_at(tmp_path: Path) -> None:
    async def work() -> None:
        tor = fake(tmp_path)
        async with tor.running():
            with await Onion(control(tor), SERVICE, os.urandom).publish():
                with pytest.raises(HoldError, match="Onion address collision") as caught:
                    await Onion(control(tor), SERVICE, os.urandom).publish()
                assert caught.value.kind is Kind.DENIED and "Tor" in caught.value.hint

    run(work())


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (b"", "hung up"),
        (b"SSH-2.0-OpenSSH\r\n", "what answers is not Tor"),
        (b"250 OK\r\n", "what answers is not Tor"),
        (b"250 OK\r\n250 OK\r\n", "more than was asked for"),
        (b"250 " + bytes([0x61]) * 5000, "what answers is not Tor"),
        (b"514 Authentication required.\r\n", "Authentication required"),
    ],
)
def test_what_answers_in_tors_place_is_told_apart(tmp_path: Path, said: bytes, why: str) -> None:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(said)
        with suppress(ConnectionError):
            writer.write_eof()
            await reader.read()
        writer.close()

    async def work() -> None:
        where, cookie = UnixHint(str(tmp_path / "control")), tmp_path / "cookie"
        cookie.write_bytes(bytes(32))
        server = await asyncio.start_unix_server(speak, where.path)
        with pytest.raises(HoldError, match=why):
            await Onion(Control(where, cookie), SERVICE, os.urandom).publish()
        server.close()
        await server.wait_closed()
        await asyncio.sleep(0)

    run(work())


def test_who_does_not_answer_is_not_waited_for_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onion, "_SECONDS", 0.05)
    (tmp_path / "cookie").write_bytes(bytes(32))

    async def work(where: TcpHint) -> None:
        with pytest.raises(HoldError, match="no answer within"):
            await Onion(Control(where, tmp_path / "cookie"), SERVICE, os.urandom).publish()

    with socket.create_server(("127.0.0.1", 0)) as mute:
        run(work(TcpHint(*mute.getsockname())))


@pytest.mark.parametrize(
    ("cookie", "kind"),
    [(None, Kind.NOT_FOUND), (b"", Kind.INVALID), (bytes(31), Kind.INVALID), (bytes(33), Kind.INVALID)],
)
def test_a_cookie_that_is_none_is_said(tmp_path: Path, cookie: bytes | None, kind: Kind) -> None:
    path = tmp_path / "cookie"
    if cookie is not None:
        path.write_bytes(cookie)
    with pytest.raises(HoldError) as caught:
        run(Onion(Control(UnixHint("/none"), path), SERVICE, os.urandom).publish())
    assert caught.value.kind is kind and caught.value.subject == str(path)


@pytest.mark.parametrize("host", ["192.0.2.1", "localhost", "tor.example", "2001:db8::1", "169.254.0.1", "0.0.0.0"])
def test_the_key_is_not_given_to_another_machine(host: str, tmp_path: Path) -> None:
    with pytest.raises(HoldError) as caught:
        Control(TcpHint(host, 9051), tmp_path / "cookie")
    assert caught.value.kind is Kind.USAGE


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1"])
def test_a_control_port_is_at_loopback(host: str, tmp_path: Path) -> None:
    Control(TcpHint(host, 9051), tmp_path / "cookie")
