"""A node comes and goes cleanly: what is under way is finished, no socket is taken from another, many fit on a host."""

import contextlib
import os
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from commonhold.errors import HoldError, Kind
from commonhold.ipc import accepting
from commonhold.ipc.nodeclient import NodeStore
from commonhold.node import main
from commonhold.node.config import Config, Limits
from tests.node.serving import running, serving
from tests.node.wire import HEADER, Wire, archive, ask, begin, head, packed, put
from tests.suites.blockstore import key_of


@pytest.fixture
def short() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="hold-") as directory:
        yield Path(directory)


def test_what_is_under_way_is_finished_and_nothing_more_is_begun(tmp_path: Path) -> None:
    data = b"d" * (1 << 20)
    body = archive((key_of(data), data))
    with running(tmp_path) as node:
        big = [bytes([n]) * (2 << 20) for n in range(12)]
        keys = put(node.socket, "big", *big)
        session = begin(node.socket)
        with Wire(node.socket) as upload, Wire(node.socket) as download, Wire(node.socket) as idle:
            assert idle.request("GET", "/v1/node").status == 200
            upload.send(head("POST", f"/v1/sessions/{session}/blocks", f"Content-Length: {len(body)}"), body[:1000])
            asked = packed(*keys)
            download.send(head("POST", "/v1/blocks/read", f"Content-Length: {len(asked)}"), asked)
            time.sleep(0.2)
            node.tell_to_stop()
            time.sleep(0.2)
            refused = idle.request("GET", "/v1/node")
            assert (refused.status, refused.code) == (503, "E-UNREACHABLE")
            with pytest.raises(OSError):
                Wire(node.socket)
            upload.send(body[1000:])
            assert upload.answer().said["blocks"] == 1
            assert download.answer().body == archive(*zip(keys, big, strict=True))
        began = time.monotonic()
        node.stop()
        assert time.monotonic() - began < 15  # not all of _STOP_SECONDS


def test_what_does_not_end_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(main, "_STOP_SECONDS", 0.3)
    monkeypatch.setattr(accepting, "_CUT_SECONDS", 0.1)
    with running(tmp_path) as node:
        session = begin(node.socket)
        key = key_of(b"kept until the stop")
        with Wire(node.socket) as sure, Wire(node.socket) as stuck, Wire(node.socket) as idle:
            sure.request("POST", f"/v1/sessions/{session}/blocks", archive((key, b"kept until the stop")))
            assert sure.request("POST", f"/v1/sessions/{session}/flush").status == 200
            stuck.send(head("POST", f"/v1/sessions/{session}/blocks", "Content-Length: 1000"), HEADER)
            time.sleep(0.1)
            began = time.monotonic()
            node.stop()
            assert time.monotonic() - began < 15
            assert idle.hung_up()
            assert stuck.hung_up()
        assert node.store.get(key) and not node.store.sessions


def test_a_waiting_request_is_answered_before_the_stop(tmp_path: Path) -> None:
    with running(tmp_path, limits=Limits(requests=1)) as node, Wire(node.socket) as busy, Wire(node.socket) as waiting:
        busy.send(head("POST", "/v1/blocks/stat", "Content-Length: 1"))
        time.sleep(0.1)
        waiting.send(head("GET", "/v1/account"))
        time.sleep(0.1)
        node.tell_to_stop()
        busy.send(b"\0")
        assert busy.answer().status == 400 and waiting.answer().status == 200


def test_several_nodes_on_one_host_know_nothing_of_each_other(tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        stores = []
        for number in range(3):
            (tmp_path / str(number)).mkdir()
            config, _ = stack.enter_context(serving(tmp_path / str(number)))
            put(config.socket, "mine", b"%d" % number)
            stores.append(stack.enter_context(contextlib.closing(NodeStore(config.socket))))
        for number, store in enumerate(stores):
            assert list(store.keys()) == [key_of(b"%d" % number)]


def test_a_socket_on_which_somebody_listens_is_not_taken(tmp_path: Path, short: Path) -> None:
    with serving(tmp_path) as (config, _):
        with pytest.raises(HoldError) as caught:
            main.listen(Config(tmp_path / "other", config.socket))
        assert caught.value.kind is Kind.EXISTS and "another daemon" in str(caught.value)
        assert ask(config.socket, "GET", "/v1/node").status == 200
    full = socket.socket(socket.AF_UNIX)
    full.bind(str(short / "full"))
    full.listen(0)
    with full, socket.socket(socket.AF_UNIX) as one:
        one.connect(str(short / "full"))  # there is no room for another
        with pytest.raises(HoldError, match="another daemon"):
            main.listen(Config(tmp_path / "other", short / "full"))


def test_a_socket_whose_node_has_gone_is_taken(tmp_path: Path, short: Path) -> None:
    main.listen(Config(tmp_path, short / "node.sock")).close()
    main.listen(Config(tmp_path, short / "node.sock")).close()


def test_what_is_no_socket_is_left_alone(tmp_path: Path, short: Path) -> None:
    (short / "node.sock").write_text("mine")
    with pytest.raises(HoldError) as caught:
        main.listen(Config(tmp_path, short / "node.sock"))
    assert caught.value.kind is Kind.EXISTS and (short / "node.sock").read_text() == "mine"


@pytest.mark.parametrize("mode", [0o777, 0o770])
def test_a_directory_in_which_others_could_put_their_socket_is_refused(tmp_path: Path, short: Path, mode: int) -> None:
    short.chmod(mode)
    with pytest.raises(HoldError) as caught:
        main.listen(Config(tmp_path, short / "node.sock"))
    assert caught.value.kind is Kind.DENIED
    assert not list(short.iterdir())


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give a directory away")
def test_a_directory_of_somebody_else_is_refused(tmp_path: Path, short: Path) -> None:
    os.chown(short, 12_345, -1)
    with pytest.raises(HoldError) as caught:
        main.listen(Config(tmp_path, short / "node.sock"))
    assert caught.value.kind is Kind.DENIED and "12345" in str(caught.value)


def test_who_may_connect_is_in_the_mode_of_the_socket(tmp_path: Path, short: Path) -> None:
    for group, mode in ((None, 0o600), ("users", 0o666)):
        main.listen(Config(tmp_path, short / "node.sock", group=group)).close()
        assert (short / "node.sock").stat().st_mode & 0o777 == mode


def test_a_stop_while_many_ask_leaves_every_one_with_an_answer_or_a_closed_connection(tmp_path: Path) -> None:
    with running(tmp_path) as node:
        put(node.socket, "a", b"block")
        wrong: list[object] = []
        done = [0]

        def asking() -> None:
            store = NodeStore(node.socket)
            try:
                while True:
                    assert store.get(key_of(b"block")) == b"block"
                    done[0] += 1
            except HoldError as error:
                if error.kind is not Kind.UNREACHABLE:
                    wrong.append(error)
            except BaseException as error:  # noqa: BLE001 what must not be
                wrong.append(error)
            finally:
                store.close()

        threads = [threading.Thread(target=asking) for _ in range(8)]
        for thread in threads:
            thread.start()
        time.sleep(0.5)
        node.stop()
        for thread in threads:
            thread.join()
        assert not wrong and done[0] > 8
