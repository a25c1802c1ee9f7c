"""What anybody on the host can send to a tender who keeps to no rule: it is told, or hung up on, and all goes on."""

import asyncio
import contextlib
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from commonhold.formats.charge import MAX_CHARGE, MAX_SEATS
from commonhold.ipc.answering import MAX_JSON
from commonhold.tender import service
from tests.exchange.grids import GRID
from tests.node.wire import Wire, head
from tests.tender.parties import Clock, serving, wards
from tests.transport.ends import run

CALLS = ("/v1/keys", "/v1/here", "/v1/forget")
GRIDS = b'{"grid": "%s", "servers": []}' % GRID.hex().encode()
SHORT = 0.2


def trying(directory: Path, work: Callable[[Path], None]) -> None:
    """Do something at a tender's socket, after which it serves as before and has written nothing."""

    async def tried() -> None:
        async with serving(wards(directory, Clock())) as path:
            await asyncio.to_thread(work, path)
            await asyncio.to_thread(sound, path)

    run(tried())
    assert list((directory / "tender" / "wards").iterdir()) == []


def sound(path: Path) -> None:
    """A call as it should be is answered."""
    with Wire(path) as wire:
        answer = wire.request("POST", "/v1/keys", GRIDS)
        assert (answer.status, answer.said) == (200, {"keys": []})


@pytest.mark.parametrize(
    ("method", "call", "body", "code"),
    [
        ("GET", "/v1/keys", b"", "E-USAGE"),
        ("POST", "/v1/charge", b"", "E-USAGE"),
        ("POST", "/v1/other", b"", "E-NOT-FOUND"),
        *(("POST", call, body, "E-INVALID") for call in CALLS for body in (
            b"", b"{", b"[]", b"null", b"\xff", b"[" * 60_000, b"{}", b'{"grid": 7}', b'{"grid": "%s"}' % (b"0" * 62),
            b'{"grid": "%s"}' % (b"x" * 64),
        )),
        ("POST", "/v1/keys", b'{"grid": "%s", "servers": {}}' % GRID.hex().encode(), "E-INVALID"),
        ("POST", "/v1/keys", b'{"grid": "%s", "servers": [%s]}' % (
            GRID.hex().encode(), b",".join([b'""'] * (MAX_SEATS + 1))), "E-INVALID"),
        ("PUT", "/v1/charge", b"", "E-INVALID"),
        ("PUT", "/v1/charge", b"\xa1" * 1000, "E-INVALID"),
        ("PUT", "/v1/charge", bytes(MAX_CHARGE + 1), "E-TOO-LARGE"),
        ("POST", "/v1/here", b" " * (MAX_JSON + 1), "E-TOO-LARGE"),
    ],
)  # fmt: skip
def test_what_is_no_call_is_named(tmp_path: Path, method: str, call: str, body: bytes, code: str) -> None:
    def work(path: Path) -> None:
        with Wire(path) as wire:
            answer = wire.request(method, call, body)
            assert answer.code == code and answer.status >= 400

    trying(tmp_path, work)


def test_what_is_too_much_is_refused_before_it_comes(tmp_path: Path) -> None:
    def work(path: Path) -> None:
        for call in CALLS:
            with Wire(path) as wire:
                wire.send(head("POST", call, f"Content-Length: {MAX_JSON + 1}"))
                assert wire.answer().code == "E-TOO-LARGE"

    trying(tmp_path, work)


def test_in_chunks_no_more_comes_in_than_at_once(tmp_path: Path) -> None:
    def work(path: Path) -> None:
        piece = b"%x\r\n%s\r\n" % (MAX_JSON // 2, b" " * (MAX_JSON // 2))
        with Wire(path) as wire:
            wire.send(head("POST", "/v1/here", "Transfer-Encoding: chunked"), piece * 3, b"0\r\n\r\n")
            assert wire.answer().code == "E-TOO-LARGE"

    trying(tmp_path, work)


def test_with_a_body_that_cannot_be_nobody_fills_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:

    def work(path: Path) -> None:
        for call, method in (("/v1/here", "POST"), ("/v1/charge", "PUT")):
            with Wire(path) as wire:
                wire.send(head(method, call, "Transfer-Encoding: chunked"), b"no length\r\n")
                with contextlib.suppress(EOFError, ConnectionError):  # hanging up is an answer too
                    assert wire.answer().status == 400

    trying(tmp_path, work)
    assert caplog.records == []


def test_a_body_that_stops_half_way_is_given_up_and_keeps_nobody_else_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "_SECONDS", SHORT)

    def work(path: Path) -> None:
        for call, method in (("/v1/here", "POST"), ("/v1/charge", "PUT")):
            with Wire(path) as wire:
                began = time.monotonic()
                wire.send(head(method, call, "Content-Length: 1000"), b"{")
                answer = wire.answer()
                assert answer.code == "E-FAILED" and "too long" in answer.said["why"]
                assert time.monotonic() - began >= SHORT

    trying(tmp_path, work)


def test_who_leaves_half_way_leaves_nothing_behind(tmp_path: Path) -> None:
    def work(path: Path) -> None:
        for _ in range(2 * service.CONNECTIONS):
            with Wire(path) as wire:
                wire.send(head("PUT", "/v1/charge", f"Content-Length: {MAX_CHARGE}"), bytes(1 << 16))

    trying(tmp_path, work)


def test_a_user_has_so_many_connections(tmp_path: Path) -> None:
    def work(path: Path) -> None:
        with contextlib.ExitStack() as stack:
            wires = [stack.enter_context(Wire(path)) for _ in range(service.CONNECTIONS)]
            for wire in wires:
                assert wire.request("POST", "/v1/keys", GRIDS).status == 200
            with Wire(path) as one_more:
                assert one_more.answer().code == "E-BUSY"
            wires[0].sock.shutdown(socket.SHUT_RDWR)
            assert wires[0].sock.recv(1) == b""

    trying(tmp_path, work)
