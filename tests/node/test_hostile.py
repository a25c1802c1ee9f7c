"""Whatever a caller sends, the answer says what is wrong, and the node goes on for everybody else."""

import contextlib
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from commonhold.api import MAX_BLOCK
from commonhold.errors import Kind
from commonhold.formats import car, keylist, multihash, varint
from commonhold.formats import cid as cids
from commonhold.node.config import Limits
from tests.node.serving import serving
from tests.node.wire import HEADER, Wire, archive, ask, begin, head, packed, put
from tests.suites.blockstore import key_of
from tests.waiting import until

KEY = key_of(b"a block")
KEY_CALLS = ["/v1/blocks/read", "/v1/blocks/stat", "/v1/blocks/delete"]
JSON_CALLS = ["/v1/sessions", "/v1/sets/keys", "/v1/sets/drop", "/v1/sets/rename"]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    limits = Limits(stall_seconds=0.3, sessions=10_000)
    with serving(tmp_path_factory.mktemp("node"), limits=limits) as (config, _):
        yield config.socket


@pytest.fixture
def node(shared: Path, caplog: pytest.LogCaptureFixture) -> Iterator[Path]:
    """A node's socket. After each test it still serves, and nothing went wrong that it had no words for."""
    yield shared
    assert ask(shared, "GET", "/v1/node").status == 200
    assert not [record.getMessage() for record in caplog.get_records("call") if record.exc_info]


# ── what is not HTTP, or too much of it ──


@pytest.mark.parametrize(
    "junk",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"GET /v1/node\r\n\r\n",
        b"GET /v1/node HTTP/9.9\r\n\r\n",
        head("GET", "/v1/node", "X: " + "x" * 100_000),
        head("GET", "/v1/node", *[f"X{n}: x" for n in range(10_000)]),
        head("GET", "/" + "x" * 100_000),
        head("POST", "/v1/sessions", "Content-Length: -1"),
        head("POST", "/v1/sessions", "Content-Length: ten"),
        head("POST", "/v1/sessions", "Content-Length: 5", "Content-Length: 6"),
        head("POST", "/v1/sessions", "Content-Length: 5", "Transfer-Encoding: chunked"),
        head("POST", "/v1/sessions", "Transfer-Encoding: chunked") + b"zz\r\n",
        b"\r\n" * 1000,
        b"\0" * 1000,
    ],
)
def test_what_is_no_sound_request_is_refused(node: Path, junk: bytes) -> None:
    with Wire(node) as wire:
        wire.send(junk)
        wire.sock.shutdown(socket.SHUT_WR)
        with contextlib.suppress(EOFError, ConnectionError):  # hanging up is an answer too
            assert wire.answer().status in (400, 431)


@pytest.mark.parametrize("path", ["/v1/blocks/read", "/v1/blocks/stat", "/v1/sessions", "/v1/sets/keys"])
def test_who_announces_too_much_is_told_so_before_it_comes(node: Path, path: str) -> None:
    with Wire(node) as wire:
        wire.send(head("POST", path, "Content-Length: 99999999999"))
        assert wire.answer().status == 413


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/v1/blocks/read/../../etc/passwd", 404),
        ("GET", "/v1/blocks/read", 405),
        ("PATCH", "/v1/sessions", 405),
        ("POST", "/v1/sessions/none/blocks", 404),
        ("DELETE", "/v1/sessions/none", 404),
        ("OPTIONS", "*", 404),
    ],
)
def test_a_call_that_there_is_not_is_named(node: Path, method: str, path: str, status: int) -> None:
    answer = ask(node, method, path, archive())
    assert answer.status == status and answer.said["why"] and answer.said["code"].startswith("E-")


def test_requests_one_after_another_without_waiting_are_answered_in_order(node: Path) -> None:
    count = 500
    with Wire(node) as wire:
        wire.sock.setblocking(True)
        wire.send(
            *[
                head("POST", "/v1/blocks/stat", f"Content-Length: {35 * (n % 3)}") + packed(*[KEY] * (n % 3))
                for n in range(count)
            ]
        )
        assert [len(wire.answer().body) for _ in range(count)] == [4 * (n % 3) for n in range(count)]


def test_a_body_without_length_is_no_body(node: Path) -> None:
    with Wire(node) as wire:
        wire.send(head("POST", "/v1/blocks/stat"))
        assert wire.answer().body == b""


def test_a_body_in_chunks_is_a_body(node: Path) -> None:
    body = packed(KEY, KEY)
    with Wire(node) as wire:
        wire.send(head("POST", "/v1/blocks/stat", "Transfer-Encoding: chunked"))
        for byte in body:
            wire.send(b"1\r\n", bytes([byte]), b"\r\n")
        wire.send(b"0\r\n\r\n")
        assert len(wire.answer().body) == 8


def test_a_packed_body_is_not_unpacked(node: Path) -> None:
    """A few bytes that become many: nobody asked for it, so nobody can be hurt by it."""
    import zlib

    bomb = zlib.compress(bytes(50 << 20))
    assert ask(node, "POST", "/v1/blocks/stat", bomb, "Content-Encoding: deflate").status == 400
    session = begin(node)
    assert ask(node, "POST", f"/v1/sessions/{session}/blocks", bomb, "Content-Encoding: deflate").status == 400


def test_an_answer_is_not_sent_for_half_a_request(node: Path) -> None:
    with Wire(node) as wire:
        wire.send(head("GET", "/v1/node")[:-2])
        wire.sock.settimeout(0.2)
        with pytest.raises(TimeoutError):
            wire.answer()


@pytest.mark.parametrize(
    "path", [*KEY_CALLS, *JSON_CALLS, "/v1/sessions/{session}/blocks", "/v1/sessions/{session}/keep"]
)
def test_a_body_that_stops_half_way_is_given_up(node: Path, path: str) -> None:
    with Wire(node) as wire:
        wire.send(head("POST", path.format(session=begin(node)), "Content-Length: 1000"), HEADER)
        answer = wire.answer()
        assert answer.status == 500 and "too long" in answer.said["why"]


@pytest.mark.parametrize(
    "path", [*KEY_CALLS, *JSON_CALLS, "/v1/sessions/{session}/blocks", "/v1/sessions/{session}/keep"]
)
def test_a_caller_who_leaves_half_way_leaves_nothing_behind(node: Path, path: str) -> None:
    with Wire(node) as wire:
        wire.send(head("POST", path.format(session=begin(node)), "Content-Length: 1000"), HEADER)
    time.sleep(0.02)


def test_a_reader_who_does_not_read_is_cut_off_and_holds_no_memory(tmp_path: Path) -> None:
    with serving(tmp_path, limits=Limits(stall_seconds=0.3, requests=2)) as (config, _):
        blocks = [bytes([n]) * MAX_BLOCK for n in range(20)]
        keys = put(config.socket, "big", *blocks)
        stuck = []
        for count in (1, 3, 20):  # fewer and more than what one window holds
            wire = Wire(config.socket)
            body = packed(*keys[:count])
            wire.send(head("POST", "/v1/blocks/read", f"Content-Length: {len(body)}"), body)
            stuck.append(wire)
        began = time.monotonic()
        assert ask(config.socket, "GET", "/v1/node").status == 200  # the turns came free again
        assert time.monotonic() - began < 10
        time.sleep(1.0)
        for wire in stuck:
            with wire, pytest.raises((EOFError, ConnectionError)):
                wire.answer()


# ── keys ──


@pytest.mark.parametrize("path", [*KEY_CALLS, "/v1/sessions/{session}/keep"])
@pytest.mark.parametrize(
    "body",
    [
        b"\x22",  # says 34 bytes and has none
        b"\x01\x12\x20" + bytes(32),  # says one byte
        b"\x23\x12\x20" + bytes(32) + b"x",  # says one too many
        b"\x03\x12\x01x",  # a hash cut short
        b"\x00",
        b"\xff" * 200,
        packed(KEY)[:-1],
        packed(*[KEY] * (keylist.MAX_KEYS + 1)),
    ],
)
def test_what_is_no_run_of_keys_is_refused(node: Path, path: str, body: bytes) -> None:
    answer = ask(node, "POST", path.format(session=begin(node)), body)
    assert (answer.status, answer.code) == (400, Kind.INVALID.value.code)


def test_more_keys_than_could_be_are_not_even_read(node: Path) -> None:
    answer = ask(node, "POST", "/v1/blocks/stat", bytes(4 << 20))
    assert (answer.status, answer.code) == (413, Kind.TOO_LARGE.value.code)


def test_keys_of_every_kind_may_be_asked_for(node: Path) -> None:
    odd = [multihash.identity(b""), multihash.identity(b"x" * 128), multihash.parse(b"\x7f\x02ab")[0]]
    assert ask(node, "POST", "/v1/blocks/stat", packed(*odd)).body == b"\xff" * 12
    assert ask(node, "POST", "/v1/blocks/read", packed(*odd)).body == HEADER
    assert ask(node, "POST", "/v1/blocks/delete", packed(*odd)).status == 404


@pytest.mark.parametrize("most", ["", "-1", "x", "1e3", "1.5", "%D9%A3", "9" * 16, "9" * 3000])
def test_a_limit_that_is_no_number_is_refused(node: Path, most: str) -> None:
    answer = ask(node, "POST", f"/v1/blocks/read?most={most}", packed(KEY))
    assert (answer.status, answer.code) == (400, Kind.INVALID.value.code)


# ── archives ──

SECTION = car.encode_section(cids.make_v1(cids.RAW, KEY), b"a block")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (HEADER[:-1], 400),
        (SECTION, 400),  # no header
        (car.encode_header([cids.make_v1(cids.RAW, KEY)]) + SECTION, 400),  # roots mean nothing here
        (HEADER + SECTION[:-1], 400),
        (HEADER + b"\x80", 400),
        (HEADER + b"\x80" * 11, 400),
        (HEADER + b"\x00", 400),
        (HEADER + b"\x01\x01", 400),
        (HEADER + varint.encode(1 << 62) + b"x", 400),
        (HEADER + varint.encode(MAX_BLOCK + 5000) + bytes(MAX_BLOCK + 5000), 400),
        (HEADER + car.encode_section(cids.make_v1(cids.RAW, key_of(bytes(MAX_BLOCK + 1))), bytes(MAX_BLOCK + 1)), 400),
        (HEADER + car.encode_section(cids.make_v1(cids.RAW, KEY), b"other"), 500),
        (HEADER + SECTION + car.encode_section(cids.make_v1(cids.RAW, KEY), bytes(1 << 20)), 500),
        (HEADER + car.encode_section(cids.make_v1(cids.RAW, multihash.identity(b"in")), b"in"), 400),
        (HEADER + car.encode_section(cids.make_v1(cids.RAW, multihash.parse(b"\x11\x14" + bytes(20))[0]), b""), 400),
        (HEADER + car.encode_section(cids.make_v1(cids.RAW, multihash.parse(b"\x7f\x02ab")[0]), b""), 400),
    ],
)
def test_what_is_no_sound_archive_is_refused_and_the_session_lives(node: Path, body: bytes, status: int) -> None:
    session = begin(node)
    answer = ask(node, "POST", f"/v1/sessions/{session}/blocks", body)
    assert answer.status == status and answer.said["why"]
    assert ask(node, "POST", f"/v1/sessions/{session}/blocks", archive((KEY, b"a block"))).status == 200
    assert ask(node, "DELETE", f"/v1/sessions/{session}").status == 200


def test_an_archive_without_end_is_stored_block_by_block_and_not_held(node: Path) -> None:
    session = begin(node)
    blocks = [n.to_bytes(4, "big") * (1 << 18) for n in range(40)]
    with Wire(node) as wire:
        wire.send(head("POST", f"/v1/sessions/{session}/blocks", "Transfer-Encoding: chunked"))
        for part in [HEADER, *[archive((key_of(data), data))[len(HEADER) :] for data in blocks]]:
            wire.send(f"{len(part):x}\r\n".encode(), part, b"\r\n")
    asked = packed(*map(key_of, blocks[:24]))  # what is left was the last window's
    all_there = len(blocks[0]).to_bytes(4, "little") * 24
    until(lambda: ask(node, "POST", "/v1/blocks/stat", asked).body == all_there, 0.05)


# ── JSON ──


@pytest.mark.parametrize("path", [*JSON_CALLS, "/v1/sessions/{session}/commit"])
@pytest.mark.parametrize(
    "body",
    [
        b"\xff\xfe",
        b"{",
        b"[]",
        b"null",
        b'"text"',
        b"1" * 5000,
        b"[" * 60_000,
        b'{"name":' * 5000,
        b'{"name": 5, "old": [], "readers": {}}',
        b'{"name": null, "old": {}, "new": true, "readers": "public"}',
        b'{"name": "\\ud800", "old": "\\ud800", "new": "x", "readers": ["all"]}',
        b'{"name": "\\u0000", "old": "\\u001b[2J", "new": "x", "readers": [-1]}',
        json.dumps({"name": "n" * 600, "old": "n" * 600, "new": "x", "readers": [True]}).encode(),
        json.dumps({"name": "", "old": "", "new": "", "readers": [1.5]}).encode(),
        json.dumps({"name": "a", "root": "", "readers": [1 << 40]}).encode(),
        json.dumps({"name": "a", "root": "z" * 60_000, "readers": list(range(256))}).encode(),
    ],
)
def test_what_is_not_the_object_a_call_needs_is_refused(node: Path, path: str, body: bytes) -> None:
    answer = ask(node, "POST", path.format(session=begin(node)), body)
    assert answer.status in (400, 404), answer
    assert answer.code in ("E-INVALID", "E-USAGE", "E-NOT-FOUND")


def test_an_object_over_its_limit_is_too_large(node: Path) -> None:
    assert ask(node, "POST", "/v1/sessions", b" " * (65 << 10)).code == "E-TOO-LARGE"


@pytest.mark.parametrize("name", ["%00", "%ff", "n" * 3000, "", "%ed%a0%80", "a%2Fb"])
def test_a_name_in_a_query_that_no_set_can_have_is_of_none(node: Path, name: str) -> None:
    answer = ask(node, "GET", f"/v1/sets?name={name}")
    assert answer.status in (200, 400) and (answer.status == 400 or answer.said == [])


@pytest.mark.parametrize("session", ["%2e%2e", "x" * 3000, "%00", "ümlaut".encode().hex()])
def test_a_session_that_never_was_has_ended(node: Path, session: str) -> None:
    for method, path in (("POST", "/blocks"), ("POST", "/keep"), ("POST", "/flush"), ("DELETE", "")):
        assert ask(node, method, f"/v1/sessions/{session}{path}").status == 404
