"""The worker between a kernel and many agents: each is served by its own, and none keeps another waiting."""

import errno
import os
import signal
import socket
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from commonhold.formats.fuseflags import Opcode
from commonhold.ipc.treeframes import Incoming, head
from commonhold.ipc.treewords import (
    BY_NAME,
    HEAD,
    HELLO,
    MAX_BODY,
    NOTICE,
    PROTOCOL,
    RESENT,
    Hello,
    encode,
)
from commonhold.trees import ROOT, Who
from tests.fakes.trees import MemoryTree
from tests.mount import kernel
from tests.mount.desks import Answer
from tests.mount.kernel import ALICE, BOB, CAROL, PUBLIC, SHIFT
from tests.mount.working import EPOCH, Line, Mounted, credentials
from tests.opened import none_left
from tests.waiting import SECONDS

GREETING = head(NOTICE, HELLO, 0, 0, encode(Hello(PROTOCOL, "0")), 0)
FILE = 0o100644


def tree_of(uid: int) -> MemoryTree:
    """A tree with one file that says whose it is."""
    tree = MemoryTree(Who(f"{uid}@home", f"{uid}@home"))
    number = tree.make(ROOT, b"file", FILE, 0, b"", Who("x@home", "x@home"), True).number
    tree.write(number, 0, memoryview(b"of %d" % uid), False, False)
    return tree


@pytest.fixture
def mounted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mounted]:
    monkeypatch.setattr("commonhold.mount.worker.credentials", credentials)
    monkeypatch.setattr("commonhold.mount.worker._LOOK_SECONDS", 0.01)
    with none_left():
        found = Mounted(tmp_path)
        assert found.ask(Opcode.INIT, kernel.init(), 0).errno == 0
        yield found
        found.close()


def over(sock: socket.socket) -> bool:
    """Whether the worker hangs up, in time."""
    with sock:
        try:
            return sock.recv(1) == b""
        except ConnectionResetError:
            return True


def greeted(mounted: Mounted, uid: int) -> socket.socket:
    """A connection that has said hello, and was welcomed."""
    sock = mounted.connect(uid)
    sock.sendall(GREETING)
    incoming = Incoming()
    incoming.fill(sock)
    (frame,) = incoming.frames()
    assert (frame.id, frame.code) == (NOTICE, HELLO) and EPOCH in bytes(frame.body)
    return sock


def heard(sock: socket.socket, count: int) -> list[tuple[int, int]]:
    """The next frames that the worker sends: ids and flags."""
    incoming = Incoming()
    found: list[tuple[int, int]] = []
    while len(found) < count:
        assert incoming.fill(sock)
        found += [(frame.id, frame.flags) for frame in incoming.frames()]
    return found


# ── what it is for ──


def test_who_came_and_left_while_there_was_no_worker_is_asked_nothing(mounted: Mounted) -> None:
    """Nobody would know what became of it; and the agent that is there would be sent away."""
    node = mounted.node(ALICE, 2)
    mounted.line.end()
    with mounted.connect(ALICE) as sock:
        sock.sendall(GREETING)
    asked = mounted.send(Opcode.READ, kernel.reading(0, 100), node, ALICE)
    mounted.line = Line(mounted)
    assert mounted.said()[0] == 0  # the kernel is to ask again
    mounted.agent(ALICE, tree_of(ALICE))
    assert mounted.answers(asked)[asked].body == b"of %d" % ALICE


def test_what_the_kernel_asks_an_agent_answers(mounted: Mounted) -> None:
    mounted.agent(ALICE, tree_of(ALICE))
    root = mounted.node(ALICE)
    made = mounted.ask(Opcode.CREATE, kernel.create(0, 0o600, b"new"), root, ALICE)
    node = int.from_bytes(made.body[:8], "little")
    assert made.errno == 0 and node >> SHIFT == root >> SHIFT
    data = bytes(range(256)) * 200
    written = mounted.ask(Opcode.WRITE, kernel.write(3, data), node, ALICE)
    assert written == Answer(0, struct.pack("<II", len(data), 0))
    assert mounted.ask(Opcode.READ, kernel.reading(0, 1 << 20), node, ALICE) == Answer(0, bytes(3) + data)
    assert mounted.ask(Opcode.FSYNC, kernel.FSYNC, node, ALICE) == Answer(0, b"")
    listed = mounted.ask(Opcode.READDIRPLUS, kernel.reading(0, 4096), root, ALICE)
    assert b"new" in listed.body and b"file" in listed.body
    assert mounted.ask(Opcode.UNLINK, kernel.named(b"none"), root, ALICE).errno == errno.ENOENT


def test_many_agents_at_once_and_each_has_its_own(mounted: Mounted) -> None:
    people = [ALICE, BOB, CAROL, 0, PUBLIC]
    for uid in people:
        mounted.agent(uid, tree_of(uid))
    nodes = {uid: mounted.node(uid, 2) for uid in people}
    wanted: dict[int, int] = {}
    for _ in range(100):
        wanted |= {mounted.send(Opcode.READ, kernel.reading(0, 99), nodes[uid]): uid for uid in people}
        answers = mounted.answers(*list(wanted)[-len(people) :])
        assert {unique: answer.body for unique, answer in answers.items()} == {
            unique: b"of %d" % wanted[unique] for unique in answers
        }


def test_a_request_that_is_none_ends_nothing(mounted: Mounted) -> None:
    for raw in (b"x", bytes(39), bytes(100), kernel.request(Opcode.STATFS) + b"more"):
        mounted.kernel.send(raw)
    assert mounted.ask(Opcode.READ, b"short").errno == errno.EIO
    assert mounted.ask(Opcode.GETATTR, kernel.GETATTR).errno == 0


def test_what_an_agent_says_unasked_the_kernel_is_told(mounted: Mounted) -> None:
    attendance = mounted.agent(ALICE, tree_of(ALICE))
    node = mounted.node(ALICE, 2)
    assert mounted.ask(Opcode.GETATTR, kernel.GETATTR, node).errno == 0
    attendance.object_changed(2)
    unique, said = mounted.said()
    assert unique == 0 and said.body[:8] == struct.pack("<Q", node)


# ── who comes ──


@pytest.mark.parametrize(
    "said",
    [
        b"GET / HTTP/1.1\r\nHost: commonhold\r\n\r\n",
        bytes(20),
        head(NOTICE, HELLO, 0, 0, b"", 0),
        head(NOTICE, HELLO, 0, 0, b"\xc1", 0),
        head(NOTICE, HELLO, 0, 0, encode([PROTOCOL]), 0),
        head(NOTICE, HELLO, 0, 0, encode(Hello(PROTOCOL + 1, "0")), 0),
        head(NOTICE, 1, 0, 0, encode(Hello(PROTOCOL, "0")), 0),
        head(2, HELLO, 0, 0, encode(Hello(PROTOCOL, "0")), 0),
        HEAD.pack(MAX_BODY + 1, 0, 0, 0, 0, 0),
        HEAD.pack(0, 0xFFFFFFFF, 0, 0, 0, 0),
        GREETING + GREETING,
        GREETING + head(2, 0, 0, 0, b"", 0),
        GREETING + head(2, 0, 0, 0, encode(None), 0),
        GREETING + head(NOTICE, 99, 0, 0, encode([1]), 0),
    ],
)
def test_who_says_what_is_none_is_hung_up_on_and_the_next_one_is_heard(mounted: Mounted, said: bytes) -> None:
    sock = mounted.connect(ALICE)
    sock.sendall(said)
    with sock:
        try:
            while sock.recv(4096):
                pass
        except ConnectionResetError:
            pass
    mounted.agent(ALICE, tree_of(ALICE))
    assert mounted.ask(Opcode.GETATTR, kernel.GETATTR, mounted.node(ALICE, 2)).errno == 0


def test_a_stranger_is_not_heard(mounted: Mounted) -> None:
    assert over(mounted.connect(None))


def test_an_agent_that_is_there_stays_and_another_one_of_its_user_does_not(mounted: Mounted) -> None:
    mounted.agent(ALICE, tree_of(ALICE))
    second = mounted.connect(ALICE)
    assert over(mounted.connect(ALICE))  # a third is not even heard
    second.sendall(GREETING)
    assert over(second)
    assert mounted.ask(Opcode.GETATTR, kernel.GETATTR, mounted.node(ALICE, 2)).errno == 0


def test_who_does_not_say_hello_keeps_nobody_else_away_for_long(
    mounted: Mounted, monkeypatch: pytest.MonkeyPatch
) -> None:
    idle = [mounted.connect(uid) for uid in range(2000, 2064)]
    assert over(mounted.connect(ALICE))
    monkeypatch.setattr("commonhold.mount.worker._GREETING_SECONDS", 0.0)
    assert all(over(sock) for sock in idle)
    monkeypatch.setattr("commonhold.mount.worker._GREETING_SECONDS", SECONDS)
    mounted.agent(ALICE, tree_of(ALICE))


def test_an_agents_words_may_come_byte_by_byte(mounted: Mounted) -> None:
    sock = mounted.connect(ALICE)
    for at in range(len(GREETING)):
        sock.sendall(GREETING[at : at + 1])
    incoming = Incoming()
    incoming.fill(sock)
    list(incoming.frames())
    unique = mounted.send(Opcode.READ, kernel.reading(0, 99), mounted.node(ALICE, 2))
    incoming.fill(sock)
    (frame,) = incoming.frames()
    assert (frame.id, frame.code) == (unique, BY_NAME["read"].number)
    answer = head(unique, 0, 0, 0, b"", 7) + b"content"
    for at in range(len(answer)):
        if at % 9 == 0:  # others are answered meanwhile
            assert mounted.ask(Opcode.GETATTR, kernel.GETATTR).errno == 0
        sock.sendall(answer[at : at + 1])
    assert mounted.answers(unique)[unique] == Answer(0, b"content")
    sock.close()


# ── the keeper ──


def test_an_agent_that_is_needed_is_brought(mounted: Mounted) -> None:
    node = mounted.node(ALICE, 2)
    first, second = (mounted.send(Opcode.READ, kernel.reading(0, 99), node) for _ in range(2))
    assert mounted.line.keeper.recv(64) == b"A" + struct.pack("<I", ALICE)
    mounted.agent(ALICE, tree_of(ALICE))
    assert {answer.body for answer in mounted.answers(first, second).values()} == {b"of 1000"}


def test_who_waits_for_an_agent_that_cannot_be_brought_is_told_at_once(mounted: Mounted) -> None:
    mine, theirs = (mounted.send(Opcode.GETATTR, kernel.GETATTR, mounted.node(uid, 2)) for uid in (ALICE, BOB))
    assert {mounted.line.keeper.recv(64)[1:] for _ in range(2)} == {struct.pack("<I", uid) for uid in (ALICE, BOB)}
    for said in (
        b"",
        b"F",
        b"F123",
        b"Fmore than a uid",
        b"X" + struct.pack("<I", BOB),
        b"F" + struct.pack("<I", CAROL),
    ):
        if said:
            mounted.line.keeper.send(said)
    mounted.line.keeper.send(b"F" + struct.pack("<I", ALICE))
    assert mounted.answers(mine)[mine].errno == errno.EIO
    mounted.agent(BOB, tree_of(BOB))
    assert mounted.answers(theirs)[theirs].errno == 0


def test_who_waits_for_an_agent_that_does_not_come_is_told_in_time(
    mounted: Mounted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("commonhold.mount.worker._COMING_SECONDS", 0.02)
    assert mounted.ask(Opcode.GETATTR, kernel.GETATTR, mounted.node(ALICE, 2)).errno == errno.EIO


def test_a_keeper_that_has_enough_to_do_ends_no_worker(mounted: Mounted) -> None:
    """It takes none of what it is told, and agents of hundreds of users are needed at once."""
    nodes = [mounted.node(uid, 2) for uid in range(10_000, 10_600)]
    refused = 0
    for node in nodes:
        asked = mounted.send(Opcode.GETATTR, kernel.GETATTR, node)
        mounted.send(Opcode.INTERRUPT, kernel.interrupt(asked))
        refused += mounted.answers(asked)[asked].errno == errno.EIO
    assert mounted.ask(Opcode.GETATTR, kernel.GETATTR).errno == 0
    assert mounted.line.keeper.recv(64)[:1] == b"A" and refused < len(nodes)


def test_a_worker_ends_with_its_keeper(mounted: Mounted) -> None:
    mounted.line.keeper.close()
    mounted.line.thread.join(SECONDS)
    assert not mounted.line.thread.is_alive()


# ── agents that are no good ──


def test_a_liar_is_hung_up_on_and_others_are_served(mounted: Mounted) -> None:
    mounted.agent(BOB, tree_of(BOB))
    liar = greeted(mounted, ALICE)
    first, second = (mounted.send(Opcode.GETATTR, kernel.GETATTR, mounted.node(ALICE, 2)) for _ in range(2))
    assert heard(liar, 2) == [(first, 0), (second, 0)]
    liar.sendall(head(first, 0, 0, 0, encode([1 << 60] * 12), 0))
    assert {answer.errno for answer in mounted.answers(first, second).values()} == {errno.EIO}
    assert mounted.ask(Opcode.GETATTR, kernel.GETATTR, mounted.node(BOB, 2)).errno == 0
    while liar.recv(4096):
        pass
    liar.close()


def test_an_agent_that_leaves_owes_nothing_and_comes_back(mounted: Mounted) -> None:
    sock = greeted(mounted, ALICE)
    asked = mounted.send(Opcode.GETATTR, kernel.GETATTR, mounted.node(ALICE, 2))
    assert sock.recv(4096)
    sock.close()
    assert mounted.answers(asked)[asked].errno == errno.EIO
    mounted.agent(ALICE, tree_of(ALICE))
    assert mounted.ask(Opcode.GETATTR, kernel.GETATTR, mounted.node(ALICE, 2)).errno == 0


def test_an_agent_that_answers_nothing_is_given_up_and_keeps_nobody_waiting(
    mounted: Mounted, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounted.agent(BOB, tree_of(BOB))
    silent = greeted(mounted, ALICE)
    asked = mounted.send(Opcode.GETATTR, kernel.GETATTR, mounted.node(ALICE, 2))
    for _ in range(20):
        assert mounted.ask(Opcode.GETATTR, kernel.GETATTR, mounted.node(BOB, 2)).errno == 0
    monkeypatch.setattr("commonhold.mount.worker._SILENT_SECONDS", 0.0)
    assert mounted.answers(asked)[asked].errno == errno.EIO
    while silent.recv(4096):
        pass
    silent.close()


def test_an_agent_that_owes_nothing_may_be_silent(mounted: Mounted, monkeypatch: pytest.MonkeyPatch) -> None:
    mounted.agent(ALICE, tree_of(ALICE))
    monkeypatch.setattr("commonhold.mount.worker._SILENT_SECONDS", 0.0)
    monkeypatch.setattr("commonhold.mount.worker._GREETING_SECONDS", 0.0)
    assert over(mounted.connect(BOB))  # by now it has looked
    monkeypatch.setattr("commonhold.mount.worker._SILENT_SECONDS", SECONDS)
    assert mounted.ask(Opcode.GETATTR, kernel.GETATTR, mounted.node(ALICE, 2)).errno == 0


def test_a_call_that_takes_too_long_can_be_interrupted(mounted: Mounted) -> None:
    slow = greeted(mounted, ALICE)
    asked = mounted.send(Opcode.GETATTR, kernel.GETATTR, mounted.node(ALICE, 2))
    mounted.send(Opcode.INTERRUPT, kernel.interrupt(asked))
    assert mounted.answers(asked)[asked].errno == errno.EINTR
    slow.close()


def test_who_is_killed_ends_and_who_gets_another_signal_does_not(mounted: Mounted) -> None:
    ending = mounted.line.worker.ending
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        signal.signal(signal.SIGUSR1, lambda *_: os.write(writing, b"x"))
        os.write(writing, b"x")
        while True:
            time.sleep(1)
    try:
        for _ in range(2):  # a signal that is handled
            assert os.read(reading, 1) == b"x" and not ending(child)
            os.kill(child, signal.SIGUSR1)
        os.kill(child, signal.SIGSTOP)
        os.waitpid(child, os.WUNTRACED)
        os.kill(child, signal.SIGUSR1)  # one that waits
        assert not ending(child)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(reading)
        os.close(writing)
    assert ending(child)


def test_of_what_an_agent_does_not_read_there_is_an_end(mounted: Mounted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("commonhold.mount.worker._QUEUE", 1 << 20)
    mounted.agent(BOB, tree_of(BOB))
    stuck = greeted(mounted, ALICE)
    size, mine, theirs = 64 << 10, mounted.node(ALICE, 2), mounted.node(BOB, 2)
    asked: list[int] = []
    most = 0
    while mounted.line.worker._agents.get(ALICE) is not None:
        asked.append(mounted.send(Opcode.WRITE, kernel.write(0, bytes(size)), mine))
        other = mounted.send(Opcode.READ, kernel.reading(0, 99), theirs)
        found: dict[int, Answer] = {}
        while other not in found:
            unique, answer = mounted.said()
            found[unique] = answer
        assert found.pop(other).body == b"of 1001"
        assert set(found) <= set(asked) and {answer.errno for answer in found.values()} <= {errno.EIO}
        asked = [unique for unique in asked if unique not in found]
        agent = mounted.line.worker._agents.get(ALICE)
        most = max(most, agent.out.size if agent else 0)
    assert {answer.errno for answer in mounted.answers(*asked).values()} <= {errno.EIO}
    assert most <= (1 << 20) + 2 * (size + 100)
    stuck.close()


def test_a_slow_reader_gets_all_and_in_order(mounted: Mounted) -> None:
    slow = greeted(mounted, ALICE)
    node, size = mounted.node(ALICE, 2), 32 << 10
    asked = []
    for at in range(200):
        body = kernel.write(at, bytes([at]) * size) if at % 2 else kernel.reading(at, 9)
        asked.append(mounted.send(Opcode.WRITE if at % 2 else Opcode.READ, body, node))
    incoming, seen = Incoming(), 0
    while seen < 200:
        assert incoming.fill(slow)
        for frame in incoming.frames():
            assert frame.id == asked[seen] and len(frame.payload) == (size if seen % 2 else 0)
            assert set(frame.payload) <= {seen}
            seen += 1
    slow.close()
    assert {answer.errno for answer in mounted.answers(*asked).values()} == {errno.EIO}


# ── a worker that is killed ──


class Pausing(MemoryTree):
    """A tree that waits before it removes."""

    slow = frozenset({"unlink"})

    def __init__(self) -> None:
        super().__init__(Who("a@home", "a@home"))
        self.begun, self.go = threading.Semaphore(0), threading.Semaphore(0)
        self.removed: list[bytes] = []

    def unlink(self, parent: int, name: bytes) -> None:
        self.begun.release()
        assert self.go.acquire(timeout=SECONDS)
        super().unlink(parent, name)
        self.removed.append(name)


@pytest.mark.parametrize("done", ["before", "between", "after"])
def test_a_worker_that_follows_has_it_all_sent_again_and_nothing_done_twice(mounted: Mounted, done: str) -> None:
    tree = Pausing()
    for name in (b"one", b"two"):
        tree.make(ROOT, name, FILE, 0, b"", Who("a@home", "a@home"), True)
    attendance = mounted.agent(ALICE, tree)
    root = mounted.node(ALICE)
    if done == "before":
        tree.go.release()
    asked = mounted.send(Opcode.UNLINK, kernel.named(b"one"), root)
    assert tree.begun.acquire(timeout=SECONDS)
    if done == "before":
        assert mounted.answers(asked)[asked].errno == 0  # which the kernel has not seen, let us say
    mounted.replace()
    unique, notice = mounted.said()
    assert (unique, notice.errno) == (0, -7)  # FUSE_NOTIFY_RESEND
    assert mounted.node(ALICE) == root
    if done == "between":
        tree.go.release()
    mounted.agent(ALICE, tree, attendance)
    again = mounted.send(Opcode.UNLINK, kernel.named(b"one"), root, unique=asked | 1 << 63)
    if done == "after":
        assert mounted.ask(Opcode.GETATTR, kernel.GETATTR, mounted.node(ALICE, 3)).errno == 0
        tree.go.release()
    assert mounted.answers(again)[again].errno == 0
    assert tree.removed == [b"one"]
    assert mounted.ask(Opcode.LOOKUP, kernel.named(b"two"), root).errno == 0


def test_what_is_sent_again_waits_for_the_agent_and_says_so(mounted: Mounted) -> None:
    root = mounted.node(ALICE)
    mounted.replace()
    mounted.said()
    again = mounted.send(Opcode.UNLINK, kernel.named(b"one"), root, unique=0x40 | 1 << 63)
    sock = mounted.connect(ALICE)
    sock.sendall(GREETING)
    assert heard(sock, 2) == [(NOTICE, 0), (0x40, RESENT)]
    sock.sendall(head(0x40, 0, 0, 0, encode(None), 0))
    assert mounted.answers(again)[again].errno == 0
    sock.close()


def test_a_first_worker_has_nothing_sent_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("commonhold.mount.worker.credentials", credentials)
    found = Mounted(tmp_path)
    assert found.ask(Opcode.GETATTR, kernel.GETATTR).errno == 0
    found.close()
