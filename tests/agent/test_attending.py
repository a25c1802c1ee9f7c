"""Calls of a mount, answered: however they come, whoever is slow, and once, whoever sends them again."""

import errno
import random
import socket
import stat
import struct
import threading
from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from commonhold import __version__
from commonhold.agent.attending import Attendance, errno_of, greet
from commonhold.errors import HoldError, Kind
from commonhold.ipc.treeframes import Broken, Incoming, head
from commonhold.ipc.treewords import (
    BY_NAME,
    CALLS,
    HEAD,
    HELLO,
    MAX_BODY,
    NOTICE,
    PROTOCOL,
    RESENT,
    Hello,
    Notice,
    Welcome,
    Which,
    encode,
)
from commonhold.trees import ROOT, Attr, Change, Who
from tests.agent.attending import Said, asking, call
from tests.examples import examples
from tests.fakes.trees import MemoryTree
from tests.waiting import SECONDS

ME = Who("alice@home", "alice@home")
FILE = stat.S_IFREG | 0o644


class Slow(MemoryTree):
    """A tree some of whose calls wait until they may go on."""

    slow = frozenset({"sync", "unlink", "read"})

    def __init__(self) -> None:
        super().__init__(ME)
        self.begun = threading.Semaphore(0)
        self.go = threading.Semaphore(0)
        self.done = threading.Semaphore(0)  # changes
        self.removed: list[bytes] = []

    def _wait(self) -> None:
        self.begun.release()
        assert self.go.acquire(timeout=SECONDS)

    def sync(self, number: int) -> None:
        self._wait()
        super().sync(number)

    def unlink(self, parent: int, name: bytes) -> None:
        self._wait()
        self.removed.append(name)
        super().unlink(parent, name)

    def cached(self, number: int, offset: int, size: int) -> bytes | None:
        return None if offset else super().cached(number, offset, size)

    def read(self, number: int, offset: int, size: int) -> bytes:
        if offset:
            self._wait()
        return super().read(number, offset, size)


@pytest.fixture
def tree() -> MemoryTree:
    return MemoryTree(ME)


@pytest.fixture
def slow() -> Slow:
    return Slow()


@pytest.fixture
def attendance(tree: MemoryTree) -> Iterator[Attendance]:
    found = Attendance({Which.VOLUME: tree})
    yield found
    found.close()


@pytest.fixture
def patient(slow: Slow) -> Iterator[Attendance]:
    """An agent of the slow tree."""
    found = Attendance({Which.VOLUME: slow}, slow.done.release)
    yield found
    found.close()


def make(tree: MemoryTree, name: bytes, content: bytes = b"") -> int:
    number = tree.make(ROOT, name, FILE, 0, b"", ME, True).number
    tree.write(number, 0, memoryview(content), False, False)
    return number


def attr(said: Said) -> Attr:
    found: Attr = BY_NAME["attr"].result.decode(said.body)  # type: ignore[union-attr]
    return found


# ── frames ──


SESSION = [
    call(2, "make", ROOT, b"one", FILE, 0, b"", ME, True),
    call(4, "write", 2, 3, False, False, payload=b"data" * 100),
    call(6, "read", 2, 0, 4096),
    call(8, "lookup", ROOT, b"none"),
    call(10, "listing", ROOT, 0, 100, True),
    call(0, "forget", [9]),
    call(12, "change", 2, Change(mode=0o600)),
    call(14, "room"),
    call(16, "write", 2, 0, False, False),
]


def answers_to(pieces: list[bytes]) -> list[Said]:
    attendance = Attendance({Which.VOLUME: MemoryTree(ME)})
    with asking(attendance) as mount:
        for piece in pieces:
            mount.sock.sendall(piece)
        found = mount.answers(8)
    attendance.close()
    return found


def test_calls_are_answered_in_the_way_they_were_asked() -> None:
    found = {said.id: said for said in answers_to([b"".join(SESSION)])}
    assert [said.code for said in found.values()] == [0, 0, 0, errno.ENOENT, 0, 0, 0, 0]
    assert found[6].payload == bytes(3) + b"data" * 100
    assert attr(found[2]).mode == FILE and attr(found[12]).mode == stat.S_IFREG | 0o600
    assert BY_NAME["write"].result.decode(found[4].body) == 400  # type: ignore[union-attr]
    assert BY_NAME["listing"].result.decode(found[10].body)[0].name == b"one"  # type: ignore[union-attr]


@settings(deadline=None, max_examples=examples(30))
@given(st.lists(st.integers(1, len(b"".join(SESSION)) - 1), max_size=20))
def test_calls_may_come_in_any_pieces(cuts: list[int]) -> None:
    whole = b"".join(SESSION)
    at = [0, *sorted(cuts), len(whole)]
    pieces = [whole[start:end] for start, end in pairwise(at)]
    assert answers_to(pieces) == answers_to([whole])


def test_calls_may_come_byte_by_byte() -> None:
    whole = b"".join(SESSION)
    assert answers_to([whole[at : at + 1] for at in range(len(whole))]) == answers_to([whole])


def test_what_is_asked_at_length_is_answered_at_length(tree: MemoryTree, attendance: Attendance) -> None:
    number = make(tree, b"large", random.Random(7).randbytes(1 << 20))
    content = tree.read(number, 0, 1 << 20)
    with asking(attendance) as mount:
        mount.sock.sendall(b"".join(call(2 * at, "read", number, 0, 1 << 20) for at in range(1, 65)))
        found = mount.answers(64)
        assert [said.id for said in found] == [2 * at for at in range(1, 65)]
        assert all(said.payload == content for said in found)
        (said,) = mount.ask(call(2, "write", number, 1, False, False, payload=content))
        assert said.code == 0 and tree.read(number, 1, 1 << 20) == content


def test_a_call_that_we_do_not_know_is_an_answer_and_the_next_one_is_too(attendance: Attendance) -> None:
    unknown = [head(id_, code, 0, 0, b"", 0) for id_, code in ((2, 0), (4, len(CALLS) + 1), (6, 65535))]
    other = [call(id_, "attr", ROOT, tree=which) for id_, which in ((8, Which.IPFS), (10, 255))]
    with asking(attendance) as mount:
        found = mount.ask(*unknown, *other, call(12, "attr", ROOT))
    assert [(said.id, said.code) for said in found] == [*((id_, errno.ENOSYS) for id_ in (2, 4, 6, 8, 10)), (12, 0)]


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("attr", b""),
        ("attr", b"\xc1"),
        ("attr", encode(7)),
        ("attr", encode([])),
        ("attr", encode(["1"])),
        ("attr", encode([1, 2])),
        ("attr", encode([1.5])),
        ("lookup", encode([1, "text"])),
        ("lookup", encode([1])),
        ("make", encode([1, b"n", FILE, 0, b"", None, True])),
        ("make", encode([1, b"n", FILE, 0, b"", ["alice"], True])),
        ("make", encode([1, b"n", FILE, 0, b"", ME, 1])),
        ("change", encode([1, [None] * 9])),
        ("change", encode([1, ["mode"]])),
        ("forget", encode([[1, "2"]])),
        ("write", encode([1, 0, b"data", False, False])),
        ("read", encode([1 << 64 >> 1, 0, None])),
    ],
)
def test_what_a_call_cannot_be_given_ends_the_connection(attendance: Attendance, name: str, body: bytes) -> None:
    with asking(attendance) as mount:
        mount.sock.sendall(head(2, BY_NAME[name].number, 0, 0, body, 0))
        assert mount.sock.recv(1) == b"" and isinstance(mount.over(), Broken)


@pytest.mark.parametrize(("body", "payload"), [(MAX_BODY + 1, 0), (0, (1 << 20) + 1), (0xFFFFFFFF, 0xFFFFFFFF)])
def test_a_frame_that_is_too_large_ends_the_connection(attendance: Attendance, body: int, payload: int) -> None:
    with asking(attendance) as mount:
        mount.sock.sendall(HEAD.pack(body, payload, 2, 1, 0, 0))
        assert mount.sock.recv(1) == b"" and isinstance(mount.over(), Broken)


def test_what_wants_no_answer_gets_none_and_is_done(tree: MemoryTree, attendance: Attendance) -> None:
    number = make(tree, b"file")
    unasked = call(0, "write", number, 0, False, False, payload=b"data") + call(0, "unlink", ROOT, b"none")
    with asking(attendance) as mount:
        mount.sock.sendall(unasked + call(2, "read", number, 0, 9))
        (said,) = mount.answers(1)
    assert (said.id, said.payload) == (2, b"data")


# ── errors ──


class Failing(MemoryTree):
    """A tree that raises what it is told to."""

    error: Exception = OSError(errno.EDQUOT, "quota")

    def attr(self, number: int) -> Attr:
        raise self.error

    def cached(self, number: int, offset: int, size: int) -> bytes | None:
        raise self.error


@pytest.mark.parametrize(
    ("error", "number"),
    [
        (OSError(errno.EDQUOT, "quota"), errno.EDQUOT),
        (FileNotFoundError(errno.ENOENT, "none"), errno.ENOENT),
        (OSError("without a number"), errno.EIO),
        (MemoryError(), errno.ENOMEM),
        (KeyError("a bug"), errno.EIO),
        (HoldError("read", Kind.CORRUPT, "block", "damaged"), errno.EIO),
        (HoldError("read", Kind.QUOTA, "node", "full"), Kind.QUOTA.value.errno),
    ],
)
def test_whatever_goes_wrong_in_a_call_is_its_answer(error: Exception, number: int) -> None:
    failing = Failing(ME)
    failing.error = error
    attendance = Attendance({Which.VOLUME: failing})
    with asking(attendance) as mount:
        found = mount.ask(call(2, "attr", 7), call(4, "read", 7, 0, 9), call(6, "room"))
    attendance.close()
    assert [said.code for said in found] == [number, number, 0] and errno_of(error) == number


# ── slow and quick ──


def test_what_waits_is_overtaken(slow: Slow, patient: Attendance) -> None:
    number = make(slow, b"file", b"content")
    with asking(patient) as mount:
        mount.sock.sendall(call(2, "sync", number) + call(4, "read", number, 1, 9))
        assert slow.begun.acquire(timeout=SECONDS) and slow.begun.acquire(timeout=SECONDS)
        assert [said.id for said in mount.ask(call(6, "attr", number), call(8, "read", number, 0, 9))] == [6, 8]
        slow.go.release(2)
        found = sorted(mount.answers(2))
    assert [(said.id, said.code) for said in found] == [(2, 0), (4, 0)] and found[1].payload == b"ontent"


def test_what_waits_is_done_though_nobody_is_there_any_more(slow: Slow, patient: Attendance) -> None:
    make(slow, b"file")
    with asking(patient) as mount:
        mount.sock.sendall(call(2, "unlink", ROOT, b"file"))
        assert slow.begun.acquire(timeout=SECONDS)
    slow.go.release()
    patient.close()
    assert slow.removed == [b"file"]


# ── sent again ──


def test_what_was_done_is_not_done_again(tree: MemoryTree, attendance: Attendance) -> None:
    make(tree, b"file")
    unlink = ("unlink", ROOT, b"file")
    with asking(attendance) as mount:
        first = mount.ask(call(2, *unlink), call(4, *unlink))
        assert [said.code for said in first] == [0, errno.ENOENT]
        make(tree, b"file")
    with asking(attendance) as mount:
        again = mount.ask(call(2, *unlink, flags=RESENT), call(4, *unlink, flags=RESENT))
        assert again == first and tree.lookup(ROOT, b"file")
        (said,) = mount.ask(call(6, *unlink, flags=RESENT))  # which we have never seen
        assert said.code == 0
        with pytest.raises(FileNotFoundError):
            tree.lookup(ROOT, b"file")


def test_what_only_asks_is_asked_again(tree: MemoryTree, attendance: Attendance) -> None:
    number = make(tree, b"file", b"old")
    with asking(attendance) as mount:
        mount.ask(call(2, "read", number, 0, 9))
        tree.write(number, 0, memoryview(b"new"), False, False)
        (said,) = mount.ask(call(2, "read", number, 0, 9, flags=RESENT))
    assert said.payload == b"new"


def test_what_is_under_way_is_not_begun_again_and_answers_whoever_asked_last(slow: Slow, patient: Attendance) -> None:
    make(slow, b"file")
    with asking(patient) as mount:
        mount.sock.sendall(call(2, "unlink", ROOT, b"file"))
        assert slow.begun.acquire(timeout=SECONDS)
    with asking(patient) as mount:
        mount.ask(call(4, "attr", ROOT))
        mount.sock.sendall(call(2, "unlink", ROOT, b"file", flags=RESENT))
        mount.ask(call(6, "attr", ROOT))  # by now the other was seen
        slow.go.release()
        assert [(said.id, said.code) for said in mount.answers(1)] == [(2, 0)]
    assert slow.removed == [b"file"]


@pytest.mark.parametrize("name", ["unlink", "read"])
def test_what_one_connection_asked_another_is_not_answered(slow: Slow, patient: Attendance, name: str) -> None:
    """Who follows a killed worker has not asked yet what is done meanwhile, and would take the answer for a lie."""
    number = make(slow, b"file", b"content")
    asked = ("unlink", ROOT, b"file") if name == "unlink" else ("read", number, 1, 9)
    with asking(patient) as mount:
        mount.sock.sendall(call(2, *asked))
        assert slow.begun.acquire(timeout=SECONDS)
    with asking(patient) as mount:
        mount.ask(call(4, "attr", ROOT))
        slow.go.release()
        if name == "read":
            mount.sock.sendall(call(2, *asked, flags=RESENT))
            assert slow.begun.acquire(timeout=SECONDS)
            slow.go.release()
        else:
            assert slow.done.acquire(timeout=SECONDS)
            mount.sock.sendall(call(2, *asked, flags=RESENT))
        assert [(said.id, said.code) for said in mount.answers(1)] == [(2, 0)]
        mount.ask(call(6, "attr", ROOT))  # and nothing between
    assert slow.removed == ([b"file"] if name == "unlink" else [])


def test_no_more_answers_are_kept_than_a_mount_has_calls(
    tree: MemoryTree, attendance: Attendance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("commonhold.agent.attending._REMEMBERED", 4)
    with asking(attendance) as mount:
        for id_ in range(2, 22, 2):
            mount.ask(call(id_, "set_xattr", ROOT, b"user.a", b"%d" % id_, 0))
        assert len(attendance._answers) == 4
        kept, forgotten = call(20, "set_xattr", ROOT, b"user.a", b"kept", 0, flags=RESENT), 2
        mount.ask(kept)
        assert tree.xattr(ROOT, b"user.a") == b"20"
        mount.ask(call(forgotten, "set_xattr", ROOT, b"user.a", b"again", 0, flags=RESENT))
        assert tree.xattr(ROOT, b"user.a") == b"again"


def test_who_tends_the_trees_is_told_of_changes_and_of_nothing_else(slow: Slow, patient: Attendance) -> None:
    make(slow, b"file")
    with asking(patient) as mount:
        mount.ask(call(2, "attr", ROOT), call(4, "lookup", ROOT, b"file"))
        mount.ask(call(6, "attr", ROOT))
        assert not slow.done.acquire(blocking=False)
        mount.ask(call(8, "change", ROOT, Change(mode=0o700)))
        assert slow.done.acquire(timeout=SECONDS)
        slow.go.release()
        mount.ask(call(10, "unlink", ROOT, b"file"))
        assert slow.done.acquire(timeout=SECONDS)


# ── notices ──


def test_a_mount_is_asked_of_what_a_death_left_without_a_name_whenever_it_connects(tree: MemoryTree) -> None:
    attendance = Attendance({Which.VOLUME: tree}, orphans=[5, 7])
    for _ in range(2):
        with asking(attendance) as mount:
            found = mount.answers(2)
        assert [(said.id, said.code, said.body) for said in found] == [
            (0, Notice.NAMELESS, encode([5])),
            (0, Notice.NAMELESS, encode([7])),
        ]
    attendance.close()


def test_a_notice_goes_to_the_mount_that_is_there(attendance: Attendance) -> None:
    attendance.object_changed(7)
    with asking(attendance) as mount:
        mount.ask(call(2, "attr", ROOT))
        attendance.name_changed(7, b"name")
        (said,) = mount.answers(1)
    assert said == (NOTICE, Notice.NAME, Which.VOLUME, encode([7, b"name"]), b"")


# ── the first words ──

WELCOME = Welcome(PROTOCOL, b"epoch", [Which.VOLUME], "alice@home")


def greeted(*pieces: bytes) -> tuple[Welcome, Incoming, bytes]:
    """Greet a mount that says so much; what it was told."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        for piece in pieces:
            theirs.sendall(piece)
        theirs.shutdown(socket.SHUT_WR)
        incoming = Incoming()
        return greet(ours, incoming), incoming, theirs.recv(4096)


def test_an_agent_says_who_it_is_and_hears_what_is_wanted() -> None:
    welcome, incoming, said = greeted(head(NOTICE, HELLO, 0, 0, encode(WELCOME), 0) + call(2, "attr", ROOT))
    assert welcome == WELCOME
    body = encode(Hello(PROTOCOL, __version__))
    assert said == head(NOTICE, HELLO, 0, 0, body, 0)
    assert [frame.id for frame in incoming.frames()] == [2]  # a call that came with the welcome


@pytest.mark.parametrize(
    "said",
    [
        b"",
        bytes(19),
        head(NOTICE, HELLO, 0, 0, encode(WELCOME._replace(protocol=PROTOCOL + 1)), 0),
        head(NOTICE, 1, 0, 0, encode(WELCOME), 0),
        head(NOTICE, HELLO, 0, 0, b"", 0),
        head(NOTICE, HELLO, 0, 0, encode([PROTOCOL]), 0),
        head(NOTICE, HELLO, 0, 0, encode([PROTOCOL, b"epoch", [9], "alice@home"]), 0),
        struct.pack("<IIQHBB", MAX_BODY + 1, 0, 0, 0, 0, 0),
        b"HTTP/1.1 200 OK\r\n\r\n",
    ],
)
def test_who_is_no_mount_of_ours_is_left_alone(said: bytes) -> None:
    with pytest.raises(Broken):
        greeted(said)
