"""Memory that a node shares with a session: whatever its owner does with it, only what was hashed is stored."""

import contextlib
import errno
import fcntl
import hashlib
import mmap
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from commonhold.agent.sealed import SealingSession
from commonhold.api import MAX_BLOCK
from commonhold.blockstore.owned import OwnedStore
from commonhold.blockstore.store import Store, create
from commonhold.blockstore.writer import RING
from commonhold.errors import HoldError, Kind
from commonhold.formats import multihash, spots
from commonhold.formats.spots import MEMORY, Spot
from commonhold.ipc import descriptors
from commonhold.ipc.nodeclient import NodeStore
from commonhold.ipc.unixhttp import GO_ON
from commonhold.node import memory
from commonhold.node.config import Limits
from commonhold.node.memory import Memory
from commonhold.unixfs.profile import V1_2025
from commonhold.volume.nodevault import NodeVault
from tests.node.serving import running, serving
from tests.node.wire import Answer, Wire, archive, ask, begin, head, packed
from tests.suites.blockstore import keep, key_of
from tests.waiting import SECONDS


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


class Sharing:
    """A session that has memory, and a connection to go with it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.session = begin(path)
        self.wire = Wire(path)
        self.fd = self.share()
        self.memory = mmap.mmap(self.fd, MEMORY)

    def __enter__(self) -> "Sharing":
        return self

    def __exit__(self, *error: object) -> None:
        self.memory.close()
        os.close(self.fd)
        self.wire.sock.close()
        ask(self.path, "DELETE", f"/v1/sessions/{self.session}")

    def share(self) -> int:
        """Ask for the memory; a descriptor of it."""
        fd, answer = self.wire.descriptor(f"/v1/sessions/{self.session}/memory")
        assert answer.said == {"bytes": MEMORY}
        return fd

    def lay(self, *blocks: bytes, at: int = 0, gap: int = 0) -> list[Spot]:
        """Put blocks there, one after another."""
        found = []
        for data in blocks:
            self.memory[at : at + len(data)] = data
            found.append(Spot(key_of(data), at, len(data)))
            at += len(data) + gap
        return found

    def say(self, where: Sequence[Spot]) -> Answer:
        """Tell where blocks lie."""
        return self.wire.request("POST", f"/v1/sessions/{self.session}/spots", spots.pack(where))

    def flush(self) -> None:
        assert self.wire.request("POST", f"/v1/sessions/{self.session}/flush").status == 200


def there(path: Path, *blocks: bytes) -> list[bool]:
    """Which blocks a node has; what it has is what it should be."""
    found = []
    for data in blocks:
        got = ask(path, "POST", "/v1/blocks/read", packed(key_of(data))).body
        assert got in (archive(), archive((key_of(data), data)))
        found.append(got != archive())
    return found


def memfds() -> int:
    """How many descriptors of shared memory this process has: the node's, as it is in here, and ours."""
    found = 0
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            found += os.readlink(f"/proc/self/fd/{name}").startswith("/memfd:hold-blocks")
    return found


# ── what it is for ──


def test_blocks_that_lie_there_are_stored_and_those_that_were_there_are_counted(node: Path) -> None:
    blocks = [b"", b"a", b"b" * 4096, b"c" * (300 << 10), b"d", b"e" * MAX_BLOCK, b"f" * 100]
    with Sharing(node) as one:
        where = one.lay(*blocks)
        size = sum(map(len, blocks))
        assert one.say(where).said == {"blocks": 7, "bytes": size, "known": 0}
        one.memory[: 8 << 20] = bytes(8 << 20)  # it is ours again
        one.flush()
        assert one.say(one.lay(b"a", b"new")).said == {"blocks": 2, "bytes": 4, "known": 1}
        one.flush()
        assert there(node, *blocks, b"new") == [True] * 8


@pytest.mark.parametrize("gap", [0, 1, 63, 64, 65, 4096])
def test_blocks_may_lie_close_or_apart(node: Path, gap: int) -> None:
    blocks = [b"%d of %d" % (n, gap) for n in range(600)]
    with Sharing(node) as one:
        assert one.say(one.lay(*blocks, gap=gap)).status == 200
        one.flush()
        assert there(node, *blocks[::50], blocks[-1]) == [True] * 13


def test_blocks_may_lie_in_any_order_and_within_each_other(node: Path) -> None:
    text = bytes(range(256)) * 8192
    places = [(0, len(text)), (5, 100), (0, 6), (300, 1 << 20), (1, 0), (50, 100), (len(text) - 1, 1)]
    blocks = [text[at : at + size] for at, size in places]
    with Sharing(node) as one:
        one.lay(text)
        where = [Spot(key_of(data), at, size) for data, (at, size) in zip(blocks, places, strict=True)]
        assert one.say(where).said["blocks"] == len(blocks)
        one.flush()
        assert there(node, *blocks) == [True] * len(blocks)


def test_no_blocks_are_none(node: Path) -> None:
    with Sharing(node) as one:
        assert one.say([]).said == {"blocks": 0, "bytes": 0, "known": 0}


def test_the_last_bytes_are_as_good_as_the_first_and_what_was_never_written_is_zeros(node: Path) -> None:
    with Sharing(node) as one:
        assert one.say(one.lay(b"last", at=MEMORY - 4)).status == 200
        zeros = bytes(MAX_BLOCK)
        assert one.say([Spot(key_of(zeros), 16 << 20, MAX_BLOCK)]).status == 200
        one.flush()
        assert there(node, b"last", zeros) == [True, True]


def test_a_session_has_one_memory_however_often_it_is_asked_for(node: Path) -> None:
    before = memfds()
    with Sharing(node) as one:
        for _ in range(5):
            fd = one.share()
            one.memory[:5] = os.urandom(5)
            assert os.pread(fd, 5, 0) == one.memory[:5]
            os.close(fd)
        assert memfds() == before + 2 + 1  # the node's, ours, and what our mapping has
    assert memfds() == before


@pytest.mark.parametrize("end", ["commit", "delete"])
def test_the_node_lets_go_of_it_when_the_session_ends(node: Path, end: str) -> None:
    before = memfds()
    session = begin(node)
    ask(node, "POST", f"/v1/sessions/{session}/memory")
    assert memfds() == before + 1
    if end == "delete":
        assert ask(node, "DELETE", f"/v1/sessions/{session}").status == 200
    else:
        said = b'{"name": "x", "root": "bafkqaaa"}'
        assert ask(node, "POST", f"/v1/sessions/{session}/commit", said).status == 200
    assert memfds() == before


def test_the_node_lets_go_of_it_when_it_stops_and_when_nobody_comes_back(tmp_path: Path) -> None:
    before = memfds()
    now = [0.0]
    with running(tmp_path, clock=lambda: now[0]) as one:
        for _ in range(3):
            ask(one.socket, "POST", f"/v1/sessions/{begin(one.socket)}/memory")
        assert memfds() == before + 3
        now[0] = 10_000
        one.do(one.service.close_idle())
        assert memfds() == before
        ask(one.socket, "POST", f"/v1/sessions/{begin(one.socket)}/memory")
    assert memfds() == before


# ── what is wrong ──


def test_without_memory_nothing_lies_anywhere(node: Path) -> None:
    session = begin(node)
    answer = ask(node, "POST", f"/v1/sessions/{session}/spots", spots.pack([Spot(key_of(b""), 0, 0)]))
    assert (answer.status, answer.code) == (400, Kind.INVALID.value.code)


@pytest.mark.parametrize("call", ["memory", "spots"])
def test_a_session_that_is_none_has_no_memory(node: Path, call: str) -> None:
    ended = begin(node)
    ask(node, "DELETE", f"/v1/sessions/{ended}")
    for session in (ended, "never"):
        assert ask(node, "POST", f"/v1/sessions/{session}/{call}").status == 404


KEY = key_of(b"a block")


@pytest.mark.parametrize(
    "body",
    [
        b"\0",
        spots.pack([Spot(KEY, 0, 7)])[:-1],
        spots.pack([Spot(KEY, MEMORY - 6, 7)]),
        spots.pack([Spot(KEY, MEMORY + 1, 0)]),
        spots.pack([Spot(KEY, (1 << 64) - 4096, 4096)]),
        spots.pack([Spot(KEY, 0, MAX_BLOCK + 1)]),
        spots.pack([Spot(KEY, 0, MAX_BLOCK)] * 9),
        spots.pack([Spot(KEY, 0, 0)] * 8193),
        spots.pack([Spot(multihash.identity(b"in"), 0, 2)]),
        spots.pack([Spot(multihash.parse(b"\x7f\x02ab")[0], 0, 2)]),
        spots.pack([Spot(multihash.parse(b"\x11\x14" + bytes(20))[0], 0, 1 << 20)]),
    ],
)
def test_what_lies_nowhere_or_cannot_be_is_refused_and_the_session_lives(node: Path, body: bytes) -> None:
    with Sharing(node) as one:
        answer = one.wire.request("POST", f"/v1/sessions/{one.session}/spots", body)
        assert answer.status == 400 and answer.said["why"]
        assert one.say(one.lay(b"a block")).status == 200


def test_a_list_over_its_limit_is_not_even_read(node: Path) -> None:
    with Sharing(node) as one:
        answer = ask(node, "POST", f"/v1/sessions/{one.session}/spots", bytes(2 << 20))
        assert (answer.status, answer.code) == (413, Kind.TOO_LARGE.value.code)


def test_a_list_that_stops_half_way_is_given_up(node: Path) -> None:
    with Sharing(node) as one, Wire(node) as wire:
        wire.send(head("POST", f"/v1/sessions/{one.session}/spots", "Content-Length: 1000"), b"\0" * 100)
        answer = wire.answer()
        assert answer.status == 500 and "too long" in answer.said["why"]


@pytest.mark.parametrize("size", [10, 1 << 20])
def test_wrong_bytes_are_refused_and_what_came_before_them_is_there(node: Path, size: int) -> None:
    before, wrong, after = [(b"%s %d" % (word, size)).ljust(size, b".") for word in (b"before", b"wrong", b"after")]
    with Sharing(node) as one:
        for _ in range(RING + 2):  # no frame is lost
            where = one.lay(before, wrong, after)
            one.memory[where[1].start] ^= 1
            answer = one.say(where)
            assert (answer.status, answer.code) == (500, Kind.CORRUPT.value.code)
        one.flush()
        assert there(node, before, wrong, after) == [True, False, False]
        assert one.say(one.lay(after)).status == 200


# ── who writes there while it is read, or does otherwise what they like ──


def test_what_is_written_there_while_it_is_taken_is_never_stored_under_a_wrong_name(tmp_path: Path) -> None:
    size, ended = 1 << 20, threading.Event()
    with serving(tmp_path) as (config, store), Sharing(config.socket) as one:

        def scribble() -> None:
            while not ended.is_set():
                for byte in (b"x", b"a"):
                    one.memory[size // 2 : size // 2 + 1] = byte

        scribbling = threading.Thread(target=scribble)
        scribbling.start()
        statuses = set()
        for number in range(60):
            data = b"%08d" % number + b"a" * (size - 8)
            one.memory[:8] = data[:8]
            statuses.add(one.say([Spot(key_of(data), 0, size)]).status)
        ended.set()
        scribbling.join()
        one.flush()
        assert statuses <= {200, 500}
        for key in list(store.keys()):
            store.get(key)  # which checks it


@pytest.mark.parametrize(
    "change",
    [
        lambda fd: os.ftruncate(fd, 0),
        lambda fd: os.ftruncate(fd, MEMORY + 1),
        lambda fd: fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE),
    ],
)
def test_it_stays_as_large_as_it_is(node: Path, change: Callable[[int], object]) -> None:
    with Sharing(node) as one:
        with pytest.raises(PermissionError):
            change(one.fd)
        assert one.say(one.lay(b"a block")).status == 200


def test_a_caller_who_asks_and_never_reads_keeps_one_descriptor_and_is_told(node: Path) -> None:
    session, before = begin(node), memfds()
    with Wire(node) as wire:
        wire.send(head("POST", f"/v1/sessions/{session}/memory") * 3)
        time.sleep(0.1)
        assert memfds() == before + 1
        data, fds = descriptors.receive(wire.sock, len(GO_ON), 5)
        assert data == GO_ON and len(fds) == 1
        descriptors.close_all(fds)
        assert wire.answer().said == {"bytes": MEMORY}
        for _ in range(2):
            refused = wire.answer()
            assert (refused.status, refused.code) == (423, "E-BUSY")


def test_a_caller_who_leaves_before_the_descriptor_comes_leaves_nothing_behind(node: Path) -> None:
    before = memfds()
    for _ in range(20):
        session = begin(node)
        with Wire(node) as wire:
            wire.send(head("POST", f"/v1/sessions/{session}/memory"))
        ask(node, "DELETE", f"/v1/sessions/{session}")
    time.sleep(0.1)
    assert memfds() == before


@pytest.mark.parametrize("call", ["memory", "spots", "blocks", "flush"])
def test_descriptors_that_a_caller_sends_are_nobodys(node: Path, call: str) -> None:
    with Sharing(node) as one, Wire(node) as wire:
        reading, writing = os.pipe()
        descriptors.send(wire.sock, head("POST", f"/v1/sessions/{one.session}/{call}"), [writing] * 253)
        os.close(writing)
        assert wire.sock.recv(100)
        assert os.read(reading, 1) == b""  # nobody has the other end
        os.close(reading)


def test_a_node_that_can_make_no_memory_says_so(node: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*given: object) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    session = begin(node)
    monkeypatch.setattr(os, "memfd_create", refuse)
    answer = ask(node, "POST", f"/v1/sessions/{session}/memory")
    assert (answer.status, answer.code) == (415, "E-UNSUPPORTED")


def test_a_connection_that_was_given_a_descriptor_goes_on_as_any_other(node: Path) -> None:
    with Sharing(node) as one:
        os.close(one.share())
        assert one.wire.request("GET", "/v1/node").status == 200
        one.wire.sock.shutdown(socket.SHUT_WR)
        assert one.wire.hung_up()


# ── owners ──


def test_over_the_quota_nothing_is_taken_and_no_frame_is_kept(tmp_path: Path) -> None:
    create(tmp_path / "store")
    blocks = [bytes([n]) * (1 << 20) for n in range(6)]
    with Store(tmp_path / "store") as store, contextlib.closing(Memory()) as given, ThreadPoolExecutor(4) as hashing:
        owned = OwnedStore(store, 1001, 3 << 20)
        for number, data in enumerate(blocks):
            os.pwrite(given.fd, data, number << 20)
        where = [Spot(key_of(data), number << 20, len(data)) for number, data in enumerate(blocks)]
        for _ in range(RING + 2):
            with contextlib.closing(owned.session()) as session:
                with pytest.raises(HoldError, check=lambda error: error.kind is Kind.QUOTA):
                    memory.take(owned, session, given, where, hashing)
                session.flush()
            assert owned.usage().bytes == 3 << 20
        with contextlib.closing(OwnedStore(store, 1002, None).session()) as session:
            other = OwnedStore(store, 1002, None)
            assert memory.take(other, session, given, where, hashing).known == 0  # whoever else has them


def test_more_sessions_than_there_are_frames_all_come_to_an_end(tmp_path: Path) -> None:
    with serving(tmp_path, limits=Limits(requests=20)) as (config, store):
        statuses: list[int] = []

        def add(number: int) -> None:
            with Sharing(config.socket) as one:
                for turn in range(4):
                    blocks = [bytes([number, turn, n]) * (1 << 18) for n in range(12)]
                    statuses.append(one.say(one.lay(*blocks)).status)
                one.flush()

        threads = [threading.Thread(target=add, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(SECONDS)
        assert statuses == [200] * 32 and len(list(store.keys())) == 8 * 4 * 12


# ── what a caller lets the node see ──


def seen() -> bytes:
    """All that lies in memory that a node shares."""
    found = b""
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            if os.readlink(f"/proc/self/fd/{name}").startswith("/memfd:hold-blocks"):
                found += os.pread(int(name), MEMORY, 0)
    return found


@pytest.mark.slow
def test_the_node_sees_nothing_that_is_not_sealed_and_changes_nothing_before_it_is(node: Path) -> None:
    secret = b"what nobody else is to know " * 100
    store = NodeStore(node)
    with contextlib.closing(SealingSession(store.session(), bytes(32), V1_2025)) as session:
        slots = [session.reserve(len(secret), wait=True) for _ in range(3)]
        for slot in slots:
            assert slot is not None
            slot.into[:] = secret
        assert len(seen()) >= MEMORY and secret[:20] not in seen()
        left, put, unused = slots
        assert left is not None and put is not None and unused is not None
        session.abandon(left)
        key = multihash.from_sha2_256_digest(session.digest(put))
        session.settle(put, key)
        session.abandon(unused)
        session.flush()
        assert any(seen()) and secret[:20] not in seen()
    store.close()


def test_a_volume_seals_before_the_node_sees_it(node: Path) -> None:
    secret = b"what nobody else is to know " * 30_000
    store = NodeStore(node)
    chapter = NodeVault(store, bytes(32), "volume").begin(1)
    sealed = chapter.put(secret)
    assert len(seen()) >= MEMORY and secret[:20] not in seen()
    chapter.commit()
    assert NodeVault(store, bytes(32), "volume").read(sealed) == secret
    chapter.close()
    store.close()


def test_what_the_node_does_with_its_memory_does_not_change_what_was_hashed(node: Path) -> None:
    store = NodeStore(node)
    with contextlib.closing(store.session()) as session:
        slot = session.reserve(10, wait=True)
        assert slot is not None
        slot.into[:] = b"ten bytes!"
        for name in os.listdir("/proc/self/fd"):
            with contextlib.suppress(OSError):
                if os.readlink(f"/proc/self/fd/{name}").startswith("/memfd:hold-blocks"):
                    os.pwrite(int(name), b"others" * 100, slot.start)
        assert session.digest(slot) == hashlib.sha256(b"ten bytes!").digest()
        session.settle(slot, key_of(b"ten bytes!"))
        session.flush()
        assert store.get(key_of(b"ten bytes!")) == b"ten bytes!"
    store.close()


def test_blocks_of_all_sizes_reach_the_node_however_they_lie(node: Path) -> None:
    sizes = [1, 63, 64, 65, 4096, *range(100, 400), 1 << 20, 5, 100_000, *[64] * 700, MAX_BLOCK, 3]
    blocks = [bytes([number % 256]) * size + number.to_bytes(2, "little") for number, size in enumerate(sizes)]
    blocks = [block[:MAX_BLOCK] for block in blocks]
    store = NodeStore(node)
    keep(store, "all sizes", *blocks)
    assert [store.get(key_of(block)) for block in blocks] == blocks
    store.close()
