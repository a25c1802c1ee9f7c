"""A node that lies is caught and named, and nothing wrong is given on."""

import contextlib
import fcntl
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from commonhold.errors import HoldError, Kind
from commonhold.formats import car, tray
from commonhold.formats import cid as cids
from commonhold.formats.spots import MEMORY
from commonhold.ipc import ahead, descriptors
from commonhold.ipc.nodeclient import NodeStore
from commonhold.ipc.trays import LARGE
from commonhold.ipc.unixhttp import Client
from commonhold.node.memory import Memory
from tests.ipc.liar import Answer, Liar, lying, ok
from tests.node.serving import running
from tests.node.wire import HEADER, archive, put
from tests.opened import left_open, opened
from tests.suites.blockstore import keep, key_of

DATA = b"what was asked for"
KEY, OTHER = key_of(DATA), key_of(b"other")


def caught(kind: Kind, path: Path | None = None) -> "pytest.RaisesExc[HoldError]":
    return pytest.raises(
        HoldError, check=lambda error: error.kind is kind and (path is None or str(path) in error.subject)
    )


# ── blocks ──


def read_one(store: NodeStore) -> object:
    return store.get(KEY)


def read_into(store: NodeStore) -> object:
    into = memoryview(bytearray(100))
    store.read_into(KEY, into)
    return bytes(into[: len(DATA)])


WRONG_BLOCKS: dict[str, bytes] = {
    "wrong bytes": ok(archive((KEY, b"what was asked FOR"))),
    "another block": ok(archive((key_of(b"what was asked FOR"), b"what was asked FOR"))),
    "too long": ok(archive((KEY, DATA + b"!"))),
    "far too long": ok(archive((KEY, bytes(3 << 20)))),
    "said to be far too long": b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n" + archive((KEY, DATA)),
    "too short": ok(archive((KEY, DATA[:-1]))),
    "two blocks": ok(archive((KEY, DATA), (KEY, DATA))),
    "no archive": ok(b"x" * len(archive((KEY, DATA)))),
    "nothing": ok(b""),
    "no length": b"HTTP/1.1 200 OK\r\n\r\n" + archive((KEY, DATA)),
    "chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
    "another CID of it": ok(HEADER + car.encode_section(cids.make_v1(cids.DAG_PB, KEY), DATA)),
}


@pytest.mark.parametrize("read", [read_one, read_into])
@pytest.mark.parametrize("answer", WRONG_BLOCKS.values(), ids=list(WRONG_BLOCKS))
def test_a_block_that_is_not_the_one_is_refused_and_the_node_named(
    read: Callable[[NodeStore], object], answer: bytes
) -> None:
    with lying(answer, ok(archive((KEY, DATA)))) as liar, contextlib.closing(NodeStore(liar.path)) as store:
        with caught(Kind.CORRUPT, liar.path):
            read(store)
        assert read(store) == DATA  # what was left of the lie is not taken for the next answer


def test_a_block_longer_than_its_place_is_not_written_past_it() -> None:
    with lying(ok(archive((KEY, DATA)))) as liar, contextlib.closing(NodeStore(liar.path)) as store:
        memory = bytearray(b"." * 100)
        with caught(Kind.CORRUPT):
            store.read_into(KEY, memoryview(memory)[:10])
        assert memory == b"." * 100


def test_a_block_that_is_said_not_to_be_there_is_not_there() -> None:
    with lying(ok(HEADER)) as liar, contextlib.closing(NodeStore(liar.path)) as store, caught(Kind.NOT_FOUND):
        store.get(KEY)


WRONG_BATCHES: dict[str, bytes] = {
    "wrong bytes": ok(archive((KEY, b"x" * len(DATA)), (OTHER, b"other"))),
    "not asked for": ok(archive((key_of(b"third"), b"third"))),
    "one too many": ok(archive((KEY, DATA), (OTHER, b"other"), (KEY, DATA))),
    "cut short": ok(archive((KEY, DATA), (OTHER, b"other"))[:-1]),
    "malformed": ok(HEADER + b"\xff" * 30),
    "no archive": ok(b""),
}


@pytest.mark.parametrize("answer", WRONG_BATCHES.values(), ids=list(WRONG_BATCHES))
def test_of_a_batch_with_something_wrong_in_it_nothing_is_used(answer: bytes) -> None:
    with lying(answer, ok(archive((KEY, DATA)))) as liar, contextlib.closing(NodeStore(liar.path)) as store:
        store.expect([KEY, OTHER])
        with caught(Kind.CORRUPT, liar.path):
            store.get(OTHER)
        assert store.get(KEY) == DATA and len(liar.asked) == 2


@pytest.mark.parametrize("answer", [b"", b"123", b"12345", b"1" * 1000])
def test_sizes_of_another_number_are_refused(answer: bytes) -> None:
    with lying(ok(answer)) as liar, contextlib.closing(NodeStore(liar.path)) as store, caught(Kind.CORRUPT, liar.path):
        store.size(KEY)


# ── answers in JSON, and lists of keys ──


GARBAGE: dict[str, bytes] = {
    "nothing": b"",
    "not JSON": b"\xff{",
    "a number": b"5",
    "null": b"null",
    "a text": b'"x"',
    "an empty object": b"{}",
    "a list of wrong things": b"[1, null, {}]",
    "deep": b"[" * 100_000,
    "a long number": b"9" * 5000,
    "wrong types": b'{"id": [], "bytes": [], "blocks": [], "pins": [], "known": [], "name": [], "root": []}',
    "infinite": b'{"id": "", "bytes": Infinity, "blocks": NaN, "known": 1, "pins": 1}',
    "an id to inject by": json.dumps({"id": "x HTTP/1.1\r\nX: y", "bytes": "one", "blocks": 1, "pins": 1}).encode(),
}
CALLS: dict[str, Callable[[NodeStore], Any]] = {
    "session": lambda store: store.session(),
    "pins": lambda store: store.pins(),
    "pin": lambda store: store.pin("a"),
    "pin_keys": lambda store: list(store.pin_keys("a")),
    "keys": lambda store: list(store.keys()),
    "usage": lambda store: store.usage(),
    "collect": lambda store: store.collect(),
    "delete": lambda store: store.delete(KEY),
    "sizes": lambda store: store.sizes([KEY, OTHER]),
    "get": lambda store: store.get(KEY),
}
HARMLESS = {  # answers that could be true
    *[("pins", name) for name in ("an empty object", "a text")],
    *[("pin", name) for name in ("an empty object", "null")],
    ("pins", "nothing"),
}


@pytest.mark.parametrize("garbage", GARBAGE)
@pytest.mark.parametrize("call", CALLS)
def test_an_answer_that_cannot_be_is_an_error_that_names_the_node(call: str, garbage: str) -> None:
    with lying(ok(GARBAGE[garbage])) as liar, contextlib.closing(NodeStore(liar.path)) as store:
        try:
            CALLS[call](store)
        except HoldError as error:
            assert error.kind in (Kind.CORRUPT, Kind.UNREACHABLE) and str(liar.path) in str(error)
        else:
            assert (call, garbage) in HARMLESS


def test_a_pin_of_another_name_is_refused() -> None:
    said = {"name": "b", "root": str(cids.make_v1(cids.RAW, KEY)), "blocks": 1, "bytes": 1, "made": 0, "owner": 1}
    answer = ok(json.dumps([said | {"readers": []}]).encode())
    with lying(answer) as liar, contextlib.closing(NodeStore(liar.path)) as store, caught(Kind.CORRUPT, liar.path):
        store.pin("a")


@pytest.mark.parametrize(
    "body",
    [
        b"\xff\xff\xff\xff",
        (5).to_bytes(4, "little") + b"\x22\x12\x20xx" + bytes(4),
        (3).to_bytes(4, "little") + b"\x22\x12\x20",
        b"\x01\x00",
    ],
)
def test_a_list_of_keys_that_are_none_is_refused(body: bytes) -> None:
    with lying(ok(body), ok(bytes(4))) as liar, contextlib.closing(NodeStore(liar.path)) as store:
        with pytest.raises(HoldError, match=str(liar.path)):
            list(store.keys())
        assert list(store.keys()) == []


def test_an_answer_without_end_is_given_up_at_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("commonhold.ipc.unixhttp.MAX_ANSWER", 1 << 20)
    endless = b"HTTP/1.1 200 OK\r\n\r\n" + b"[" * (3 << 20)
    with lying(endless) as liar, contextlib.closing(NodeStore(liar.path)) as store, caught(Kind.UNREACHABLE):
        store.pins()


# ── what is no answer at all ──

NO_ANSWER: dict[str, Answer] = {
    "it hangs up": None,
    "half a status": b"HTTP/1.1 2",
    "no HTTP": b"hello\r\n\r\n",
    "a header without end": b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000,
    "headers without end": b"HTTP/1.1 200 OK\r\n" + b"X: x\r\n" * 1000,
    "half a body": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n[]",
    "a wrong chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
}


@pytest.mark.parametrize("answer", NO_ANSWER.values(), ids=list(NO_ANSWER))
def test_what_is_no_answer_is_an_unreachable_node(answer: Answer) -> None:
    with lying(answer, then_close=True) as liar, contextlib.closing(NodeStore(liar.path)) as store:
        for call in (store.pins, store.account, lambda: store.get(KEY)):
            with pytest.raises(HoldError, match=str(liar.path)) as caught:
                call()
            assert caught.value.kind in (Kind.UNREACHABLE, Kind.CORRUPT)


@pytest.mark.parametrize(
    "status", ["301 Moved", "302 Found", "204 No Content", "206 Partial Content", "304 Not Modified"]
)
def test_an_answer_that_sends_elsewhere_or_means_something_else_is_not_followed_nor_believed(status: str) -> None:
    answer = ok(b"" if status[:3] in ("204", "304") else b"{}", "Location: /v1/elsewhere", status=status)
    with lying(answer) as liar, contextlib.closing(NodeStore(liar.path)) as store:
        with pytest.raises(HoldError, match=status[:3]):
            store.unpin("a")
        assert len(liar.asked) == 1


@pytest.mark.parametrize("body", [b"", b"\xff", b"[" * 50_000, b"[]", b'{"code": [], "why": {}}', b"x" * 100_000])
def test_a_refusal_in_no_known_form_is_a_refusal(body: bytes) -> None:
    with lying(ok(body, status="500 No")) as liar, contextlib.closing(NodeStore(liar.path)) as store:
        for _ in range(2):
            with caught(Kind.FAILED):
                store.account()


def test_a_node_that_says_nothing_is_waited_for_so_long_and_no_longer() -> None:
    with lying(b"") as liar:
        client = Client(liar.path, timeout=0.2)
        began = time.monotonic()
        with caught(Kind.UNREACHABLE, liar.path):
            client.json("GET", "/v1/account")
        assert time.monotonic() - began < 15
        client.close()


# ── adds ──


def sessions(*answers: Answer) -> tuple[Answer, ...]:
    return (ok(b'{"id": "abc"}'), *answers)


TAKEN = b'{"blocks": 1, "bytes": 18, "known": 0}'
NO_MEMORY = ok(b'{"code": "E-UNSUPPORTED", "why": "none to be had"}', status="415 Unsupported")
SHARED = ok(b'{"bytes": 33554432}')
WRONG_ADDS: dict[str, tuple[Answer, ...]] = {
    "keep is cut short": (ok(b""),),
    "keep is too long": (ok(b"\1\1"),),
    "took none": (ok(b"\0"), ok(b'{"blocks": 0, "known": 0}')),
    "garbage": (ok(b"\0"), ok(b"[]")),
    "no JSON": (ok(b"\0"), ok(b"\xff")),
    "hung up": (ok(b"\0"), None),
    "committed another": (
        ok(b"\0"),
        ok(TAKEN),
        ok(
            json.dumps(
                {"name": "a", "root": str(cids.make_v1(cids.RAW, OTHER)), "blocks": 1, "bytes": 18, "made": 0.0}
                | {"owner": 1, "readers": []}
            ).encode()
        ),
    ),
    "committed nothing": (ok(b"\0"), ok(TAKEN), ok(b"{}")),
}


@pytest.fixture
def memory() -> Iterator[int]:
    """Memory as a node shares it."""
    with contextlib.closing(Memory()) as made:
        yield made.fd


@pytest.mark.parametrize("way", ["memory", "archives"])
@pytest.mark.parametrize("answers", WRONG_ADDS.values(), ids=list(WRONG_ADDS))
def test_an_add_that_was_answered_wrongly_fails_and_nobody_waits_for_ever(
    answers: tuple[Answer, ...], way: str, memory: int
) -> None:
    first: Answer = NO_MEMORY if way == "archives" else ([memory], SHARED)
    with lying(*sessions(first, *answers), ok(b"{}")) as liar, contextlib.closing(NodeStore(liar.path)) as store:
        done: list[object] = []

        def add() -> None:
            try:
                keep(store, "a", DATA)
            except HoldError as error:
                done.append(error)

        adding = threading.Thread(target=add, daemon=True)
        adding.start()
        adding.join(20)
        assert len(done) == 1 and str(liar.path) in str(done[0])


def a_pipe() -> list[int]:
    return list(os.pipe()[:1])


def a_file() -> list[int]:
    return [os.open(__file__, os.O_RDONLY)]


def memory_of_another_size() -> list[int]:
    fd = os.memfd_create("small", os.MFD_ALLOW_SEALING)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
    return [fd]


def memory_that_may_become_shorter() -> list[int]:
    fd = os.memfd_create("unsealed", os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, MEMORY)
    return [fd]


def memory_that_cannot_be_written() -> list[int]:
    with contextlib.closing(Memory()) as made:
        return [os.open(f"/proc/self/fd/{made.fd}", os.O_RDONLY)]


def two_memories() -> list[int]:
    return [os.dup(made.fd) for made in (Memory(), Memory())]


def nothing_at_all() -> list[int]:
    return []


NO_SHARED_MEMORY = (
    a_pipe,
    a_file,
    memory_of_another_size,
    memory_that_may_become_shorter,
    memory_that_cannot_be_written,
    two_memories,
    nothing_at_all,
)


@pytest.mark.parametrize("given", NO_SHARED_MEMORY)
def test_what_is_not_the_memory_that_was_asked_for_is_refused_and_closed(given: Callable[[], list[int]]) -> None:
    fds = given()
    try:
        with (
            lying(*sessions((fds, SHARED)), ok(b"{}")) as liar,
            contextlib.closing(NodeStore(liar.path)) as store,
            caught(Kind.CORRUPT, liar.path),
        ):
            keep(store, "a", DATA)
    finally:
        descriptors.close_all(fds)


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 2, ok(b"no"), ok(b"", status="500 No")])
def test_memory_that_is_promised_and_not_given_is_an_error_that_names_the_node(answer: bytes) -> None:
    with lying(*sessions(answer, None)) as liar, contextlib.closing(NodeStore(liar.path, timeout=0.5)) as store:
        with pytest.raises(HoldError) as failed:
            keep(store, "a", DATA)
        assert failed.value.kind in (Kind.UNREACHABLE, Kind.CORRUPT, Kind.FAILED)


# ── nodes that come and go ──


@pytest.fixture
def short() -> Iterator[Path]:
    import tempfile

    with tempfile.TemporaryDirectory(prefix="hold-") as directory:
        yield Path(directory)


def test_a_socket_that_is_not_there_is_an_unreachable_node(short: Path) -> None:
    store = NodeStore(short / "node.sock")
    for _ in range(2):
        with caught(Kind.UNREACHABLE, short / "node.sock"):
            store.account()
    store.close()


def test_a_socket_that_vanished_does_not_end_what_is_connected_and_a_new_one_is_found(tmp_path: Path) -> None:
    with running(tmp_path) as node:
        put(node.socket, "a", DATA)
        store = NodeStore(node.socket)
        assert store.get(KEY) == DATA
        node.socket.unlink()
        assert store.get(KEY) == DATA
        elsewhere = NodeStore(node.socket)
        with caught(Kind.UNREACHABLE):
            elsewhere.get(KEY)
        elsewhere.close()
        store.close()


def test_a_node_that_was_started_anew_is_found_by_whoever_called_the_old_one(tmp_path: Path, short: Path) -> None:
    path = short / "node.sock"
    store = NodeStore(path)
    for number in range(3):
        with running(tmp_path, socket=path):
            keep(store, f"a{number}", b"%d" % number)
            assert store.get(key_of(b"0")) == b"0"
        with caught(Kind.UNREACHABLE, path):
            store.account()
    store.close()


def test_an_idle_connection_that_was_closed_is_made_anew_and_the_call_is_made_once() -> None:
    with lying(ok(b"{}"), then_close=True) as liar, contextlib.closing(NodeStore(liar.path)) as store:
        for _ in range(5):
            store.unpin("a")
            time.sleep(0.02)
        assert len(liar.asked) == 5 == liar.connections


def test_what_would_do_something_else_the_second_time_is_not_asked_again() -> None:
    """It may have been done before the node hung up."""
    with lying(ok(b"{}"), None) as liar, contextlib.closing(NodeStore(liar.path)) as store:
        store.account()
        with caught(Kind.UNREACHABLE):
            store.rename_pin("a", "b")
        assert [line.split()[1] for line in liar.asked] == ["/v1/account", "/v1/sets/rename"]


def test_what_was_not_answered_and_may_be_asked_twice_is_asked_again() -> None:
    with lying(ok(b"{}"), None, ok(b'{"blocks": 3}')) as liar, contextlib.closing(NodeStore(liar.path)) as store:
        store.account()
        assert store.account() == {"blocks": 3}
        assert len(liar.asked) == 3


def test_what_was_said_without_being_asked_is_no_answer() -> None:
    said = ok(b'{"blocks": 1}')
    with lying(said + ok(b'{"blocks": 666}'), ok(b'{"blocks": 2}')) as liar:
        store = NodeStore(liar.path)
        assert store.account() == {"blocks": 1}
        time.sleep(0.05)
        assert store.account() == {"blocks": 2}
        store.close()


def test_an_add_leaves_no_connection_behind(tmp_path: Path) -> None:
    with running(tmp_path) as node, contextlib.closing(NodeStore(node.socket)) as store:
        for number in range(20):
            keep(store, f"{number}", b"%d" % number)
        before = opened()
        for number in range(20):
            keep(store, f"again {number}", b"%d!" % number)
        assert left_open(before) == []


# ── who is behind a socket ──


def test_a_socket_behind_which_is_somebody_else_is_told_nothing() -> None:
    with lying(ok(b"{}")) as liar, contextlib.closing(NodeStore(liar.path, {12_345})) as store:
        for _ in range(2):
            with caught(Kind.DENIED, liar.path):
                store.account()
        assert liar.asked == []


def test_a_socket_behind_which_is_who_should_be_is_used() -> None:
    with lying(ok(b"{}")) as liar, contextlib.closing(NodeStore(liar.path, {os.geteuid(), 12_345})) as store:
        assert store.account() == {}


@pytest.mark.parametrize(
    "answer",
    [
        ok(archive((KEY, bytes(2000)), (OTHER, b"other"))),
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
    ],
)
def test_the_limit_of_what_is_held_ahead_holds_whatever_the_node_sends(
    monkeypatch: pytest.MonkeyPatch, answer: bytes
) -> None:
    monkeypatch.setattr(ahead, "BYTES", 1000)
    with lying(answer, ok(archive((KEY, DATA)))) as liar, contextlib.closing(NodeStore(liar.path)) as store:
        with caught(Kind.CORRUPT, liar.path):
            store.expect([KEY, OTHER])
        assert store.get(KEY) == DATA


# ── blocks that lie in memory ──

TRAY_SAID = ok(json.dumps({"bytes": tray.SIZE}).encode())
LONG = os.urandom(LARGE)


@contextlib.contextmanager
def laid(content: bytes, *answers: Answer) -> Iterator[tuple[NodeStore, Liar]]:
    """A node that has given out a tray in which something lies."""
    fd = os.memfd_create("tray", os.MFD_ALLOW_SEALING)
    try:
        os.ftruncate(fd, tray.SIZE)
        os.pwrite(fd, content, 0)
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
        first = ok(archive((key_of(LONG), LONG)))
        with lying(first, ([fd], TRAY_SAID), *answers) as liar, contextlib.closing(NodeStore(liar.path)) as store:
            assert store.get(key_of(LONG)) == LONG
            yield store, liar
    finally:
        os.close(fd)


@pytest.mark.parametrize("read", [read_one, read_into])
def test_what_lies_there_and_is_not_the_block_is_asked_for_again(read: Callable[[NodeStore], object]) -> None:
    said = ok(len(DATA).to_bytes(4, "little"))
    with laid(b"what was asked FOR", said, ok(archive((KEY, DATA))), said, WRONG_BLOCKS["wrong bytes"]) as (
        store,
        liar,
    ):
        assert read(store) == DATA
        with caught(Kind.CORRUPT, liar.path):
            read(store)


@pytest.mark.parametrize("read", [read_one, read_into])
@pytest.mark.parametrize(
    "said", [ok(b""), ok(b"123"), ok(bytes(8)), ok((tray.SIZE + 1).to_bytes(4, "little")), ok(b"\xfe" + b"\xff" * 3)]
)
def test_a_length_that_cannot_be_is_refused(read: Callable[[NodeStore], object], said: bytes) -> None:
    with laid(DATA, said) as (store, liar), caught(Kind.CORRUPT, liar.path):
        read(store)


def test_a_block_that_lies_there_longer_than_its_place_is_not_written_past_it() -> None:
    with laid(DATA, ok((1000).to_bytes(4, "little"))) as (store, _):
        memory = bytearray(b"." * 100)
        with caught(Kind.CORRUPT):
            store.read_into(KEY, memoryview(memory), unchecked=True)
        assert memory == b"." * 100


@pytest.mark.parametrize("given", [a_pipe, a_file, memory_of_another_size, memory_that_may_become_shorter])
def test_a_tray_that_is_none_is_refused(given: Callable[[], list[int]]) -> None:
    fds = given()
    try:
        first = ok(archive((key_of(LONG), LONG)))
        with (
            lying(first, (fds, TRAY_SAID)) as liar,
            contextlib.closing(NodeStore(liar.path)) as store,
            caught(Kind.CORRUPT, liar.path),
        ):
            store.get(key_of(LONG))
    finally:
        descriptors.close_all(fds)


@pytest.mark.parametrize("status", ["404 Not Found", "415 No", "423 Locked"])
def test_a_node_that_gives_no_tray_is_read_from_without(status: str) -> None:
    kind = {"404": "E-NOT-FOUND", "415": "E-UNSUPPORTED", "423": "E-BUSY"}[status[:3]]
    said = json.dumps({"op": "share", "subject": "memory", "why": "no", "code": kind}).encode()
    block = ok(archive((key_of(LONG), LONG)))
    with lying(block, ok(said, status=status), block) as liar, contextlib.closing(NodeStore(liar.path)) as store:
        for _ in range(3):
            assert store.get(key_of(LONG)) == LONG
        assert len(liar.asked) == 4
