"""An agent behind its socket: who may call, the first words, calls one after the other, errors, and the end."""

import os
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from commonhold import __version__
from commonhold.agent import service
from commonhold.agent.local import LocalAgent
from commonhold.agent.opened import Served
from commonhold.calls import Adding, Agent, Open, OsPath
from commonhold.errors import HoldError, Kind
from commonhold.ipc.agentclient import Lost, RemoteAgent
from commonhold.ipc.agentwords import PROTOCOL
from commonhold.ipc.nodeclient import NodeStore
from tests.agent.answering import Answering, Noting, answer, answering, ask, hung_up
from tests.node.serving import running
from tests.opened import left_open, opened
from tests.waiting import SECONDS, until

ME = os.geteuid()


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Answering]:
    with answering(tmp_path) as found:
        yield found


def added(remote: Agent, data: bytes, name: str | None = None) -> str:
    """The CID of some bytes that were added."""
    fd = os.memfd_create("data")
    try:
        os.write(fd, data)
        os.lseek(fd, 0, os.SEEK_SET)
        return str(remote.files.add([OsPath("-")], Adding(name=name), Open(fd, "data"), Noting()).cid)
    finally:
        os.close(fd)


# ── who may call ──


def test_somebody_elses_agent_says_so_before_it_reads_a_word(tmp_path: Path) -> None:
    with answering(tmp_path, ME + 1) as agent:
        with agent.wire() as wire:
            said = answer(wire)
            assert said[0] == "failed" and said[1]["code"] == "E-DENIED" and hung_up(wire)
        for _ in range(3):
            with pytest.raises(HoldError) as caught, agent.called():
                pass
            assert caught.value.kind is Kind.DENIED and "somebody else's agent" in caught.value.why


def test_who_may_not_call_takes_nobodys_room(tmp_path: Path) -> None:
    with answering(tmp_path, ME + 1) as agent:
        for _ in range(service.MAX_CONNECTIONS + 5):
            with agent.wire() as wire:
                assert answer(wire)[1]["code"] == "E-DENIED"
        assert agent.service.idle is not None


def test_a_caller_says_nothing_to_somebody_elses_socket(tmp_path: Path) -> None:
    with answering(tmp_path) as agent, pytest.raises(HoldError) as caught:
        RemoteAgent(agent.path, ME + 1)
    assert caught.value.kind is Kind.DENIED and f"uid {ME} is behind it" in caught.value.why


def test_a_further_connection_is_refused_and_told_why_and_taken_when_another_ends(agent: Answering) -> None:
    wires = [socket.socket(socket.AF_UNIX) for _ in range(service.MAX_CONNECTIONS)]
    for wire in wires:
        wire.connect(str(agent.path))
    try:
        until(lambda: len(agent.service._open) == service.MAX_CONNECTIONS)
        for _ in range(5):
            with pytest.raises(HoldError) as caught, agent.called():
                pass
            assert caught.value.kind is Kind.BUSY and "64 connections" in caught.value.why
        wires.pop().close()
        until(lambda: len(agent.service._open) < service.MAX_CONNECTIONS)
        with agent.called() as remote:
            assert remote.keeping.usage().pins == 0
    finally:
        for wire in wires:
            wire.close()


# ── the first words ──


@pytest.mark.parametrize(
    ("name", "changed", "code"),
    [
        ("files.stat", {}, "E-INVALID"),
        ("OPEN", {}, "E-INVALID"),
        ("open", {"node": OsPath("/nothing/is/here")}, "E-NOT-FOUND"),
        ("open", {"node": OsPath("/dev/null")}, "E-UNREACHABLE"),
        ("open", {"node": "text"}, "E-INVALID"),
        ("open", {"cwd": 0}, "E-INVALID"),
        ("open", {"umask": "022"}, "E-INVALID"),
        ("open", {"umask": 2**70}, None),
        ("open", {"view": None}, "E-INVALID"),
    ],
)
def test_other_first_words_are_refused_and_the_connection_ends(
    agent: Answering, name: str, changed: dict[str, Any], code: str | None
) -> None:
    with agent.wire() as wire:
        coming = agent.coming(**changed)
        if code is None:
            with pytest.raises(OverflowError):
                wire.send([name, coming])
            return
        said = ask(wire, name, coming)
        assert (said[0], said[1]["code"]) == ("failed", code) and said[1]["hint"]
        assert hung_up(wire)
    until(lambda: agent.service.idle is not None)


@pytest.mark.parametrize("said", [[], ["open"], ["open", 7], ["open", []], ["open", [1]], [1, 2, 3], ["open", {}, []]])
def test_first_words_of_another_shape_are_refused(agent: Answering, said: list[Any]) -> None:
    with agent.wire() as wire:
        refused = ask(wire, *said)
        assert refused[0] == "failed" and refused[1]["code"] == "E-INVALID" and hung_up(wire)


@pytest.mark.parametrize("raw", [b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 8, bytes(4), b"\0\0\0\x01\xc1"])
def test_what_is_no_frame_is_refused(agent: Answering, raw: bytes) -> None:
    with agent.wire() as wire:
        wire.sock.sendall(raw)
        assert answer(wire)[1]["code"] == "E-INVALID"


def test_who_says_nothing_is_hung_up_on(agent: Answering, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "_COMING_SECONDS", 0.05)
    with agent.wire() as wire:
        assert hung_up(wire)
    monkeypatch.undo()
    with agent.opened() as wire:
        assert wire.sock.gettimeout() and ask(wire, "pins.all", [])[0] == "done"


def test_who_stands_where_the_agent_cannot_is_told_that_they_are_not_alike(agent: Answering) -> None:
    for changed in ({"view": "another"}, {"cwd": Open(os.open("/dev/null", os.O_PATH), "no directory")}):
        with agent.wire() as wire:
            kind, welcome = ask(wire, "open", agent.coming(**changed))
            assert kind == "done" and welcome[-1] is False
    with agent.wire() as wire:
        kind, (state, alike) = ask(wire, "open", agent.coming())
        status = agent.state.stat()
        assert (kind, state, alike) == ("done", [status.st_dev, status.st_ino], True)


def test_the_agent_says_hello_as_often_as_it_is_greeted(agent: Answering) -> None:
    with agent.wire() as wire:
        for _ in range(3):
            assert ask(wire, "hello", []) == ["done", [__version__, PROTOCOL, os.getpid()]]
        assert ask(wire, "open", agent.coming())[0] == "done" and ask(wire, "pins.all", [])[0] == "done"
        assert ask(wire, "hello", [])[1]["code"] == "E-UNSUPPORTED"


# ── calls ──


def test_one_call_comes_after_another_and_no_file_stays_open(agent: Answering) -> None:
    def several() -> None:
        with agent.called() as remote:
            cids = [added(remote, b"%d" % number * 1000, f"pin {number}") for number in range(5)]
            assert [str(pin.root) for pin in remote.pins.all()] == cids
            for number, cid in enumerate(cids):
                reading, writing = os.pipe()
                remote.files.read(cid, 0, 2, Open(writing, "pipe"))
                assert os.read(reading, 100) == (b"%d" % number * 2)
                os.close(reading)
                os.close(writing)
        until(lambda: agent.service.idle is not None)

    several()
    before = opened()
    several()
    assert left_open(before) == []


def test_an_unknown_call_is_refused_and_the_connection_goes_on(agent: Answering) -> None:
    with agent.opened() as wire:
        for name in ("files.chmod", "open", "files.__init__", "keys._keystore", "", "x" * 1000):
            said = ask(wire, name, [])
            assert (said[0], said[1]["code"]) == ("failed", "E-UNSUPPORTED") and len(said[1]["subject"]) <= 40
        assert ask(wire, "pins.all", []) == ["done", None]


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("pins.remove", []),
        ("pins.remove", [7]),
        ("pins.remove", ["a", "b"]),
        ("files.add", [[], {}, [0, "no such file"], 1]),
        ("files.add", [[b"zero\0byte"], {}, None]),
        ("files.add", [["text"], {}, None]),
        ("files.read", ["cid", 0, None, [-1, "x"]]),
        ("graphs.put_block", ["text", "raw", "sha2-256", None]),
        ("keeping.collect", [1]),
    ],
)
def test_ill_typed_arguments_are_refused_and_the_connection_ends(agent: Answering, name: str, given: list[Any]) -> None:
    with agent.opened() as wire:
        assert ask(wire, name, given)[1]["code"] == "E-INVALID" and hung_up(wire)
    with agent.called() as remote:
        assert list(remote.pins.all()) == []


ERRORS: dict[str, Callable[[Agent], object]] = {
    "no such pin": lambda agent: agent.pins.remove("none"),
    "no CID": lambda agent: agent.files.stat("no-cid"),
    "no such key": lambda agent: agent.keys.export("none", OsPath("here")),
    "no such file": lambda agent: agent.files.add([OsPath("/no/such")], Adding(), None, Noting()),
    "not UTF-8": lambda agent: agent.files.add(
        [OsPath(b"/\xff".decode(errors="surrogateescape"))], Adding(), None, Noting()
    ),
    "no profile": lambda agent: agent.files.add([OsPath("/")], Adding(profile="none"), None, Noting()),
    "no block": lambda agent: agent.graphs.block("bafkreifjjcie6lypi6ny7amxnfftagclbuxndqonfipmb64f2km2devei4"),
    "of a codec": lambda agent: agent.graphs.put_block(b"", "none", "sha2-256", None),
    "no stream": lambda agent: list(agent.files.listing("no-cid", True)),
    "no source": lambda agent: agent.files.add([OsPath("-")], Adding(), None, Noting()),
    "closed": lambda agent: agent.files.add([OsPath("-")], Adding(), Open(os.open("/", os.O_PATH), "root"), Noting()),
}


@pytest.mark.parametrize("name", ERRORS)
def test_an_error_is_the_same_from_a_socket_as_in_ones_own_process(agent: Answering, name: str) -> None:
    served = Served(agent.state, NodeStore(agent.node.socket), ME)
    with pytest.raises(HoldError) as here:
        ERRORS[name](LocalAgent(served))
    served.close()
    with agent.called() as remote:
        with pytest.raises(HoldError) as there:
            ERRORS[name](remote)
        assert there.value.described() == here.value.described()
        assert remote.keeping.usage().pins == 0  # and the connection goes on


def test_a_word_that_is_no_text_is_refused_and_the_connection_goes_on(agent: Answering) -> None:
    with agent.called() as remote:
        with pytest.raises(HoldError) as caught:
            remote.pins.remove("\udcff")
        assert caught.value.kind is Kind.USAGE and str(caught.value) == "call \\xff: is not UTF-8"
        assert list(remote.pins.all()) == []


def test_nothing_else_is_asked_in_the_middle_of_a_stream(agent: Answering) -> None:
    with agent.called() as remote:
        added(remote, b"one", "one")
        pins = remote.pins.all()
        next(pins)
        with pytest.raises(HoldError, match="not read to its end"):
            remote.keeping.usage()
        assert list(pins) == [] and remote.keeping.usage().pins == 1


def test_a_bug_is_told_to_the_caller_and_noted_and_ends_nothing(
    agent: Answering, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(NodeStore, "usage", lambda self: [][0])
    with agent.called() as remote:
        with pytest.raises(HoldError) as caught:
            remote.keeping.usage()
        assert caught.value.kind is Kind.BUG and "IndexError" in caught.value.why
        assert "Traceback" in capfd.readouterr().err
        assert list(remote.pins.all()) == []


# ── what it stands on goes ──


def test_a_node_that_has_gone_is_unreachable_and_works_again_when_it_is_back(agent: Answering, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    socket_path = agent.path.with_name("node.sock")
    with running(tmp_path / "other", socket=socket_path) as node, agent.called(socket_path) as remote:
        cid = added(remote, b"kept")
        node.stop()
        with pytest.raises(HoldError) as caught:
            remote.files.stat(cid)
        assert caught.value.kind is Kind.UNREACHABLE and not isinstance(caught.value, Lost)
        with pytest.raises(HoldError) as caught, agent.called(socket_path):
            pass
        assert caught.value.kind in (Kind.UNREACHABLE, Kind.NOT_FOUND)
    with running(tmp_path / "other", socket=socket_path), agent.called(socket_path) as remote:
        assert remote.files.stat(cid).size == 4


# ── the end ──


def test_a_call_under_way_is_finished_before_the_stop_and_none_begun_after(agent: Answering) -> None:
    reading, writing = os.pipe()
    results: list[object] = []
    with agent.called() as busy, agent.called() as idle:
        add = threading.Thread(
            target=lambda: results.append(busy.files.add([OsPath("-")], Adding(), Open(reading, "pipe"), Noting()))
        )
        add.start()
        os.write(writing, b"first ")
        until(lambda: agent.node.store.sessions)
        stopping = threading.Thread(target=lambda: agent.service.stop(20))
        stopping.start()
        with pytest.raises(Lost):
            until(lambda: idle.keeping.usage() is None)
        os.write(writing, b"second")
        os.close(writing)
        for thread in (add, stopping):
            thread.join(SECONDS)
            assert not thread.is_alive()
        assert len(results) == 1 and len(agent.node.store.pins()) == 1
    os.close(reading)


def test_a_call_that_does_not_end_is_cut_off(agent: Answering) -> None:
    reading, writing = os.pipe()
    with agent.opened() as wire:
        wire.send(["files.add", [[OsPath("-")], Adding(), Open(reading, "pipe")]])
        until(lambda: agent.node.store.sessions)
        agent.service.stop(0.05)
        with pytest.raises(EOFError):
            answer(wire)
        until(lambda: agent.service.idle is not None)
    assert not agent.node.store.pins()
    os.close(reading)
    os.close(writing)


def test_who_comes_during_the_stop_is_not_taken_in(agent: Answering) -> None:
    agent.service.stop(0)
    with pytest.raises(Lost), agent.called():
        pass


def test_it_knows_for_how_long_nobody_has_been_there(agent: Answering) -> None:
    first = agent.service.idle
    assert first is not None and first >= 0
    with agent.called() as remote:
        assert agent.service.idle is None and remote.keeping.usage()
    until(lambda: agent.service.idle is not None)
    assert (agent.service.idle or 0) < 10


def test_a_connection_that_is_reset_ends_quietly(agent: Answering, capfd: pytest.CaptureFixture[str]) -> None:
    with agent.opened() as wire:
        wire.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        wire.send(["pins.all", []])
    until(lambda: agent.service.idle is not None)
    assert capfd.readouterr().err == ""
