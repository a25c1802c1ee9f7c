"""Frames: every kind of value comes back as it was; whatever else comes is refused, and no file of it stays open."""

import contextlib
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from commonhold.calls import Adding, Open, OsPath
from commonhold.formats import cid as cids
from commonhold.formats import multihash
from commonhold.formats.cid import Cid
from commonhold.formats.multihash import Multihash
from commonhold.ipc import descriptors
from commonhold.ipc.frames import MAX_FILES, MAX_FRAME, Broken, Message, Wire
from tests.opened import none_left


class Row(NamedTuple):
    """A record that goes as an array."""

    cid: Cid
    path: OsPath
    key: Multihash
    maybe: "Row | None"


@dataclass(frozen=True, slots=True)
class Words:
    """A record that goes as a map."""

    rows: list[Row]
    number: int = 7
    text: str | None = None
    data: bytes = b""


@contextlib.contextmanager
def wires() -> Iterator[tuple[Wire, Wire]]:
    """Two ends of a connection; no file is open afterwards that was not before."""
    with none_left():
        ends = [Wire(sock) for sock in socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)]
        ends[1].sock.settimeout(20)
        try:
            yield ends[0], ends[1]
        finally:
            for end in ends:
                end.close()


@contextlib.contextmanager
def received(*said: Any) -> Iterator[tuple[list[Any], Message]]:
    """What is said, as it arrives."""
    with wires() as (one, other):
        one.send(said)
        message = other.receive()
        assert message is not None
        with message:
            yield message.said, message


def packed(said: object) -> bytes:
    """A frame as it goes over the wire."""
    body = msgspec.msgpack.encode(said)
    return len(body).to_bytes(4, "big") + body


CIDS = st.builds(
    cids.make_v1, st.sampled_from([cids.RAW, cids.DAG_PB, cids.DAG_CBOR]), st.binary().map(multihash.sha2_256)
)
PATHS = st.binary(max_size=300).filter(lambda raw: b"\0" not in raw).map(os.fsdecode).map(OsPath)
KEYS = st.binary().map(multihash.sha2_256)
ROWS = st.recursive(
    st.builds(Row, CIDS, PATHS, KEYS, st.none()), lambda inner: st.builds(Row, CIDS, PATHS, KEYS, inner), max_leaves=5
)
WORDS = st.builds(
    Words, st.lists(ROWS, max_size=4), st.integers(-(2**63), 2**64 - 1), st.none() | st.text(), st.binary()
)


@given(WORDS)
@settings(deadline=None)
def test_records_come_back_as_they_were(words: Words) -> None:
    with received(words) as (said, message):
        assert message.value(Words, said[0]) == words


@given(st.builds(Adding, name=st.none() | st.text(), readers=st.lists(st.integers(0, 2**32 - 1)).map(tuple)))
@settings(deadline=None)
def test_what_a_record_leaves_out_has_its_default_and_what_it_has_more_is_left(how: Adding) -> None:
    with received(how) as (said, message):
        assert message.value(Adding, said[0]) == how
        assert message.value(Adding, {"name": how.name, "of another version": 1}) == Adding(name=how.name)


@given(PATHS)
@settings(deadline=None)
def test_a_path_of_any_bytes_comes_back(path: OsPath) -> None:
    with received(path) as (said, message):
        found = message.value(OsPath, said[0])
        assert type(found) is OsPath and os.fsencode(found) == os.fsencode(path)


def test_a_path_is_its_bytes_whatever_the_sender_takes_them_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsencode", lambda path: path.encode("latin-1"))  # another locale, and so another str
    with received(OsPath("\xe4")) as (said, message):
        assert os.fsdecode(said[0]) == message.value(OsPath, said[0]) == "\udce4"


def test_files_come_back_by_their_numbers_and_are_closed_with_the_message() -> None:
    with wires() as (one, other):
        made = [os.memfd_create(f"file {number}") for number in range(MAX_FILES)]
        for number, fd in enumerate(made):
            os.write(fd, b"%d" % number)
        one.send([Open(fd, f"file {number}") for number, fd in enumerate(made)])
        descriptors.close_all(made)
        message = other.receive()
        assert message is not None
        with message:
            found = message.value(list[Open | None], message.said)
            assert [file.said for file in found] == [f"file {number}" for number in range(MAX_FILES)]
            assert [os.pread(file.fd, 9, 0) for file in found] == [b"%d" % number for number in range(MAX_FILES)]
            assert {file.caller for file in found} == {other.sock.fileno()}
        for file in found:
            with pytest.raises(OSError):
                os.fstat(file.fd)


def test_messages_come_one_after_the_other_also_where_they_arrive_in_bits() -> None:
    with wires() as (one, other):
        raw = b"".join(packed([number, "x" * number]) for number in range(20))
        for at in range(0, len(raw), 7):
            one.sock.sendall(raw[at : at + 7])
        for number in range(20):
            message = other.receive()
            assert message is not None and message.said == [number, "x" * number]
        one.close()
        assert other.receive() is None


def test_the_largest_message_goes_through_and_a_larger_one_is_not_sent() -> None:
    with none_left():
        ends = socket.socketpair()
        one, other = Wire(ends[0], 1000), Wire(ends[1], 1000)
        one.send([b"x" * 996])
        assert other.receive()
        with pytest.raises(Broken, match="1001 bytes, the limit is 1000"):
            one.send([b"x" * 997])
        one.send(["and the connection is as it was"])
        message = other.receive()
        assert message is not None and message.said == ["and the connection is as it was"]
        one.close()
        other.close()


# ── what is no message ──

DEEP = b"\x91" * 100_000 + b"\xc0"
NO_MESSAGES = {
    "over the limit": (MAX_FRAME + 1).to_bytes(4, "big"),
    "far over the limit": b"\xff" * 4,
    "empty": bytes(4),
    "garbage": b"\0\0\0\x04\xc1\xc1\xc1\xc1",
    "HTTP": b"GET / HTTP/1.1\r\nHost: agent\r\n\r\n",
    "a number": packed(7),
    "a map": packed({"open": 1}),
    "nothing": packed(None),
    "more than one value": b"\0\0\0\x04\x91\x01\x91\x01",
    "cut off": b"\0\0\0\x02\x92\x01",
    "nested deep": len(DEEP).to_bytes(4, "big") + DEEP,
    "a map as a key": b"\0\0\0\x04\x91\x81\x80\x01",
    "text that is not UTF-8": b"\0\0\0\x03\x91\xa1\xff",
    "a count without its items": b"\0\0\0\x05\xdd\xff\xff\xff\xff",
}


@pytest.mark.parametrize("name", NO_MESSAGES)
def test_what_is_no_message_is_refused_with_its_files(name: str) -> None:
    with wires() as (one, other), open(os.devnull) as file:
        descriptors.send(one.sock, NO_MESSAGES[name], [file.fileno()] * MAX_FILES)
        with pytest.raises(Broken):
            other.receive()


@pytest.mark.parametrize("raw", [b"", b"\0", b"\0\0\0\x05", packed(["half"])[:-1]])
def test_half_a_message_is_none_and_its_files_are_closed(raw: bytes) -> None:
    with wires() as (one, other), open(os.devnull) as file:
        if raw:
            descriptors.send(one.sock, raw, [file.fileno()] * 2)
        one.close()
        assert other.receive() is None


def test_a_caller_that_is_reset_has_hung_up() -> None:
    with wires() as (one, other):
        other.send(["never read"])
        one.close()  # with something unread: the other end is reset
        assert other.receive() is None


def test_files_that_come_with_bits_of_one_message_are_counted_together() -> None:
    with wires() as (one, other), open(os.devnull) as file:
        raw = packed(["many"])
        for at in range(MAX_FILES + 1):
            descriptors.send(one.sock, raw[at : at + 1], [file.fileno()])
        with pytest.raises(Broken, match="more than 4 files"):
            other.receive()


def test_more_files_at_once_than_are_taken_are_no_message() -> None:
    with wires() as (one, other), open(os.devnull) as file:
        descriptors.send(one.sock, packed(["many"]), [file.fileno()] * (MAX_FILES + 1))
        with pytest.raises(Broken, match="more than 4 files"):
            other.receive()


def test_files_nobody_asked_for_are_closed_with_the_message() -> None:
    with wires() as (one, other), open(os.devnull) as file:
        descriptors.send(one.sock, packed(["no file is in it"]), [file.fileno()] * 3)
        message = other.receive()
        assert message is not None
        with message:
            assert message.said == ["no file is in it"]


@given(st.binary(max_size=200))
@settings(deadline=None)
def test_any_bytes_are_a_message_or_are_refused(body: bytes) -> None:
    with wires() as (one, other):
        one.sock.sendall(len(body).to_bytes(4, "big") + body)
        one.close()
        with contextlib.suppress(Broken):
            message = other.receive()
            assert message is not None and isinstance(message.said, list)


# ── what is no value ──

SHA = multihash.sha2_256(b"")
NO_VALUES: list[tuple[Any, object]] = [
    (Open, [1, "no second file"]),
    (Open, [-1, "before the first"]),
    (Open, [2**64 - 1, "far"]),
    (Open, 0),
    (Open, [0]),
    (Open, [0, b"bytes"]),
    (Open, ["0", "a word"]),
    (OsPath, b"zero\0byte"),
    (OsPath, "text"),
    (OsPath, None),
    (Cid, b""),
    (Cid, b"no cid"),
    (Cid, str(cids.make_v1(cids.RAW, SHA))),
    (Cid, bytes(cids.make_v1(cids.RAW, SHA)) + b"x"),
    (Cid, bytes(cids.make_v1(cids.RAW, SHA))[:-1]),
    (Multihash, b""),
    (Multihash, bytes(SHA) + b"x"),
    (Multihash, bytes(SHA)[:-1]),
    (Multihash, 7),
    (Adding, {"recursive": 1}),
    (Adding, {"readers": ["root"]}),
    (Adding, []),
    (Row, [1, 2, 3]),
    (Row, {}),
    (int, True),
    (int, "1"),
    (str, b"bytes"),
    (bytes, "text"),
    (tuple[int, str], [1]),
    (tuple[int, str], [1, "a", 2]),
    (list[Open | None], [None, [3, "none"]]),
]


@pytest.mark.parametrize(("kind", "said"), NO_VALUES, ids=str)
def test_what_is_no_value_of_a_type_is_refused(kind: Any, said: object) -> None:
    with wires() as (one, other), open(os.devnull) as file:
        descriptors.send(one.sock, packed([said]), [file.fileno()])
        message = other.receive()
        assert message is not None
        with message, pytest.raises(Broken):
            message.value(kind, message.said[0])
