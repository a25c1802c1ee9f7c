"""Real users of one machine and one node: nobody reads, lists, probes, pins or frees what another one has."""

import contextlib
import json
import math
import os
import random
import socket
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from commonhold.api import PUBLIC
from commonhold.errors import HoldError, Kind
from commonhold.formats import cid as cids
from commonhold.formats.multihash import Multihash
from commonhold.ipc.nodeclient import NodeStore
from tests.node.wire import Wire, archive, ask, begin, packed, put
from tests.suites.blockstore import keep, key_of
from tests.system.people import Doing, Node, People, Person, node, people, place

pytestmark = [
    pytest.mark.root,
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root to make users"),
]


class Host(NamedTuple):
    """A machine with a node: two who may use it, one who may not."""

    people: People
    group: str
    keeper: Person
    alice: Person
    bob: Person
    outsider: Person
    node: Node


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    with people() as made:
        group = made.group("users")
        keeper = made.user("node")
        alice, bob = made.user("alice", group), made.user("bob", group)
        outsider = made.user("carol")
        with place(keeper) as directory, node(keeper, directory, f'group = "{group}"\n') as running:
            yield Host(made, group, keeper, alice, bob, outsider, running)


class Same(NamedTuple):
    """An answer without what differs between any two: the date."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


def answer(path: Path, method: str, call: str, body: bytes = b"") -> Same:
    said = ask(path, method, call, body)
    headers = tuple(sorted((name, value) for name, value in said.headers.items() if name != "date"))
    return Same(said.status, headers, said.body)


def without(said: Same, *secrets: str) -> Same:
    """An answer in which names that the caller gave are blotted out."""
    body = said.body
    for secret in secrets:
        body = body.replace(secret.encode(), b"?" * len(secret))
    return said._replace(body=body)


def fresh(count: int = 1, size: int = 100) -> list[bytes]:
    """Blocks that nobody had before."""
    return [os.urandom(size) for _ in range(count)]


def js(**said: object) -> bytes:
    return json.dumps(said).encode()


# ── what another has does not exist ──


def test_a_block_of_alices_and_one_that_is_not_there_are_the_same_to_bob(host: Host) -> None:
    path = host.node.socket
    (data,) = fresh()
    (hidden,) = host.alice.do(lambda: put(path, "private", data))
    absent = key_of(os.urandom(10))
    assert host.alice.do(lambda: answer(path, "POST", "/v1/blocks/read", packed(hidden))).body.endswith(data)

    def probe(key: Multihash) -> list[Same]:
        session = begin(path)
        calls = [
            ("POST", "/v1/blocks/read", packed(key)),
            ("POST", "/v1/blocks/read", packed(key, key_of(b"x"), key)),
            ("POST", "/v1/blocks/stat", packed(key)),
            ("POST", "/v1/blocks/delete", packed(key)),
            ("POST", f"/v1/sessions/{session}/keep", packed(key)),
            ("POST", f"/v1/sessions/{session}/flush", b""),
            ("DELETE", f"/v1/sessions/{session}", b""),
            ("GET", "/v1/keys", b""),
            ("GET", "/v1/sets", b""),
            ("GET", "/v1/account", b""),
            ("POST", "/v1/collect", b""),
        ]
        return [without(answer(path, *call), key.digest.hex(), session) for call in calls]

    assert host.bob.do(lambda: probe(hidden)) == host.bob.do(lambda: probe(absent))
    assert host.alice.do(lambda: answer(path, "POST", "/v1/blocks/read", packed(hidden))).body.endswith(data)


def test_whoever_stores_a_block_cannot_tell_whether_somebody_else_has_it(host: Host) -> None:
    """Not when it is put, nor kept, nor let go of, nor by what is charged or given back for it."""
    path = host.node.socket
    here, new = fresh(2, 100_000)
    host.alice.do(lambda: put(path, "held", here))

    def probe(data: bytes) -> list[Same]:
        key, session = key_of(data), begin(path)
        root = cids.make_v1(cids.RAW, key)
        again = begin(path)
        calls = [
            ("POST", f"/v1/sessions/{session}/blocks", archive((key, data))),
            ("POST", f"/v1/sessions/{session}/flush", b""),
            ("POST", f"/v1/sessions/{session}/keep", packed(key)),
            ("DELETE", f"/v1/sessions/{session}", b""),
            ("GET", "/v1/account", b""),
            ("POST", "/v1/collect", b""),
            ("POST", "/v1/blocks/stat", packed(key)),
            ("POST", f"/v1/sessions/{again}/blocks", archive((key, data), (key, data))),
            ("POST", f"/v1/sessions/{again}/commit", js(name="guess", root=str(root))),
            ("POST", "/v1/blocks/delete", packed(key)),
            ("POST", "/v1/sets/drop", js(name="guess")),
            ("POST", "/v1/blocks/delete", packed(key)),
            ("GET", "/v1/account", b""),
            ("POST", "/v1/collect", b""),
        ]
        said = [without(answer(path, *call), key.digest.hex(), session, again, str(root)) for call in calls]
        made = [at for at, one in enumerate(said) if b'"made"' in one.body]  # the time is nobody's secret
        return [one for at, one in enumerate(said) if at not in made]

    assert host.bob.do(lambda: probe(here)) == host.bob.do(lambda: probe(new))
    assert host.alice.do(lambda: NodeStore(path).get(key_of(here))) == here


def test_retain_sets_are_their_owners_alone(host: Host) -> None:
    path = host.node.socket
    host.alice.do(lambda: put(path, "diary", *fresh()))
    host.bob.do(lambda: put(path, "bobs", *fresh()))

    def probe(name: str) -> list[Same]:
        calls = [
            ("GET", f"/v1/sets?name={name}", b""),
            ("POST", "/v1/sets/keys", js(name=name)),
            ("POST", "/v1/sets/drop", js(name=name)),
            ("POST", "/v1/sets/rename", js(old=name, new="taken over")),
        ]
        return [without(answer(path, *call), name) for call in calls]

    assert host.bob.do(lambda: probe("diary")) == host.bob.do(lambda: probe("there"))
    assert host.alice.do(lambda: [pin.name for pin in NodeStore(path).pins()]).count("diary") == 1
    host.bob.do(lambda: put(path, "diary", *fresh()))  # the same name, and another set
    host.bob.do(lambda: NodeStore(path).unpin("diary"))
    assert host.alice.do(lambda: NodeStore(path).pin("diary")) is not None


def test_a_session_is_of_no_use_to_who_knows_its_name(host: Host) -> None:
    path = host.node.socket
    (data,) = fresh()
    key = key_of(data)
    session = host.alice.do(lambda: begin(path))
    host.alice.do(lambda: ask(path, "POST", f"/v1/sessions/{session}/blocks", archive((key, data))))

    def probe(name: str) -> list[Same]:
        calls = [
            ("POST", f"/v1/sessions/{name}/blocks", archive((key_of(b"bob's"), b"bob's"))),
            ("POST", f"/v1/sessions/{name}/keep", packed(key)),
            ("POST", f"/v1/sessions/{name}/flush", b""),
            ("POST", f"/v1/sessions/{name}/commit", js(name="mine", root=str(cids.make_v1(cids.RAW, key)))),
            ("DELETE", f"/v1/sessions/{name}", b""),
        ]
        return [without(answer(path, *call), name) for call in calls]

    assert host.bob.do(lambda: probe(session)) == host.bob.do(lambda: probe("0" * 32))
    root = str(cids.make_v1(cids.RAW, key))
    done = host.alice.do(lambda: ask(path, "POST", f"/v1/sessions/{session}/commit", js(name="late", root=root)))
    assert done.said["blocks"] == 1


def test_what_is_granted_or_public_is_read_by_whom_it_is_for_and_freed_by_none_of_them(host: Host) -> None:
    path = host.node.socket
    granted, public = fresh(2)
    host.alice.do(lambda: put(path, "for bob", granted, readers=(host.bob.uid,)))
    host.alice.do(lambda: put(path, "for all", public, readers=("public",)))

    def read() -> list[bytes]:
        store = NodeStore(path)
        for key in (key_of(granted), key_of(public)):
            with contextlib.suppress(HoldError):
                store.delete(key)
        store.collect()
        return [store.get(key_of(granted)), store.get(key_of(public))]

    assert host.bob.do(read) == [granted, public]
    third = host.people.user("dave", host.group)
    assert third.do(lambda: NodeStore(path).sizes([key_of(granted), key_of(public)])) == [None, 100]
    host.alice.do(lambda: NodeStore(path).unpin("for bob"))
    assert host.bob.do(lambda: NodeStore(path).has(key_of(granted))) is False
    assert host.alice.do(lambda: NodeStore(path).pin("for all")).readers == (PUBLIC,)  # type: ignore[union-attr]


# ── who may call at all ──


def test_who_is_not_in_the_group_gets_nothing(host: Host) -> None:
    path = host.node.socket
    for call in (("GET", "/v1/node"), ("GET", "/v1/keys"), ("POST", "/v1/sessions"), ("GET", "/none")):
        said = host.outsider.do(lambda call=call: ask(path, *call))  # type: ignore[misc]
        assert (said.status, said.code) == (403, "E-DENIED")
    assert ask(path, "GET", "/v1/node").status == 403  # nor does root


def test_a_group_of_the_process_alone_does_not_count(host: Host) -> None:
    """The kernel says who calls; what groups they have is asked of the machine's own list."""
    import grp

    gid = grp.getgrnam(host.group).gr_gid

    def claimed() -> int:
        return ask(host.node.socket, "GET", "/v1/node").status

    def become() -> None:
        os.setgroups([gid])
        os.setresuid(host.outsider.uid, host.outsider.uid, host.outsider.uid)

    assert Doing(become, claimed).result() == 403


def test_who_joins_the_group_may_call_from_then_on(host: Host) -> None:
    import subprocess

    newcomer = host.people.user("erin")
    assert newcomer.do(lambda: ask(host.node.socket, "GET", "/v1/node").status) == 403
    subprocess.run(["usermod", "-aG", host.group, newcomer.name], check=True)
    assert newcomer.do(lambda: ask(host.node.socket, "GET", "/v1/node").status) == 200


def test_a_process_in_a_user_namespace_of_its_own_is_nobody(host: Host) -> None:
    said = Doing(host.bob.become_unshared, lambda: ask(host.node.socket, "GET", "/v1/keys")).result()
    assert (said.status, said.code) == (403, "E-DENIED") and "nobody" in said.said["why"]
    assert host.bob.do(lambda: ask(host.node.socket, "GET", "/v1/keys").status) == 200


def test_the_nodes_files_are_nobody_elses(host: Host) -> None:
    store = host.node.repository

    def tried() -> list[str]:
        done = []
        attempts: dict[str, Callable[[], object]] = {
            "list": lambda: list(store.iterdir()),
            "read": lambda: (store / "format.json").read_bytes(),
            "enter": lambda: os.chdir(store),
            "plant": lambda: (store / "planted").write_text(""),
            "move the socket": lambda: host.node.socket.rename(host.node.socket.with_name("old")),
            "remove the socket": lambda: host.node.socket.unlink(),
            "plant a socket": lambda: socket.socket(socket.AF_UNIX).bind(str(host.node.socket.with_name("other"))),
        }
        for name, attempt in attempts.items():
            with contextlib.suppress(OSError):
                attempt()
                done.append(name)
        return done

    assert host.bob.do(tried) == []
    assert {path.stat().st_mode & 0o077 for path in [store, *store.rglob("*")]} == {0}


def test_a_node_does_not_serve_where_another_user_could_put_a_socket_or_has_put_a_repository(host: Host) -> None:
    from commonhold.blockstore.store import create
    from commonhold.node import config, main

    with place(host.bob) as bobs, place(host.keeper) as own:
        (own / "node.toml").write_text("")

        def serve(repository: Path, listening: Path) -> Kind:
            try:
                main.run(config.Config(repository, listening, group=host.group), {})
            except HoldError as error:
                return error.kind
            return Kind.FAILED

        assert host.keeper.do(lambda: serve(own / "store", bobs / "node.sock")) is Kind.DENIED
        host.bob.do(lambda: create(bobs / "store"))
        assert host.keeper.do(lambda: serve(bobs / "store", own / "node.sock")) is Kind.DENIED
        bobs.chmod(0o777)
        (bobs / "store").chmod(0o777)
        assert host.keeper.do(lambda: serve(bobs / "store", own / "node.sock")) is Kind.DENIED
        assert not (own / "node.sock").exists()


def test_a_socket_that_somebody_else_listens_on_is_refused_by_who_would_call(host: Host) -> None:
    with place(host.bob) as bobs:
        path = bobs / "node.sock"

        def listen() -> None:
            sock = socket.socket(socket.AF_UNIX)
            sock.bind(str(path))
            path.chmod(0o666)
            sock.listen()
            connection, _ = sock.accept()
            (bobs / "heard").write_bytes(connection.recv(1000))

        listening = host.bob.start(listen)
        while not path.exists():
            time.sleep(0.01)
        time.sleep(0.1)
        with pytest.raises(HoldError) as caught:
            host.alice.do(lambda: NodeStore(path, {0, host.keeper.uid}).account())
        assert caught.value.kind is Kind.DENIED and str(host.bob.uid) in str(caught.value)
        listening.result()
        assert (bobs / "heard").read_bytes() == b""


# ── time ──

SAMPLES = 300
TRIES = 20  # a machine that has other work hides for minutes what whoever asks again will find
LIMIT = 5.0  # standard deviations of the rank sum; by chance alone one run in a million passes it


def rank_z(first: list[float], second: list[float]) -> float:
    """How far the rank sum of one sample is from what chance gives, in standard deviations. Mann and Whitney."""
    ranked = sorted([(value, 0) for value in first] + [(value, 1) for value in second])
    total = sum(rank for rank, (_, which) in enumerate(ranked, 1) if which == 0)
    n, m = len(first), len(second)
    return (total - n * (n + m + 1) / 2) / math.sqrt(n * m * (n + m + 1) / 12)


def timed(probe: Callable[[int], None], count: int = SAMPLES) -> list[list[float]]:
    """Seconds that probes of kind 0 and of kind 1 took, in an order that nothing else can follow."""
    order = [0, 1] * count
    random.Random(1).shuffle(order)
    found: list[list[float]] = [[], []]
    for which in order:
        began = time.perf_counter()
        probe(which)
        found[which].append(time.perf_counter() - began)
    return found


def differ(found: list[list[float]]) -> float:
    first, second = found
    print(f"{statistics.median(first) * 1e3:.2f} ms and {statistics.median(second) * 1e3:.2f} ms, ", end="")  # noqa: T201
    print(f"z = {rank_z(first, second):.1f}")  # noqa: T201
    return abs(rank_z(first, second))


@pytest.fixture(scope="module")
def hidden(host: Host) -> list[Multihash]:
    """Keys of many blocks of alice's."""
    blocks = fresh(8000, 60)
    return host.alice.do(lambda: put(host.node.socket, "many", *blocks))


@pytest.fixture(scope="module")
def absent() -> list[Multihash]:
    """Keys of blocks that nobody has."""
    return [key_of(data) for data in fresh(8000, 10)]


@pytest.mark.alone
def test_the_test_of_time_finds_two_milliseconds(host: Host, absent: list[Multihash]) -> None:
    def probes() -> list[list[float]]:
        with Wire(host.node.socket) as wire:

            def probe(which: int) -> None:
                wire.request("POST", "/v1/blocks/stat", packed(random.choice(absent)))
                time.sleep(0.002 * which)

            return timed(probe)

    assert any(differ(host.bob.do(probes)) > 2 * LIMIT for _ in range(TRIES))


@pytest.mark.alone
@pytest.mark.parametrize("count", [1, 30, 8000])
@pytest.mark.parametrize("call", ["/v1/blocks/stat", "/v1/blocks/read", "/v1/blocks/delete", "/keep"])
def test_the_time_of_an_answer_does_not_tell_hidden_from_absent(
    host: Host, hidden: list[Multihash], absent: list[Multihash], call: str, count: int
) -> None:
    def probes() -> list[list[float]]:
        rng = random.Random(2)
        path = f"/v1/sessions/{begin(host.node.socket)}{call}" if call == "/keep" else call
        with Wire(host.node.socket) as wire:
            return timed(
                lambda which: void(wire.request("POST", path, packed(*rng.sample((hidden, absent)[which], count)))),
                SAMPLES if count < 100 else 60,
            )

    assert differ(host.bob.do(probes)) < LIMIT


def void(value: object) -> None:
    """Nothing."""


@pytest.mark.alone
@pytest.mark.parametrize(("size", "blocks", "samples"), [(100, 1, 150), (60_000, 1, 150), (100, 50, 100)])
def test_the_time_of_storing_blocks_does_not_tell_whether_somebody_has_them(
    host: Host, size: int, blocks: int, samples: int
) -> None:
    path = host.node.socket
    here, new = ([fresh(blocks, size) for _ in range(samples)] for _ in range(2))
    for number, some in enumerate(here):
        host.alice.do(lambda number=number, some=some: put(path, f"stored {blocks} {size} {number}", *some))  # type: ignore[misc]

    def probes() -> list[list[float]]:
        with Wire(path) as wire:
            session = wire.request("POST", "/v1/sessions").said["id"]
            left = [[archive(*[(key_of(data), data) for data in some]) for some in each] for each in (here, new)]

            def probe(which: int) -> None:
                assert wire.request("POST", f"/v1/sessions/{session}/blocks", left[which].pop()).said["known"] == 0
                wire.request("POST", f"/v1/sessions/{session}/flush")

            return timed(probe, samples)

    assert differ(host.bob.do(probes)) < LIMIT


# ── quotas ──


def test_quota_is_exact_under_writers_of_several_processes_and_each_has_their_own(host: Host) -> None:
    quota, size = 1_000_000, 10_000
    shared = fresh(30, size)
    with place(host.keeper) as directory:
        settings = f'group = "{host.group}"\nquota = 5_000_000\nquotas = {{ {host.bob.uid} = {quota} }}\n'
        with node(host.keeper, directory, settings) as running:
            host.alice.do(lambda: put(running.socket, "alices", *shared))  # it is charged in full to bob all the same

            def write(number: int) -> int:
                rng = random.Random(number)
                store = NodeStore(running.socket)
                stored = 0
                while True:
                    data = rng.randbytes(size) if rng.random() < 0.5 or not shared else shared[(number + stored) % 30]
                    try:
                        keep(store, f"{number}-{stored}", data)
                    except HoldError as error:
                        assert error.kind is Kind.QUOTA, error
                        return stored
                    stored += 1

            writers = [host.bob.start(lambda number=number: write(number)) for number in range(5)]  # type: ignore[misc]
            assert sum(writer.result() for writer in writers) >= quota // size

            def account(person: Person) -> int:
                return person.do(lambda: int(NodeStore(running.socket).account()["bytes"]))

            assert account(host.bob) == quota and account(host.alice) == 30 * size
            with pytest.raises(HoldError, check=lambda error: error.kind is Kind.QUOTA):
                host.bob.do(lambda: keep(NodeStore(running.socket), "more", b"x"))
            host.alice.do(lambda: keep(NodeStore(running.socket), "more", *fresh(10, size)))
            host.bob.do(lambda: free_one(running.socket))
            host.bob.do(lambda: keep(NodeStore(running.socket), "again", *fresh(1, size)))
            assert account(host.bob) == quota


def free_one(path: Path) -> None:
    """Let go of blocks until there is room for one more."""
    store = NodeStore(path)
    before = store.account()["bytes"]
    for pin in store.pins():
        store.unpin(pin.name)
        store.collect()
        if store.account()["bytes"] < before:
            return
