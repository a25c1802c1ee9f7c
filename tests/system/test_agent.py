"""Agents of real users on one machine: each is its user's alone, whatever the files around it allow."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from commonhold.calls import Open, OsPath
from commonhold.errors import HoldError, Kind
from commonhold.host import sockets, standing
from commonhold.ipc.agentclient import RemoteAgent
from commonhold.ipc.agentwords import Coming
from commonhold.ipc.frames import Wire
from tests.system.homes import Home, seen
from tests.system.people import ROOT, Doing, Node, Person, node, people, place
from tests.waiting import SECONDS, comes_to_rest

pytestmark = [
    pytest.mark.root,
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root to make users"),
]
MEMORY = 60 << 20
START_SECONDS = 0.4
BARE = [sys.executable, "-c", "import asyncio, http.client, logging, ssl"]  # what takes longer where others work too


class Host(NamedTuple):
    """A machine with a node, two who use it, and their homes."""

    keeper: Person
    alice: Home
    bob: Home


@pytest.fixture(scope="module")
def users() -> Iterator[tuple[Person, Person, Person, Node, list[str]]]:
    with people() as made, seen() as before:
        group = made.group("users")
        keeper, alice, bob = made.user("node"), made.user("alice", group), made.user("bob", group)
        with place(keeper) as directory, node(keeper, directory, f'group = "{group}"\n') as running:
            yield keeper, alice, bob, running, before


@pytest.fixture
def host(users: tuple[Person, Person, Person, Node, list[str]]) -> Iterator[Host]:
    keeper, alice, bob, running, before = users
    with place(alice) as first, place(bob) as second:
        homes = [Home(alice, first, running, before), Home(bob, second, running, before)]
        try:
            yield Host(keeper, *homes)
        finally:
            for home in homes:
                home.end()


def tried(path: Path, node: Path) -> str:
    """What comes of an attempt to use an agent: how its socket answers, and what to every kind of call."""
    wire = None
    try:
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(20)
        sockets.connect(sock, path)
        wire = Wire(sock)
        cwd = os.open("/", os.O_PATH)
        coming = Coming(OsPath(node), Open(cwd, "cwd"), 0o22, standing.view())
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            wire.send(["open", list(coming)])
            for name in ("keys.all", "pins.all", "keeping.usage"):
                wire.send([name, []])
        said = []
        while (message := wire.receive()) is not None:
            with message:
                said.append(str(message.said[1]["code"]))
        return " ".join(said)
    except PermissionError:
        return "no way to it"
    finally:
        if wire is not None:
            wire.close()


# ── whose it is ──


def test_only_its_user_has_a_way_to_it(host: Host) -> None:
    alice = host.alice
    alice.hold("key", "new", "alice")
    assert alice.state.stat().st_mode & 0o777 == 0o700 and alice.socket.stat().st_mode & 0o777 == 0o600
    assert host.bob.person.do(lambda: tried(alice.socket, alice.node.socket)) == "no way to it"
    alice.state.chmod(0o711)
    assert host.bob.person.do(lambda: tried(alice.socket, alice.node.socket)) == "no way to it"


def test_whoever_else_reaches_it_is_denied_whatever_they_call(host: Host) -> None:
    alice, bob = host.alice, host.bob
    alice.hold("key", "new", "alice")
    for path, mode in ((alice.state, 0o755), (alice.socket, 0o777)):
        path.chmod(mode)

    def attempt() -> str:
        return tried(alice.socket, alice.node.socket)

    assert bob.person.do(attempt) == "E-DENIED"
    assert attempt() == "E-DENIED"  # root
    assert host.keeper.do(attempt) == "E-DENIED"
    assert Doing(alice.person.become_unshared, attempt).result() == "E-DENIED"
    assert b"alice" in alice.hold("key", "ls").stdout.split()  # and she is served as before


def test_a_crowd_at_the_door_does_not_keep_its_user_out(host: Host) -> None:
    alice = host.alice
    alice.hold("key", "new", "alice")
    for path, mode in ((alice.state, 0o755), (alice.socket, 0o777)):
        path.chmod(mode)

    def crowd() -> bool:
        waiting = [socket.socket(socket.AF_UNIX) for _ in range(200)]
        for one in waiting:
            one.connect(str(alice.socket))
        (host.bob.directory / "there").touch()
        time.sleep(3)
        return True

    crowding = host.bob.person.start(crowd)
    while not (host.bob.directory / "there").exists():
        time.sleep(0.01)
    began = time.monotonic()
    assert b"alice" in alice.hold("key", "ls").stdout.split()
    assert crowding.goes_on() or time.monotonic() - began > 2
    assert crowding.result()


def test_a_socket_that_somebody_else_has_put_in_its_place_is_not_spoken_to(host: Host) -> None:
    alice, bob = host.alice, host.bob
    (root,) = alice.hold("add", "-Q", "-", given=b"alices").stdout.split()
    alice.hold("down")
    heard = bob.directory / "heard"

    def listen() -> None:
        sock = socket.socket(socket.AF_UNIX)
        sock.bind(str(alice.socket))
        alice.socket.chmod(0o777)
        sock.listen()
        sock.settimeout(20)
        with contextlib.suppress(TimeoutError):
            while True:
                with sock.accept()[0] as connection, open(heard, "ab") as words:
                    words.write(b"[" + connection.recv(1000) + b"]")

    alice.state.chmod(0o777)
    listening = bob.person.start(listen)
    try:
        while not alice.socket.exists():
            time.sleep(0.01)
        alice.state.chmod(0o755)
        done = alice.hold("cat", root.decode())
        assert done.stdout == b"alices" and f"uid {bob.person.uid} is behind it, not you".encode() in done.stderr
        assert b"does its work itself" in done.stderr
        while not heard.exists():
            time.sleep(0.01)
        assert set(heard.read_bytes()) == set(b"[]")
        with pytest.raises(HoldError) as caught:
            alice.person.do(lambda: RemoteAgent(alice.socket, alice.person.uid).close())
        assert caught.value.kind is Kind.DENIED
        assert alice.hold("down", code=None).returncode in (0, 12) and listening.goes_on()
    finally:
        listening.kill()


def test_it_does_not_start_among_what_is_not_its_users_alone(host: Host) -> None:
    alice, bob = host.alice, host.bob
    alice.state.mkdir(mode=0o700)
    os.chown(alice.state, bob.person.uid, -1)
    assert b"code: E-DENIED" in alice.hold("agent", code=12).stderr
    alice.state.chmod(0o777)
    assert b"not yours\n" in alice.hold("agent", code=12).stderr
    done = alice.hold("add", "-", given=b"content")  # what she does needs none
    assert b"does its work itself" in done.stderr and os.listdir(alice.state) in ([], ["reuse.sqlite"])
    os.chown(alice.state, alice.person.uid, -1)
    for mode in (0o770, 0o707, 0o1777):
        alice.state.chmod(mode)
        assert b"others can change it" in alice.hold("agent", code=12).stderr
    assert not alice.socket.exists()


def test_root_starts_none_among_somebody_elses_things(host: Host) -> None:
    alice = host.alice
    alice.hold("key", "new", "alice")
    alice.hold("down")
    (alice.state / "agent.log").unlink()
    before = sorted(os.listdir(alice.state))
    words = [sys.executable, "-m", "tests.cli.hold", "agent"]
    done = subprocess.run(words, env=alice.environment, cwd=ROOT, capture_output=True, check=False, timeout=SECONDS)
    assert done.returncode == 12 and b"not yours" in done.stderr
    words[-1:] = ["pin", "ls"]
    done = subprocess.run(words, env=alice.environment, cwd=ROOT, capture_output=True, check=False, timeout=SECONDS)
    assert done.returncode == 12  # she is served by the node, and root is not
    assert sorted(os.listdir(alice.state)) == before


def test_where_it_cannot_write_a_command_does_its_work_itself(host: Host) -> None:
    alice = host.alice
    alice.hold("key", "new", "alice")
    alice.hold("down")
    alice.state.chmod(0o500)
    for _ in range(2):
        done = alice.hold("key", "ls")
        assert b"alice" in done.stdout.split()
        assert b"does its work itself" in done.stderr and b"Permission denied" in done.stderr
        (alice.state / "agent.log").unlink(missing_ok=True)


def test_a_command_works_where_its_user_has_no_way_to(host: Host) -> None:
    alice = host.alice
    (alice.directory / "file").write_bytes(b"content")
    with place(host.bob.person) as closed:
        closed.chmod(0o700)
        done = alice.hold("add", str(alice.directory / "file"), cwd=closed)
        assert b"does its work itself" in done.stderr and done.stdout
        assert b"Permission denied" in alice.hold("add", "file", cwd=closed, code=12).stderr


def test_what_one_keeps_and_signs_with_is_no_others_to_see(host: Host) -> None:
    alice, bob = host.alice, host.bob
    alice.hold("key", "new", "secret-key")
    (root,) = alice.hold("add", "-Q", "-", "--name", "secret-pin", given=b"what bob must not see").stdout.split()
    capability = alice.hold("add", "-Q", "--sealed", "-", given=b"sealed").stdout.split()[-1]
    bob.hold("key", "new", "bobs")
    seen = b""
    for words in (
        ["key", "ls"], ["pin", "ls"], ["pin", "ls", "secret-pin"], ["cat", root.decode()], ["ls", root.decode()],
        ["stat", root.decode()], ["repo", "stat"], ["verify"], ["gc"], ["status"], ["block", "get", root.decode()],
        ["dag", "stat", root.decode()], ["export", root.decode()], ["pin", "add", root.decode()],
        ["pin", "rm", "secret-pin"], ["key", "export", "secret-key", str(bob.directory / "key")],
        ["name", "publish", root.decode(), "--key", "secret-key"],
    ):  # fmt: skip
        done = bob.hold(*words, code=None)
        assert (done.returncode == 0) == (words[0] in ("key", "pin", "repo", "verify", "gc", "status", "name")
                                          and "secret-pin" not in words and "secret-key" not in words
                                          and root.decode() not in words), words  # fmt: skip
        seen += done.stdout
    for secret in (b"secret-key", b"what bob", capability):
        assert secret not in seen
    assert b"secret-pin" not in seen.replace(b"'secret-pin'", b"") and b"bobs" in seen
    assert alice.hold("pin", "ls").stdout.count(b" secret-pin") == 1 and alice.hold("cat", root.decode()).stdout


# ── what it takes ──


def status(pid: int, field: str) -> int:
    """A number of /proc/PID/status, over all threads."""
    return sum(
        int(line.split()[1])
        for task in Path(f"/proc/{pid}/task").iterdir()
        for line in (task / "status").read_text().splitlines()
        if line.startswith(field + ":")
    )


@pytest.mark.alone
def test_an_idle_agent_does_nothing_and_is_small_also_after_much_work(host: Host) -> None:
    alice = host.alice
    source, target = alice.directory / "large", alice.directory / "back"
    with open(source, "wb") as large:
        for _ in range(300):
            large.write(os.urandom(1 << 20))
    root = alice.hold("add", "-Q", str(source)).stdout.decode().strip()
    alice.hold("get", root, "-o", str(target))
    assert subprocess.run(["cmp", str(target), str(source)], check=False).returncode == 0
    pid = int(json.loads(alice.hold("status", "--json").stdout)["agent"].split(",")[0].split()[-1])
    assert comes_to_rest(lambda: status(pid, "voluntary_ctxt_switches") + status(pid, "nonvoluntary_ctxt_switches"))
    assert len(list(Path(f"/proc/{pid}/task").iterdir())) == 2  # one waits until something kept is to be looked at
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    memory = next(int(line.split()[1]) << 10 for line in rollup.splitlines() if line.startswith("Pss:"))
    print(f"{memory / (1 << 20):.1f} MiB")  # noqa: T201
    assert memory <= MEMORY


@pytest.mark.alone
def test_it_answers_soon_after_it_was_started(host: Host) -> None:
    alice = host.alice
    alice.hold("key", "ls")
    words = alice.words("agent")

    def first_answer() -> float:
        """Seconds from its start to its first answer, as its user has it."""
        began = time.monotonic()
        process = subprocess.Popen(words, env=alice.environment)
        try:
            took = alice.person.do(lambda: waited(alice, began))
        finally:
            process.terminate()
            process.wait(30)
        return took

    def bare_start() -> float:
        began = time.monotonic()
        subprocess.run(BARE, check=True)
        return time.monotonic() - began

    alice.hold("down")
    took, bare = min(first_answer() for _ in range(5)), min(bare_start() for _ in range(5))
    print(f"{took * 1e3:.0f} ms, Python alone {bare * 1e3:.0f} ms")  # noqa: T201
    assert took < max(START_SECONDS, 5 * bare)


def waited(home: Home, began: float) -> float:
    while True:
        with contextlib.suppress(HoldError), contextlib.closing(RemoteAgent(home.socket, home.person.uid)) as agent:
            agent.open(home.node.socket)
            assert agent.keeping.usage().pins >= 0
            return time.monotonic() - began
        time.sleep(0.002)
