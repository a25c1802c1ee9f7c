"""A storage server's calls, as anybody can make them over a socket."""

import contextlib
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from commonhold.errors import Kind
from commonhold.formats import dagcbor, storagewords
from commonhold.formats.fields import MAX_NUMBER
from commonhold.formats.storagewords import MAX_BODY, MAX_INDEXES, Kept, Showing, Use
from commonhold.storage import service
from commonhold.storage.keeping import MAX_LEASE
from commonhold.storage.service import LARGE, PIECE, ROOMS, Tenant
from tests.fakes.door import KNOWN
from tests.node.wire import Answer, Wire, head
from tests.opened import opened, opened_since
from tests.storage.keeping import QUOTA, bytes_of, hash_of, index_of
from tests.storage.serving import ALICE, BOB, Serving, serving
from tests.waiting import SECONDS, until

INDEX = index_of("a share")
DATA = bytes_of("a share", 2 * LARGE + 1000)
LATER = 2_000_000_000
PIN = f"X-Pin: {ALICE.hex()}"
UPLOAD = f"/uploads/{INDEX}"
NOT_FOUND = 404


@pytest.fixture
def server(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Iterator[Serving]:
    """A server. After each test nothing went wrong that it had no words for."""
    with serving(tmp_path) as made:
        yield made
    assert not [record.getMessage() for record in caplog.get_records("call") if record.exc_info]


@pytest.fixture
def hasty(tmp_path: Path) -> Iterator[Serving]:
    """One that waits for nobody."""
    with serving(tmp_path, 0.3) as made:
        yield made


def kind_of(answer: Answer) -> Kind:
    """The kind of a failure, whose status is that of the table."""
    kind = storagewords.decode_failure(answer.body).kind
    assert answer.status == kind.value.http or answer.status in (405, 416)
    return kind


def upload(server: Serving, facet: str, data: bytes = DATA, index: Any = INDEX, at: int = 0) -> Answer:
    begun = server.ask("POST", f"{facet}/uploads/{index}", storagewords.begin(len(data), LATER))
    assert storagewords.decode_received(begun.body, len(data)) == at
    sent = server.ask("PUT", f"{facet}/uploads/{index}?at={at}", data[at:])
    assert storagewords.decode_received(sent.body, len(data)) == len(data), sent
    return server.ask("POST", f"{facet}/uploads/{index}/finish", storagewords.finish(hash_of(data)))


# ── every call ──


def test_the_door_gives_a_nonce_and_a_facet_or_says_why_not(server: Serving) -> None:
    assert storagewords.decode_nonce(server.ask("POST", "/v1/door").body).hex() == ALICE.hex()
    server.door.newcomer = Tenant(server.kept.account(), 77)
    assert kind_of(server.ask("POST", "/v1/door/enter", Showing((b"c",), b"wrong").encoded)) is Kind.BLESSING
    answer = server.ask("POST", "/v1/door/enter", Showing((b"c",), KNOWN, b"warrant").encoded)
    admission = storagewords.decode_admission(answer.body)
    assert admission.quota == 77
    found = server.ask("GET", f"/v1/facet/{admission.facet.hex()}/account")
    assert storagewords.decode_use(found.body) == Use(77, 0, 0)


def test_a_share_is_uploaded_found_read_listed_renewed_and_dropped(server: Serving) -> None:
    facet = server.tenant()
    assert upload(server, facet).status == 200
    asked = storagewords.indexes([index_of("none"), INDEX])
    assert storagewords.decode_sizes(server.ask("POST", "/v1/find", asked, pin=BOB).body, 2) == (0, len(DATA))
    assert server.ask("GET", f"/v1/shares/{INDEX}", pin=BOB).body == DATA
    assert storagewords.decode_verdict(server.ask("POST", f"/v1/shares/{INDEX}/check", pin=BOB).body)
    listed = storagewords.decode_listed(server.ask("POST", f"{facet}/list", storagewords.listing(b"", 9)).body)
    assert listed == (Kept(INDEX, len(DATA), server.kept.clock.now + MAX_LEASE),)
    renewed = server.ask("POST", f"{facet}/renew", storagewords.indexes([INDEX, index_of("none")], LATER))
    assert storagewords.decode_sizes(renewed.body, 2) == (1, 0)
    use = storagewords.decode_use(server.ask("GET", f"{facet}/account").body)
    assert use == Use(QUOTA, len(DATA), 1)
    assert server.ask("POST", f"{facet}/drop", storagewords.indexes([INDEX])).status == 200
    assert kind_of(server.ask("GET", f"/v1/shares/{INDEX}")) is Kind.NOT_FOUND
    assert server.kept.used() == 0


def test_an_upload_goes_on_where_it_was(server: Serving) -> None:
    facet = server.tenant()
    server.ask("POST", facet + UPLOAD, storagewords.begin(len(DATA), LATER))
    server.ask("PUT", facet + UPLOAD + "?at=0", DATA[:1000])
    assert kind_of(server.ask("PUT", facet + UPLOAD + "?at=0", DATA)) is Kind.CHANGED
    assert kind_of(server.ask("POST", facet + UPLOAD + "/finish", storagewords.finish(hash_of(DATA)))) is Kind.CHANGED
    assert upload(server, facet, at=1000).status == 200
    again = server.ask("POST", facet + UPLOAD, storagewords.begin(len(DATA), LATER))
    assert storagewords.decode_received(again.body, len(DATA)) == len(DATA)
    assert server.ask("POST", facet + UPLOAD + "/finish", storagewords.finish(hash_of(DATA))).status == 200


def test_more_bytes_than_were_said_are_refused(server: Serving) -> None:
    facet = server.tenant()
    server.ask("POST", facet + UPLOAD, storagewords.begin(1000, LATER))
    assert kind_of(server.ask("PUT", facet + UPLOAD + "?at=0", DATA[:1001])) is Kind.TOO_LARGE
    assert kind_of(server.ask("PUT", facet + "/uploads/" + str(index_of("other")) + "?at=0", b"x")) is Kind.NOT_FOUND


def test_what_is_not_within_the_quota_is_refused(server: Serving) -> None:
    facet = server.tenant(quota=999)
    assert kind_of(server.ask("POST", facet + UPLOAD, storagewords.begin(1000, LATER))) is Kind.QUOTA
    assert kind_of(server.ask("POST", facet + UPLOAD, storagewords.begin(1 << 62, LATER))) is Kind.TOO_LARGE


def test_a_wrong_hash_is_said(server: Serving) -> None:
    facet = server.tenant()
    server.ask("POST", facet + UPLOAD, storagewords.begin(4, LATER))
    server.ask("PUT", facet + UPLOAD + "?at=0", b"some")
    assert kind_of(server.ask("POST", facet + UPLOAD + "/finish", storagewords.finish(bytes(32)))) is Kind.CORRUPT
    assert server.kept.used() == 0


# ── whose it is ──

FACET_CALLS = [
    ("GET", "/account"),
    ("POST", "/list"),
    ("POST", "/renew"),
    ("POST", "/drop"),
    ("POST", UPLOAD),
    ("PUT", UPLOAD + "?at=0"),
    ("POST", UPLOAD + "/finish"),
]


@pytest.mark.parametrize(("method", "path"), FACET_CALLS)
def test_what_is_not_ones_own_facet_is_like_a_path_that_is_not(server: Serving, method: str, path: str) -> None:
    facet = server.tenant(BOB)
    unknown = server.ask(method, "/v1/nothing/here" + path, b"a body")
    assert unknown.status == NOT_FOUND and kind_of(unknown) is Kind.NOT_FOUND
    for wrong in (
        facet,
        f"/v1/facet/{bytes(32).hex()}",
        "/v1/facet/00",
        "/v1/facet/%20x",
        "/v1/facet/" + "%C3%A9" * 32,
    ):
        raw = [self_dated(server, method, where + path) for where in (wrong, "/v1/nothing/here")]
        assert raw[0] == raw[1]


def self_dated(server: Serving, method: str, path: str) -> bytes:
    """All bytes of an answer but its date."""
    with Wire(server.socket) as wire:
        wire.send(head(method, path, PIN, "Content-Length: 6", "Connection: close"), b"a body")
        found = b""
        while part := wire.sock.recv(1 << 16):
            found += part
    return b"\r\n".join(line for line in found.split(b"\r\n") if not line.startswith(b"Date:"))


# ── what is refused ──

_BODIES: dict[str, dict[str, Any]] = {
    "/v1/door/enter": {"credentials": [b"c"], "entry": KNOWN},
    "/v1/find": {"indexes": [bytes(INDEX)]},
    "FACET/list": {"after": b"", "count": 5},
    "FACET/renew": {"indexes": [bytes(INDEX)], "until": LATER},
    "FACET/drop": {"indexes": [bytes(INDEX)]},
    f"FACET{UPLOAD}": {"size": 10, "until": LATER},
    f"FACET{UPLOAD}/finish": {"sha256": bytes(32)},
}
_WRONG: dict[str, list[Any]] = {
    "credentials": [[b"c"] * 5, [b"c" * 5000], [1], b"c", {}],
    "entry": [b"e" * 5000, "text", 1, None],
    "indexes": [[bytes(31)], [bytes(33)], ["x" * 32], bytes(32), {"a": 1}, [bytes(32)] * (MAX_INDEXES + 1)],
    "after": [bytes(33), "text", 1],
    "count": [MAX_INDEXES + 1, -1, True, "1", 1.0],
    "until": [-1, MAX_NUMBER + 1, True, 1.5, b""],
    "size": [-1, MAX_NUMBER + 1, False, "1"],
    "sha256": [bytes(31), bytes(33), "x" * 32, None],
}


@pytest.mark.parametrize("path", _BODIES)
def test_a_body_that_is_not_what_is_asked_for_is_refused(server: Serving, path: str) -> None:
    facet, right = server.tenant(), _BODIES[path]
    server.door.newcomer = Tenant(server.kept.account(), QUOTA)
    path = path.replace("FACET", facet)
    bodies = [b"", b"\xff" * 100, b"\x81" * 1000, dagcbor.encode([1]), dagcbor.encode({str(n): n for n in range(65)})]
    for name in right:
        bodies.append(dagcbor.encode({key: value for key, value in right.items() if key != name}))
        bodies += [dagcbor.encode({**right, name: wrong}) for wrong in _WRONG[name]]
    for body in bodies:
        assert kind_of(server.ask("POST", path, body)) is Kind.INVALID, body[:100]
    assert server.ask("POST", path, b"x" * (MAX_BODY + 1)).status == 413
    assert server.ask("POST", path, dagcbor.encode({**right, "newer": 1})).status != 400
    assert server.kept.used() in (0, 10)


@pytest.mark.parametrize("path", ["/v1/find", "/v1/door/enter"])
def test_who_announces_too_much_is_told_so_before_it_comes(server: Serving, path: str) -> None:
    with Wire(server.socket) as wire:
        wire.send(head("POST", path, PIN, "Content-Length: 99999999999"))
        assert wire.answer().status == 413


@pytest.mark.parametrize(
    "at", ["", "?at=", "?at=-1", "?at=x", "?at=1.0", "?at=%C2%B2", "?at=%D9%A1", "?at=" + "9" * 19]
)
def test_a_place_that_is_no_number_is_refused(server: Serving, at: str) -> None:
    assert kind_of(server.ask("PUT", server.tenant() + UPLOAD + at, b"x")) is Kind.INVALID


@pytest.mark.parametrize(
    "index", ["x", "0" * 63, "0" * 65, "0" * 62 + "%20%20", "A" * 64, "g" * 64, "%D9%A1" * 64, str(INDEX)[:-1] + "%0A"]
)
def test_what_is_no_index_is_refused(server: Serving, index: str) -> None:
    facet = server.tenant()
    assert kind_of(server.ask("GET", f"/v1/shares/{index}")) is Kind.INVALID
    body = storagewords.begin(10, LATER)
    assert kind_of(server.ask("POST", f"{facet}/uploads/{index}", body)) is Kind.INVALID


@pytest.mark.parametrize(("method", "path"), [("HEAD", "/v1/shares/"), ("PATCH", "/v1/shares/"), ("GET", "/v1/find")])
def test_a_call_that_there_is_not_is_refused(server: Serving, method: str, path: str) -> None:
    upload(server, server.tenant())
    with Wire(server.socket) as wire:
        wire.send(head(method, path + (str(INDEX) if path.endswith("/") else ""), PIN, "Connection: close"))
        assert wire._until(b"\r\n\r\n").startswith(b"HTTP/1.1 405")


def test_a_packed_body_is_not_unpacked(server: Serving) -> None:
    import zlib

    body = zlib.compress(storagewords.indexes([INDEX]))
    assert kind_of(server.ask("POST", "/v1/find", body, "Content-Encoding: deflate")) is Kind.INVALID


# ── reading ──

SIZE = len(DATA)


@pytest.mark.parametrize(
    ("asked", "start", "stop"),
    [
        ("bytes=0-", 0, SIZE),
        ("bytes=0-0", 0, 1),
        ("bytes=5-9", 5, 10),
        (f"bytes={SIZE - 1}-", SIZE - 1, SIZE),
        (f"bytes=7-{10**17}", 7, SIZE),
        (f"bytes={LARGE - 1}-{LARGE}", LARGE - 1, LARGE + 1),
    ],
)
def test_a_range_of_a_share_is_read(server: Serving, asked: str, start: int, stop: int) -> None:
    upload(server, server.tenant())
    answer = server.ask("GET", f"/v1/shares/{INDEX}", b"", f"Range: {asked}")
    assert (answer.status, answer.body) == (206, DATA[start:stop])
    assert answer.headers["content-range"] == f"bytes {start}-{stop - 1}/{SIZE}"


@pytest.mark.parametrize(
    "asked",
    [
        f"bytes={SIZE}-", f"bytes={10**17}-", "bytes=5-4", "bytes=-5", "bytes=-0", "bytes=-", "bytes=", "", "5-9",
        "bytes=0-1,3-4", "bytes=--5", "bytes=+1-2", "bytes= 1-2", "bytes=0x1-2", "bytes=\u0661-2",
        "bytes=" + "9" * 5000 + "-", "lines=0-1", "bytes=0-\r\nRange: bytes=1-2",
    ],
)  # fmt: skip
def test_any_other_range_is_refused(server: Serving, asked: str) -> None:
    upload(server, server.tenant())
    answer = server.ask("GET", f"/v1/shares/{INDEX}", b"", f"Range: {asked}")
    assert answer.status == 416 and kind_of(answer) is Kind.USAGE


def test_the_copies_of_several_accounts_are_read_by_number(server: Serving) -> None:
    upload(server, server.tenant(), b"one")
    upload(server, server.tenant(number=1), b"two")
    assert [server.ask("GET", f"/v1/shares/{INDEX}?copy={n}").body for n in range(2)] == [b"one", b"two"]
    assert kind_of(server.ask("GET", f"/v1/shares/{INDEX}?copy=2")) is Kind.NOT_FOUND
    for wrong in ("", "-1", "x", "9" * 19):
        assert kind_of(server.ask("GET", f"/v1/shares/{INDEX}?copy={wrong}")) is Kind.INVALID
        assert kind_of(server.ask("POST", f"/v1/shares/{INDEX}/check?copy={wrong}")) is Kind.INVALID


def test_a_share_that_is_shorter_than_it_was_ends_the_answer_and_is_found_by_a_check(server: Serving) -> None:
    upload(server, server.tenant())
    (file,) = server.kept.files()
    os.truncate(file, LARGE + 5)
    with Wire(server.socket) as wire, pytest.raises((EOFError, ConnectionError)):
        wire.send(head("GET", f"/v1/shares/{INDEX}", PIN))
        wire.answer()
    assert not storagewords.decode_verdict(server.ask("POST", f"/v1/shares/{INDEX}/check").body)
    assert kind_of(server.ask("POST", f"/v1/shares/{INDEX}/check")) is Kind.NOT_FOUND


def test_a_disk_that_fails_in_the_middle_of_an_answer_ends_it(server: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(fd: int, into: memoryview, at: int) -> int:
        if at:
            raise OSError(5, "Input/output error")
        return os.preadv(fd, [into], at)

    upload(server, server.tenant())
    monkeypatch.setattr("commonhold.host.disk.read_full", failing)
    with Wire(server.socket) as wire, pytest.raises((EOFError, ConnectionError)):
        wire.send(head("GET", f"/v1/shares/{INDEX}", PIN))
        wire.answer()


# ── who does not move, or goes away ──


@pytest.mark.parametrize("size", [700, LARGE + 700])
def test_what_came_before_a_caller_hung_up_is_kept(server: Serving, size: int) -> None:
    facet = server.tenant()
    server.ask("POST", facet + UPLOAD, storagewords.begin(SIZE, LATER))
    with Wire(server.socket) as wire:
        wire.send(head("PUT", facet + UPLOAD + "?at=0", PIN, f"Content-Length: {SIZE}"), DATA[:size])
        time.sleep(0.2)  # what has not been read yet when it hangs up cannot be kept

    def came() -> int:
        answer = server.ask("POST", facet + UPLOAD, storagewords.begin(SIZE, LATER))
        return storagewords.decode_received(answer.body, SIZE) if answer.status == 200 else 0

    until(lambda: came() == size)
    assert upload(server, facet, at=size).status == 200
    assert server.ask("GET", f"/v1/shares/{INDEX}").body == DATA


def test_what_came_before_a_caller_stood_still_is_kept(hasty: Serving) -> None:
    facet = hasty.tenant()
    hasty.ask("POST", facet + UPLOAD, storagewords.begin(SIZE, LATER))
    with Wire(hasty.socket) as wire:
        wire.send(head("PUT", facet + UPLOAD + "?at=0", PIN, f"Content-Length: {SIZE}"), DATA[:700])
        answer = wire.answer()
    assert kind_of(answer) is Kind.FAILED and "too long" in storagewords.decode_failure(answer.body).why
    assert upload(hasty, facet, at=700).status == 200


def test_whoever_is_slow_but_moves_is_not_given_up(hasty: Serving) -> None:
    """What counts is how long a small piece takes, not a large one."""
    facet, data = hasty.tenant(), DATA[: 4 * PIECE]
    hasty.ask("POST", facet + UPLOAD, storagewords.begin(len(data), LATER))
    with Wire(hasty.socket) as wire:
        wire.send(head("PUT", facet + UPLOAD + "?at=0", PIN, f"Content-Length: {len(data)}"))
        for start in range(0, len(data), PIECE):
            time.sleep(0.15)  # of the 0.3 s that each of them may take
            wire.send(data[start : start + PIECE])
        assert storagewords.decode_received(wire.answer().body, len(data)) == len(data)


@pytest.mark.parametrize("at", [1, 700, 4096, LARGE - 1, LARGE, LARGE + 4097])
def test_an_upload_goes_on_at_any_byte(server: Serving, at: int) -> None:
    facet = server.tenant()
    server.ask("POST", facet + UPLOAD, storagewords.begin(SIZE, LATER))
    server.ask("PUT", facet + UPLOAD + "?at=0", DATA[:at])
    assert upload(server, facet, at=at).status == 200
    assert server.ask("GET", f"/v1/shares/{INDEX}").body == DATA


def test_only_so_many_transfers_have_a_large_piece_in_memory(server: Serving) -> None:
    with contextlib.ExitStack() as stack:
        rooms = [stack.enter_context(server.service._room()) for _ in range(ROOMS + 2)]
        assert [len(room) for room in rooms] == [LARGE] * ROOMS + [PIECE] * 2
        upload(server, server.tenant())
        assert server.ask("GET", f"/v1/shares/{INDEX}").body == DATA
    with server.service._room() as room:
        assert len(room) == LARGE


def test_drops_that_keep_a_caller_barely_moving_do_not_keep_the_call(hasty: Serving) -> None:
    facet = hasty.tenant()
    hasty.ask("POST", facet + UPLOAD, storagewords.begin(SIZE, LATER))
    with Wire(hasty.socket) as wire:
        wire.send(head("PUT", facet + UPLOAD + "?at=0", PIN, f"Content-Length: {SIZE}"))
        for number in range(15):
            with contextlib.suppress(ConnectionError):
                wire.send(DATA[number : number + 1])
            time.sleep(0.03)
        assert kind_of(wire.answer()) is Kind.FAILED


@pytest.mark.parametrize("path", ["/v1/find", "FACET/list", "FACET" + UPLOAD])
def test_a_body_that_stops_half_way_is_given_up(hasty: Serving, path: str) -> None:
    with Wire(hasty.socket) as wire:
        wire.send(head("POST", path.replace("FACET", hasty.tenant()), PIN, "Content-Length: 1000"), b"\xa1")
        assert kind_of(wire.answer()) is Kind.FAILED


def test_a_body_of_the_smallest_chunks_is_a_body(server: Serving) -> None:
    """And becomes one piece of memory, not one object for each of its bytes."""
    facet, data = server.tenant(), DATA[:20_000]
    server.ask("POST", facet + UPLOAD, storagewords.begin(len(data), LATER))
    with Wire(server.socket) as wire:
        wire.send(head("PUT", facet + UPLOAD + "?at=0", PIN, "Transfer-Encoding: chunked"))
        wire.send(*[b"1\r\n%c\r\n" % byte for byte in data], b"0\r\n\r\n")
        assert storagewords.decode_received(wire.answer().body, len(data)) == len(data)
    assert upload(server, facet, data, at=len(data)).status == 200


def test_an_answer_that_nobody_takes_ends(hasty: Serving) -> None:
    data = bytes_of("large", 24 << 20)
    hasty.kept.store(hasty.kept.account(), INDEX, data)
    before = opened()
    with Wire(hasty.socket) as wire:
        wire.send(head("GET", f"/v1/shares/{INDEX}", PIN))
        until(lambda: len(opened_since(before)) > 1)
        until(lambda: len(opened_since(before)) <= 1)
        with pytest.raises((EOFError, ConnectionError)):
            wire.answer()


def test_so_many_requests_of_an_account_wait_and_no_more(server: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    facet, other = server.tenant(), server.tenant(BOB, 1)
    server.ask("POST", facet + UPLOAD, storagewords.begin(SIZE, LATER))
    with contextlib.ExitStack() as stack:
        wires = [stack.enter_context(Wire(server.socket)) for _ in range(service._REQUESTS + service._WAITING)]
        for wire in wires:
            wire.send(head("PUT", facet + UPLOAD + "?at=0", PIN, f"Content-Length: {SIZE}"))
        until(lambda: server.service._turns[server.kept.account()]._waiting == service._WAITING)
        assert kind_of(server.ask("POST", f"{facet}/list", storagewords.listing(b"", 1))) is Kind.BUSY
        assert server.ask("POST", f"{other}/list", storagewords.listing(b"", 1), pin=BOB).status == 200
        assert server.ask("POST", "/v1/find", storagewords.indexes([INDEX])).status == 200
        assert server.ask("GET", f"{other}/account", pin=BOB).status == 200
    until(lambda: server.ask("POST", f"{facet}/list", storagewords.listing(b"", 1)).status == 200)


def test_so_many_shares_are_read_at_once(server: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    from commonhold.host.turns import Turns

    monkeypatch.setattr(server.service, "_reading", Turns(2, 1, "server"))
    server.kept.store(server.kept.account(), INDEX, bytes_of("large", 24 << 20))
    with contextlib.ExitStack() as stack:
        for _ in range(3):
            wire = stack.enter_context(Wire(server.socket))
            wire.send(head("GET", f"/v1/shares/{INDEX}", PIN))
        until(lambda: server.service._reading._waiting == 1)
        assert kind_of(server.ask("GET", f"/v1/shares/{INDEX}")) is Kind.BUSY
    until(lambda: server.ask("GET", f"/v1/shares/{INDEX}", b"", "Range: bytes=0-9").status == 206)


def test_checks_leave_threads_for_everybody_else(server: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    go_on = threading.Event()
    upload(server, server.tenant())
    monkeypatch.setattr(server.kept.keeper, "check", lambda index, copy: go_on.wait(SECONDS))
    with contextlib.ExitStack() as stack:
        wires = [stack.enter_context(Wire(server.socket)) for _ in range(20)]
        try:
            for wire in wires:
                wire.send(head("POST", f"/v1/shares/{INDEX}/check", PIN))
            until(lambda: server.service._checking._waiting == 18)
            assert server.ask("POST", "/v1/find", storagewords.indexes([INDEX])).status == 200
            assert server.ask("GET", f"/v1/shares/{INDEX}").body == DATA
        finally:
            go_on.set()
        assert all(storagewords.decode_verdict(wire.answer().body) for wire in wires)


def test_a_stop_in_the_middle_of_a_read_leaves_no_descriptor(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        server.kept.store(server.kept.account(), INDEX, bytes_of("large", 24 << 20))
        with Wire(server.socket) as wire:
            wire.send(head("GET", f"/v1/shares/{INDEX}", PIN))
            assert wire.sock.recv(10, socket.MSG_WAITALL) == b"HTTP/1.1 2"
            server.stop()
