"""A node as a process of its own user: killed, full, flooded, left alone, told to stop."""

import contextlib
import os
import random
import resource
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from commonhold.blockstore.store import Store
from commonhold.blockstore.verify import verify
from commonhold.errors import HoldError, Kind
from commonhold.formats.multihash import Multihash
from commonhold.ipc.nodeclient import NodeStore
from tests.node.wire import HEADER, Wire, archive, ask, begin, head, packed, put
from tests.suites.blockstore import keep, key_of
from tests.system.disks import small_ext4
from tests.system.people import Doing, Node, Person, node, people, place
from tests.waiting import SECONDS, comes_to_rest

pytestmark = [
    pytest.mark.root,
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root to make users and mounts"),
]


class Host(NamedTuple):
    """Those who use a machine."""

    keeper: Person
    alice: Person
    bob: Person
    settings: str


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    with people() as made:
        group = made.group("users")
        keeper, alice, bob = made.user("node"), made.user("alice", group), made.user("bob", group)
        yield Host(keeper, alice, bob, f'group = "{group}"\n')


@pytest.fixture
def running(host: Host) -> Iterator[Node]:
    with place(host.keeper) as directory, node(host.keeper, directory, host.settings) as found:
        yield found


# ── it is killed, or told to stop ──


def working(path: Path, seed: int, seconds: float) -> list[tuple[str, Multihash]]:
    """What one user's program does all day: it stores, and carries on whatever happens. What was acknowledged to it,
    which is something."""
    rng = random.Random(seed)
    store = NodeStore(path)
    acknowledged: list[tuple[str, Multihash]] = []
    stop = time.monotonic() + seconds
    while time.monotonic() < stop or len(acknowledged) <= 5:
        blocks = [rng.randbytes(rng.choice([50, 5_000, 300_000])) for _ in range(rng.randint(1, 5))]
        name = f"{seed}-{len(acknowledged)}"
        try:
            keep(store, name, *blocks)
            acknowledged += [(name, key_of(data)) for data in blocks]
        except HoldError as error:
            assert error.kind in (Kind.UNREACHABLE, Kind.NOT_FOUND), error  # gone, or not the node that it began with
            time.sleep(0.02)
    return acknowledged


def check_all_there(path: Path, acknowledged: list[tuple[str, Multihash]]) -> None:
    store = NodeStore(path)
    for name, key in acknowledged:
        store.get(key)
        assert key in set(store.pin_keys(name))


def test_a_node_that_is_killed_under_load_loses_nothing_acknowledged_and_everybody_carries_on(host: Host) -> None:
    with place(host.keeper) as directory, node(host.keeper, directory, host.settings) as found:
        workers = [
            (person, person.start(lambda seed=seed: working(found.socket, seed, 6)))  # type: ignore[misc]
            for seed, person in enumerate([host.alice, host.bob, host.alice, host.bob])
        ]
        for _ in range(4):
            time.sleep(1)
            assert found.stop(signal.SIGKILL) == -signal.SIGKILL
            time.sleep(0.1)
            found.start()
        results = [(person, worker.result()) for person, worker in workers]
        for person, acknowledged in results:
            assert len(acknowledged) > 5
            person.do(lambda acknowledged=acknowledged: check_all_there(found.socket, acknowledged))  # type: ignore[misc]
        assert found.stop() == 0
        with Store(found.repository) as store:
            assert verify(store).damage == [] and store.index.audit() == []
        found.start()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_cleanly_with_what_is_under_way_done(host: Host, number: int) -> None:
    data = os.urandom(1 << 20)
    body = archive((key_of(data), data))
    with place(host.keeper) as directory, node(host.keeper, directory, host.settings) as found:

        def upload() -> tuple[int, bool]:
            with Wire(found.socket) as wire, Wire(found.socket) as idle:
                assert idle.request("GET", "/v1/node").status == 200
                session = wire.request("POST", "/v1/sessions").said["id"]
                wire.send(head("POST", f"/v1/sessions/{session}/blocks", f"Content-Length: {len(body)}"), body[:5000])
                (directory / "begun").touch()
                time.sleep(0.5)
                wire.send(body[5000:])
                return wire.answer().said["blocks"], idle.hung_up()

        directory.chmod(0o777)
        uploading = host.alice.start(upload)
        while not (directory / "begun").exists():
            time.sleep(0.01)
        directory.chmod(0o755)
        assert found.stop(number) == 0
        assert uploading.result() == (1, True)
        assert found.errors.read_text() == ""
        found.start()


# ── its disk is full ──


@pytest.fixture
def small_disk(host: Host) -> Iterator[Path]:
    with place(host.keeper) as directory, small_ext4(directory) as mounted:
        os.chown(mounted, host.keeper.uid, host.keeper.gid)
        mounted.chmod(0o700)
        yield mounted


def fill(path: Path, name: str) -> list[Multihash]:
    """Store until there is no room; what was acknowledged."""
    store = NodeStore(path)
    kept: list[Multihash] = []
    for number in range(200):
        data = os.urandom(1 << 20)
        try:
            keep(store, f"{name}-{number}", data)
        except HoldError as error:
            assert error.kind is Kind.DISK_FULL and "No space left" in str(error), error
            return kept
        kept.append(key_of(data))
    raise AssertionError("it never was full")


def read_all(path: Path, keys: list[Multihash]) -> None:
    store = NodeStore(path)
    for key in keys:
        store.get(key)


def test_a_full_disk_is_said_and_when_there_is_room_again_the_same_node_writes_again(
    host: Host, small_disk: Path
) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(24 << 20))
    with place(host.keeper) as directory, node(host.keeper, directory, host.settings, small_disk / "store") as found:
        path = found.socket
        kept = host.alice.do(lambda: fill(path, "first"))
        assert len(kept) > 20
        host.alice.do(lambda: read_all(path, kept))
        with pytest.raises(HoldError, check=lambda error: error.kind is Kind.DISK_FULL):
            host.bob.do(lambda: keep(NodeStore(path), "bobs", os.urandom(2 << 20)))
        ballast.unlink()  # room comes from outside
        more = host.bob.do(lambda: fill(path, "second"))
        assert len(more) > 10

        def make_room() -> None:
            store = NodeStore(path)
            for pin in store.pins()[:12]:
                store.unpin(pin.name)
            assert store.collect().blocks == 12

        host.alice.do(make_room)  # and from inside
        blocks = [
            os.urandom(2 << 20) for _ in range(2)
        ]  # the same each time: what is left of a try is of use to the next
        stop = time.monotonic() + SECONDS
        while True:
            with contextlib.suppress(HoldError):
                host.bob.do(lambda: keep(NodeStore(path), "third", *blocks))
                break
            assert time.monotonic() < stop
            time.sleep(0.2)
        host.bob.do(lambda: read_all(path, more))
        assert host.alice.do(lambda: len(list(NodeStore(path).keys()))) == len(kept) - 12
        assert found.stop() == 0
        with Store(found.repository) as store:
            assert verify(store).damage == [] and store.index.audit() == []
        os.chown(found.repository / "lock", host.keeper.uid, host.keeper.gid)
        found.start()


# ── somebody wants all of it ──

SMALL, MANY = 4096, 300


def p99(path: Path, keys: list[Multihash]) -> float:
    """Seconds: the slowest but one in a hundred of many small reads, made now and then."""
    rng = random.Random(3)
    took = []
    with Wire(path) as wire:
        for _ in range(MANY):
            body = packed(rng.choice(keys))
            began = time.perf_counter()
            assert wire.request("POST", "/v1/blocks/read", body).status == 200
            took.append(time.perf_counter() - began)
            time.sleep(0.002)
    return sorted(took)[MANY * 99 // 100 - 1]


def flood(path: Path, kind: str) -> None:
    """Ask without end. The machine's own scheduler is not what is tested here: it is told that this can wait."""
    os.nice(19)
    blocks = [os.urandom(20) for _ in range(5000)]
    tiny = archive(*[(key_of(data), data) for data in blocks])
    big = os.urandom(1 << 20)
    large = archive((key_of(big), big))
    absent = packed(*[key_of(data) for data in blocks])
    session = begin(path)
    ask(path, "POST", f"/v1/sessions/{session}/blocks", large)
    with Wire(path) as wire:
        while True:
            if kind == "calls":
                wire.request("GET", "/v1/account")
            elif kind == "probes":
                wire.request("POST", "/v1/blocks/stat", absent)
            elif kind == "reads":
                wire.request("POST", "/v1/blocks/read", packed(*[key_of(big)] * 16))
            elif kind == "tiny blocks":
                wire.request("POST", f"/v1/sessions/{session}/blocks", tiny)
            elif kind == "pipelined calls":
                wire.send(head("GET", "/v1/node") * 200)
                for _ in range(200):
                    wire.answer()
            else:
                wire.request("POST", "/v1/collect")


@contextlib.contextmanager
def eight(person: Person, work: Callable[[], None]) -> Iterator[Callable[[int], None]]:
    """Somebody does something eight times over, while they are let: a signal for them all stops or continues it."""
    doing: list[Doing[None]] = [person.start(work) for _ in range(8)]

    def tell(number: int) -> None:
        for one in doing:
            os.kill(one.pid, number)
        time.sleep(0.3)

    try:
        time.sleep(1)  # all have begun
        tell(signal.SIGSTOP)
        yield tell
        tell(signal.SIGCONT)
        assert all(one.goes_on() for one in doing)
    finally:
        for one in doing:
            one.kill()


NOISE = 0.001  # seconds that a machine is late by now and then: see what is printed of the flood elsewhere
ROUNDS = 12
FAIR = 2  # rounds: what another machine beside this one does, is not the same in all of them


@pytest.mark.alone
@pytest.mark.parametrize("kind", ["calls", "probes", "reads", "tiny blocks", "pipelined calls", "collections"])
def test_a_flood_by_one_leaves_the_others_their_time(host: Host, running: Node, kind: str) -> None:
    """Twice what it takes just before: where nothing else is done, or where another node has the same flood."""
    path = running.socket
    keys = host.alice.do(lambda: put(path, "small", *[os.urandom(SMALL) for _ in range(200)]))
    idle: list[float] = []
    elsewhere: list[float] = []
    here: list[float] = []
    fair = 0
    with (
        place(host.keeper) as directory,
        node(host.keeper, directory, host.settings) as other,
        eight(host.bob, lambda: flood(other.socket, kind)) as flooding_there,
        eight(host.bob, lambda: flood(path, kind)) as flooding_here,
    ):
        for _ in range(ROUNDS):  # in turn: what else the machine does should be the same for all
            idle.append(host.alice.do(lambda: p99(path, keys)))
            for tell, found in ((flooding_there, elsewhere), (flooding_here, here)):
                tell(signal.SIGCONT)
                found.append(host.alice.do(lambda: p99(path, keys)))
                tell(signal.SIGSTOP)
            fair += here[-1] < 2 * max(idle[-1], elsewhere[-1]) + NOISE
            if fair == FAIR:
                break
    for found, name in ((idle, "idle"), (elsewhere, "elsewhere"), (here, "here")):
        print(f"{kind}, {name}: p99 in ms:", *(f"{one * 1e3:.2f}" for one in found))  # noqa: T201
    assert fair == FAIR


def test_a_thousand_idle_connections_hinder_nobody_and_nobody_has_more_than_their_share(
    host: Host, running: Node
) -> None:
    path = running.socket
    keys = host.alice.do(lambda: put(path, "a", b"block"))

    def hold(say: int, go: int) -> tuple[int, int]:
        resource.setrlimit(resource.RLIMIT_NOFILE, (2000, 2000))
        wires = [Wire(path) for _ in range(1000)]
        kept = refused = 0
        for wire in wires:
            try:
                wire.send(head("GET", "/v1/node"))
                kept += wire.answer().status == 200
            except (OSError, EOFError):
                refused += 1
        os.write(say, b"x")
        os.read(go, 1)
        return kept, refused

    said, say = os.pipe()
    go, let = os.pipe()
    holding = host.bob.start(lambda: hold(say, go))
    os.read(said, 1)
    before = running.memory()
    try:
        began = time.monotonic()
        assert host.alice.do(lambda: NodeStore(path).get(keys[0])) == b"block"
        assert time.monotonic() - began < 10
    finally:
        os.write(let, b"x")
        for fd in (said, say, go, let):
            os.close(fd)
    kept, _ = holding.result()
    assert kept == 256
    assert before < 100 << 20
    assert host.bob.do(lambda: ask(path, "GET", "/v1/node").status) == 200


def test_what_lies_half_sent_or_unread_is_held_for_its_user_and_for_nobody_else(host: Host) -> None:
    settings = host.settings + "limits = { stall_seconds = 5 }\n"
    with place(host.keeper) as directory, node(host.keeper, directory, settings) as found:
        path = found.socket
        keys = host.bob.do(lambda: put(path, "big", *[os.urandom(2 << 20) for _ in range(8)]))

        def lie_there() -> list[bool]:
            unread, half = [Wire(path) for _ in range(8)], [Wire(path) for _ in range(8)]
            for wire in unread:
                wire.send(head("POST", "/v1/blocks/read", f"Content-Length: {35 * len(keys)}"), packed(*keys))
            session = ask(path, "POST", "/v1/sessions").said["id"]
            for wire in half:
                wire.send(head("POST", f"/v1/sessions/{session}/blocks", "Content-Length: 100000"), HEADER)
            time.sleep(0.3)
            began = time.monotonic()
            while ask(path, "GET", "/v1/node").status != 200:
                time.sleep(0.1)
            return [time.monotonic() - began > 3]

        lying = host.bob.start(lie_there)
        time.sleep(0.6)
        assert host.alice.do(lambda: ask(path, "GET", "/v1/account").status) == 200
        assert lying.goes_on()
        assert lying.result() == [True]


# ── nobody wants anything ──


@pytest.mark.alone
def test_an_idle_node_does_nothing_and_is_small(host: Host, running: Node) -> None:
    host.alice.do(lambda: put(running.socket, "a", b"block", os.urandom(1 << 20)))
    host.alice.do(lambda: NodeStore(running.socket).get(key_of(b"block")))
    assert comes_to_rest(
        lambda: running.status("voluntary_ctxt_switches") + running.status("nonvoluntary_ctxt_switches")
    )
    memory = running.memory()
    print(f"{memory / (1 << 20):.1f} MiB")  # noqa: T201
    assert memory <= 60 << 20
