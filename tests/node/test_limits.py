"""How much one user may have at a time: requests, sessions, connections, and how long what is left lying stays."""

import threading
import time
from pathlib import Path

import pytest

from commonhold.errors import HoldError, Kind
from commonhold.ipc.nodeclient import NodeStore
from commonhold.node.config import Limits
from tests.node.serving import running, serving
from tests.node.wire import HEADER, Wire, archive, ask, begin, head, packed
from tests.suites.blockstore import key_of

BUSY = (423, "E-BUSY")


def test_a_user_has_so_many_sessions_and_another_when_one_has_ended(tmp_path: Path) -> None:
    with serving(tmp_path, limits=Limits(sessions=3)) as (config, _):
        sessions = [begin(config.socket) for _ in range(3)]
        refused = ask(config.socket, "POST", "/v1/sessions")
        assert (refused.status, refused.code) == BUSY
        ask(config.socket, "DELETE", f"/v1/sessions/{sessions[0]}")
        begin(config.socket)


def test_sessions_begun_at_once_are_counted_before_they_are_open(tmp_path: Path) -> None:
    with serving(tmp_path, limits=Limits(sessions=3, requests=20)) as (config, store):
        statuses: list[int] = []
        threads = [
            threading.Thread(target=lambda: statuses.append(ask(config.socket, "POST", "/v1/sessions").status))
            for _ in range(12)
        ]
        with store.mutex:  # none of them can be opened now
            for thread in threads:
                thread.start()
            time.sleep(0.3)
            assert ask(config.socket, "GET", "/v1/node").status == 200  # and the node does not wait for that
        for thread in threads:
            thread.join()
        assert sorted(statuses) == [200] * 3 + [423] * 9


def test_a_session_nobody_comes_back_to_is_closed_and_what_it_held_can_be_collected(tmp_path: Path) -> None:
    now = [0.0]
    limits = Limits(idle_seconds=600, sessions=2)
    with running(tmp_path, clock=lambda: now[0], limits=limits) as node:
        idle, used = begin(node.socket), begin(node.socket)
        for session in (idle, used):
            ask(
                node.socket,
                "POST",
                f"/v1/sessions/{session}/blocks",
                archive((key_of(session.encode()), session.encode())),
            )
        now[0] = 599
        node.do(node.service.close_idle())
        assert ask(node.socket, "POST", f"/v1/sessions/{used}/flush").status == 200
        now[0] = 601
        node.do(node.service.close_idle())
        assert ask(node.socket, "POST", f"/v1/sessions/{idle}/flush").status == 404
        assert ask(node.socket, "POST", f"/v1/sessions/{used}/flush").status == 200
        begin(node.socket)
        ask(node.socket, "POST", "/v1/collect")
        sizes = ask(node.socket, "POST", "/v1/blocks/stat", packed(key_of(idle.encode()), key_of(used.encode()))).body
        assert sizes == b"\xff" * 4 + (32).to_bytes(4, "little")


def test_a_session_in_use_is_not_idle_however_long_it_takes(tmp_path: Path) -> None:
    now = [0.0]
    with running(tmp_path, clock=lambda: now[0]) as node, Wire(node.socket) as wire:
        session = begin(node.socket)
        wire.send(head("POST", f"/v1/sessions/{session}/blocks", f"Content-Length: {len(HEADER)}"))
        time.sleep(0.1)
        now[0] = 10_000
        node.do(node.service.close_idle())
        wire.send(HEADER)
        assert wire.answer().status == 200
        node.do(node.service.close_idle())
        assert ask(node.socket, "POST", f"/v1/sessions/{session}/flush").status == 200


def test_who_waited_for_a_session_that_ended_is_told_so(tmp_path: Path) -> None:
    """What is put into a session that is closed would be kept by nobody and charged for ever."""
    key = key_of(b"late")
    with serving(tmp_path) as (config, store), Wire(config.socket) as first:
        session = begin(config.socket)
        first.send(head("POST", f"/v1/sessions/{session}/blocks", f"Content-Length: {len(HEADER)}"))
        time.sleep(0.1)
        answers = {}

        def end() -> None:
            answers["end"] = ask(config.socket, "DELETE", f"/v1/sessions/{session}").status

        def put() -> None:
            answers["put"] = ask(
                config.socket, "POST", f"/v1/sessions/{session}/blocks", archive((key, b"late"))
            ).status

        threads = []
        for work in (end, put):
            threads.append(threading.Thread(target=work))
            threads[-1].start()
            time.sleep(0.1)
        first.send(HEADER)
        assert first.answer().status == 200
        for thread in threads:
            thread.join()
        assert answers == {"end": 200, "put": 404}
        assert not store.has(key) and not store.sessions


def test_further_requests_wait_and_still_further_ones_are_refused(tmp_path: Path) -> None:
    with serving(tmp_path, limits=Limits(requests=2, waiting=3)) as (config, _):
        busy = [Wire(config.socket) for _ in range(2)]
        for wire in busy:
            wire.send(head("POST", "/v1/blocks/stat", "Content-Length: 1"))
        waiting = [Wire(config.socket) for _ in range(3)]
        for wire in waiting:
            time.sleep(0.05)
            wire.send(head("GET", "/v1/node"))
        time.sleep(0.1)
        refused = ask(config.socket, "GET", "/v1/node")
        assert (refused.status, refused.code) == BUSY
        for wire in busy:
            wire.send(b"\0")
            assert wire.answer().status == 400
        for wire in [*waiting, *busy]:
            with wire:
                if wire in waiting:
                    assert wire.answer().status == 200


def test_a_user_has_so_many_connections_and_another_when_one_has_gone(tmp_path: Path) -> None:
    with serving(tmp_path, limits=Limits(connections=5)) as (config, _):
        wires = [Wire(config.socket) for _ in range(5)]
        assert all(wire.request("GET", "/v1/node").status == 200 for wire in wires)
        with Wire(config.socket) as more:
            refused = more.answer()
            assert (refused.status, refused.code) == BUSY and more.hung_up()
        client = NodeStore(config.socket)
        with pytest.raises(HoldError, check=lambda error: error.kind is Kind.BUSY and "5 connections" in str(error)):
            client.account()
        wires.pop().sock.close()
        time.sleep(0.1)
        assert client.account()["blocks"] == 0
        client.close()
        for wire in wires:
            wire.sock.close()
