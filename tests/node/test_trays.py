"""Trays: memory in which a node lays blocks for one connection; nobody but the node writes there."""

import fcntl
import mmap
import os
import socket
import termios
from array import array
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from commonhold.blockstore.store import Store, create
from commonhold.errors import HoldError, Kind
from commonhold.formats import keylist, tray
from commonhold.formats.multihash import Multihash
from commonhold.ipc import descriptors
from commonhold.ipc.nodeclient import NodeStore
from commonhold.ipc.trays import Trays
from commonhold.ipc.unixhttp import GO_ON, Client
from commonhold.node import trays
from tests.node.serving import running, serving
from tests.node.wire import Answer, Wire, ask, head, packed, put
from tests.suites.blockstore import keep, key_of
from tests.waiting import until

LARGE = os.urandom(1 << 20)
BLOCKS = [b"", b"a", b"b" * 4096, b"c" * 4097, LARGE]
NONE = key_of(b"never put")


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with serving(tmp_path_factory.mktemp("node")) as (config, _):
        put(config.socket, "some", *BLOCKS)
        yield config.socket


class Seated:
    """A connection that has a tray."""

    def __init__(self, path: Path) -> None:
        self.wire = Wire(path)
        self.fd = self.take()
        self.memory = mmap.mmap(self.fd, tray.SIZE, access=mmap.ACCESS_READ)

    def __enter__(self) -> "Seated":
        return self

    def __exit__(self, *error: object) -> None:
        self.memory.close()
        os.close(self.fd)
        self.wire.sock.close()

    def take(self) -> int:
        """Ask for the tray; a descriptor of it."""
        fd, answer = self.wire.descriptor("/v1/tray")
        assert answer.said == {"bytes": tray.SIZE}
        return fd

    def ask(self, *keys: Multihash) -> Answer:
        return self.wire.request("POST", "/v1/tray/read", packed(*keys))

    def read(self, *keys: Multihash) -> list[bytes | None]:
        """What lies there."""
        answer = self.ask(*keys)
        assert answer.status == 200
        lengths = keylist.unpack_sizes(answer.body, len(answer.body) // 4)
        there = zip(lengths, tray.places(lengths), strict=True)
        return [None if length is None or at is None else self.memory[at : at + length] for length, at in there]


def trays_here() -> list[int]:
    """The trays of which this process has descriptors, each as often: the node's, as it is in here, and ours."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        with suppress(OSError):
            if os.readlink(path := f"/proc/self/fd/{name}").startswith("/memfd:hold-tray"):
                found.append(os.stat(path).st_ino)
    return found


@pytest.fixture(autouse=True)
def others() -> None:
    """Know which trays were here before: what another test has left is not this one's."""
    OTHERS.clear()
    OTHERS.update(trays_here())


OTHERS: set[int] = set()


def memfds() -> int:
    """How many descriptors of trays there are that were made since the test began."""
    return sum(tray not in OTHERS for tray in trays_here())


# ── what it is for ──


def test_blocks_lie_one_after_another_in_the_order_asked_and_what_is_not_there_does_not(node: Path) -> None:
    with Seated(node) as one:
        keys = [key_of(data) for data in BLOCKS]
        assert one.read(*keys[:2], NONE, *keys[2:]) == [*BLOCKS[:2], None, *BLOCKS[2:]]
        assert one.read(keys[3]) == [BLOCKS[3]]
        assert one.read() == []


def test_what_has_no_room_is_left_to_the_next_call(node: Path) -> None:
    with Seated(node) as one:
        assert one.read(*[key_of(LARGE)] * 3, NONE, *[key_of(LARGE)] * 2) == [*[LARGE] * 3, None, LARGE]


@pytest.mark.parametrize("body", [b"x", b"\0", bytes(100)])
def test_keys_that_are_none_are_refused(node: Path, body: bytes) -> None:
    with Seated(node) as one:
        assert one.wire.request("POST", "/v1/tray/read", body).status == 400


def test_a_connection_without_one_is_told_so(node: Path) -> None:
    with Wire(node) as wire, Seated(node):
        answer = wire.request("POST", "/v1/tray/read", packed(key_of(LARGE)))
        assert (answer.status, answer.code) == (400, "E-INVALID")


# ── whose it is ──


@pytest.mark.parametrize(
    "change",
    [
        lambda fd: mmap.mmap(fd, tray.SIZE),
        lambda fd: os.pwrite(fd, b"mine", 0),
        lambda fd: os.ftruncate(fd, 0),
        lambda fd: os.ftruncate(fd, tray.SIZE + 1),
        lambda fd: os.posix_fallocate(fd, 0, tray.SIZE + 1),
        lambda fd: fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE),
    ],
)
def test_nobody_but_the_node_changes_it(node: Path, change: Callable[[int], object]) -> None:
    with Seated(node) as one:
        with pytest.raises(PermissionError):
            change(one.fd)
        assert one.read(key_of(LARGE)) == [LARGE]


def test_each_connection_has_its_own_and_one_only(node: Path) -> None:
    with Seated(node) as one, Seated(node) as other:
        before = memfds()
        again = one.take()
        assert one.read(key_of(LARGE)) == [LARGE] and other.read(key_of(BLOCKS[2])) == [BLOCKS[2]]
        assert os.pread(again, len(LARGE), 0) == LARGE
        os.close(again)
        assert memfds() == before


def test_the_node_lets_go_of_it_when_the_connection_ends(node: Path) -> None:
    until(lambda: memfds() == 0)
    with Seated(node) as one:
        one.read(key_of(LARGE))
        assert memfds() > 1
    until(lambda: memfds() == 0)


def test_a_user_has_so_many_at_a_time(node: Path) -> None:
    until(lambda: memfds() == 0)
    with ExitStack() as stack:
        for _ in range(trays.MOST):
            stack.enter_context(Seated(node))
        answer = ask(node, "POST", "/v1/tray")
        assert (answer.status, answer.code) == (415, "E-UNSUPPORTED")
    until(lambda: memfds() == 0)
    with Seated(node) as one:
        assert one.read(key_of(LARGE)) == [LARGE]


_TWO_ANSWERS = 400  # bytes: more than one has


def waiting(sock: socket.socket) -> int:
    """How many bytes have come that nobody has read."""
    found = array("i", [0])
    fcntl.ioctl(sock, termios.FIONREAD, found)
    return found[0]


def test_a_caller_who_asks_and_never_reads_keeps_one_descriptor_and_is_told(node: Path) -> None:
    with Wire(node) as wire:
        wire.send(head("POST", "/v1/tray") * 3)
        until(lambda: waiting(wire.sock) > _TWO_ANSWERS)
        data, fds = descriptors.receive(wire.sock, len(GO_ON), 5)
        assert data == GO_ON and len(fds) == 1
        descriptors.close_all(fds)
        assert wire.answer().said == {"bytes": tray.SIZE}
        assert [(wire.answer().status, wire.answer().code)] == [(423, "E-BUSY")]


# ── as a store reads by it ──


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Which calls are made."""
    made: list[str] = []
    real = Client.call

    def call(self: Client, method: str, path: str, *body: bytes) -> object:
        made.append(path)
        return real(self, method, path, *body)

    monkeypatch.setattr(Client, "call", call)
    return made


def test_after_a_large_block_further_ones_come_by_a_tray(node: Path, calls: list[str]) -> None:
    store = NodeStore(node)
    room = memoryview(bytearray(2 << 20))
    assert store.get(key_of(BLOCKS[2])) == BLOCKS[2]
    assert store.read_into(key_of(LARGE), room) == len(LARGE) and room[: len(LARGE)] == LARGE
    assert store.get(key_of(LARGE)) == LARGE
    room[:] = bytes(len(room))
    for unchecked in (True, False):
        assert store.read_into(key_of(LARGE), room, unchecked=unchecked) == len(LARGE) and room[: len(LARGE)] == LARGE
    for read in (store.get, lambda key: store.read_into(key, room)):
        with pytest.raises(HoldError, check=lambda error: error.kind is Kind.NOT_FOUND):
            read(NONE)
    assert calls == ["/v1/blocks/read"] * 2 + ["/v1/tray/read"] * 5
    store.close()


def test_a_new_connection_is_given_another(node: Path) -> None:
    client = Client(node)
    own = Trays(client)
    own.came(len(LARGE))
    for _ in range(3):
        assert bytes(own.read(key_of(LARGE)) or b"") == LARGE
        client.leave()
    client.close()


def test_where_there_are_none_blocks_come_over_the_socket(
    node: Path, calls: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trays, "MOST", 0)
    store = NodeStore(node)
    for _ in range(3):
        assert store.get(key_of(LARGE)) == LARGE
    assert calls == ["/v1/blocks/read"] * 3
    store.close()


def test_what_has_gone_bad_is_found_and_the_node_says_where(tmp_path: Path) -> None:
    with running(tmp_path) as one:
        put(one.socket, "some", LARGE, b"sound" * 100_000)
        store = NodeStore(one.socket)
        store.get(key_of(b"sound" * 100_000))
        place = one.store.index.row(key_of(LARGE))
        assert place is not None
        with open(one.store.segments.path(place.place.segment), "r+b") as segment:
            segment.seek(place.place.offset + 1000)
            segment.write(b"rot")
        for read in (store.get, lambda key: store.read_into(key, memoryview(bytearray(2 << 20)))):
            with pytest.raises(HoldError, match="wrong bytes in segment") as failed:
                read(key_of(LARGE))
            assert failed.value.kind is Kind.CORRUPT
        store.close()


# ── what is moved meanwhile ──


def test_a_block_that_is_moved_or_deleted_while_it_is_read_is_read_where_it_is_or_not_at_all(tmp_path: Path) -> None:
    create(tmp_path / "store")
    with Store(tmp_path / "store") as store:
        data, other = os.urandom(500_000), os.urandom(500_000)
        for one in (data, other):
            keep(store, "some" if one is data else "other", one)
        row, elsewhere = store.index.row(key_of(data)), store.index.row(key_of(other))
        assert row is not None and elsewhere is not None
        into = memoryview(bytearray(len(data)))
        store.lay(key_of(data), row._replace(place=elsewhere.place), into)  # it was there, until it was moved
        assert into == data
        store.unpin("some")
        store.delete(key_of(data))
        with pytest.raises(HoldError, check=lambda error: error.kind is Kind.NOT_FOUND):
            store.lay(key_of(data), row, into)
