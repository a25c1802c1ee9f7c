"""An agent is not there, comes, does not come, leaves, is late, or says what nobody asked: whoever waits is told."""

import errno
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from commonhold.formats.fuseflags import Opcode
from commonhold.ipc.treewords import RESENT
from commonhold.mount.replies import Lied
from tests.examples import examples
from tests.mount import kernel
from tests.mount.desks import NODE, Answer, Mount, two_users
from tests.mount.kernel import ALICE, BOB, CAROL

NAME = kernel.named(b"x")


def remove(mount: Mount, uid: int = ALICE) -> int:
    """Ask an agent for something that needs no more than to be done; the request's id."""
    return mount.ask(Opcode.UNLINK, NAME, mount.node(uid, 7))


def test_an_agent_that_is_not_there_is_started_once_and_asked_in_order() -> None:
    mount = Mount()
    first, second = remove(mount), mount.ask(Opcode.WRITE, kernel.write(0, b"data"), mount.node(ALICE, 7))
    assert mount.starts == [ALICE] and not mount.calls and not mount.replies
    mount.agents.arrived(ALICE)
    assert [(call.id, call.name, call.payload) for call in mount.calls] == [
        (first, "unlink", b""),
        (second, "write", b"data"),
    ]
    mount.answer(ALICE, second, 4)
    mount.answer(ALICE, first)
    assert mount.only(first).errno == mount.only(second).errno == 0 and mount.starts == [ALICE]


def test_an_agent_that_comes_unasked_is_not_started() -> None:
    mount = Mount()
    mount.agents.arrived(ALICE)
    remove(mount)
    assert not mount.starts and len(mount.calls) == 1


def test_who_waits_for_an_agent_that_does_not_come_is_told_and_the_next_one_has_it_come_again() -> None:
    mount = Mount()
    first, other = remove(mount), remove(mount, BOB)
    mount.agents.absent(ALICE)
    assert mount.only(first).errno == errno.EIO and not mount.replied(other)
    second = remove(mount)
    assert mount.starts == [ALICE, BOB, ALICE]
    mount.agents.arrived(ALICE)
    assert [call.id for call in mount.calls] == [second]


def test_an_agent_whom_nobody_asked_for_may_be_absent() -> None:
    mount = Mount(BOB)
    mount.agents.absent(ALICE)
    mount.agents.left(ALICE)
    mount.agents.absent(BOB)
    assert not mount.replies and not mount.starts


def test_an_agent_that_leaves_owes_nothing_more_and_is_started_when_it_is_needed() -> None:
    mount = Mount(ALICE, BOB)
    mine, theirs = remove(mount), remove(mount, BOB)
    mount.agents.left(ALICE)
    assert mount.only(mine).errno == errno.EIO and not mount.replied(theirs)
    assert not mount.agents.asked(ALICE) and mount.agents.asked(BOB) and mount.agents.busy
    again = remove(mount)
    assert mount.starts == [ALICE]
    mount.agents.arrived(ALICE)
    mount.answer(ALICE, again)
    mount.answer(BOB, theirs)
    assert mount.only(again).errno == mount.only(theirs).errno == 0 and not mount.agents.busy


def test_what_an_agent_was_asked_before_it_left_it_cannot_answer_when_it_is_back() -> None:
    mount = Mount(ALICE)
    lost = remove(mount)
    mount.agents.left(ALICE)
    mount.agents.arrived(ALICE)
    with pytest.raises(Lied):
        mount.answer(ALICE, lost)
    assert mount.only(lost).errno == errno.EIO


# ── answers that are none ──


def test_an_answer_counts_once() -> None:
    mount = Mount(ALICE)
    unique = remove(mount)
    mount.answer(ALICE, unique)
    with pytest.raises(Lied):
        mount.answer(ALICE, unique)
    assert mount.only(unique).errno == 0


@pytest.mark.parametrize("id_", [7, 1 << 62, 1 << 63, (1 << 64) - 1])
def test_an_answer_to_what_nobody_asked_is_a_lie(id_: int) -> None:
    mount = Mount(ALICE)
    with pytest.raises(Lied):
        mount.answer(ALICE, id_)
    assert not mount.replies


def test_nobody_answers_for_another() -> None:
    mount = Mount(ALICE, BOB)
    unique = remove(mount)
    with pytest.raises(Lied):
        mount.answer(BOB, unique)
    assert not mount.replies and mount.agents.asked(ALICE)
    mount.answer(ALICE, unique)
    assert mount.only(unique).errno == 0


def test_an_agent_that_waits_for_a_frame_may_not_answer_what_is_not_sent_yet() -> None:
    mount = Mount(BOB)
    unique = remove(mount)
    mount.agents.arrived(BOB)
    with pytest.raises(Lied):
        mount.answer(BOB, unique)
    assert not mount.replies


# ── interrupts ──


def interrupt(mount: Mount, unique: int) -> None:
    assert mount.replied(mount.ask(Opcode.INTERRUPT, kernel.interrupt(unique), 0, uid=0)) == []


def test_who_waits_for_an_agent_to_come_can_be_interrupted_at_once() -> None:
    mount = Mount()
    first, second = remove(mount), remove(mount)
    interrupt(mount, first)
    assert mount.only(first).errno == errno.EINTR and not mount.replied(second)
    mount.agents.arrived(ALICE)
    assert [call.id for call in mount.calls] == [second]


def test_an_interrupted_call_has_from_one_look_to_the_next_to_be_done() -> None:
    mount = Mount(ALICE)
    quick, slow, other = remove(mount), remove(mount), remove(mount)
    mount.agents.look()
    interrupt(mount, quick)
    interrupt(mount, slow)
    mount.agents.look()
    assert not mount.replies
    mount.answer(ALICE, quick)
    mount.agents.look()
    assert mount.replies == [(quick, Answer(0, b"")), (slow, Answer(errno.EINTR, b""))]
    assert mount.agents.asked(ALICE)
    mount.answer(ALICE, slow)  # too late, and no lie
    with pytest.raises(Lied):
        mount.answer(ALICE, slow)
    mount.answer(ALICE, other)
    mount.agents.look()
    mount.agents.look()
    assert len(mount.replies) == 3 and not mount.agents.asked(ALICE)


def test_who_lives_on_after_a_signal_waits_as_for_a_disk_until_it_is_done_or_they_are_killed() -> None:
    mount = Mount(ALICE)
    mount.alive = True
    done, killed = remove(mount), remove(mount)
    coming = remove(mount, BOB)
    for unique in (done, killed, coming):
        interrupt(mount, unique)
    for _ in range(5):
        mount.agents.look()
    assert not mount.replies
    mount.answer(ALICE, done)
    mount.alive = False
    mount.agents.look()
    assert mount.replies == [
        (done, Answer(0, b"")), (killed, Answer(errno.EINTR, b"")), (coming, Answer(errno.EINTR, b""))
    ]  # fmt: skip
    mount.agents.arrived(BOB)
    assert not [call for call in mount.calls if call.uid == BOB]
    mount.answer(ALICE, killed)  # too late, and no lie
    for _ in range(2):
        mount.agents.look()
    assert len(mount.replies) == 3


def test_nobody_waits_for_a_lock_after_a_signal_wherever_the_agent_is() -> None:
    mount = Mount()
    mount.alive = True
    unique = mount.ask(Opcode.SETLKW, kernel.LOCK, mount.node(ALICE, 7))
    interrupt(mount, unique)
    assert mount.only(unique).errno == errno.EINTR


def test_what_nobody_asked_can_be_interrupted_and_nothing_comes_of_it() -> None:
    mount = Mount(ALICE)
    unique = remove(mount)
    mount.answer(ALICE, unique)
    for id_ in (unique, unique + 2, 0, 1 << 63):
        interrupt(mount, id_)
        interrupt(mount, id_)
    mount.agents.look()
    mount.agents.look()
    assert len(mount.replies) == 1


def test_an_interrupt_that_comes_twice_ends_a_call_once() -> None:
    mount = Mount(ALICE)
    unique = remove(mount)
    interrupt(mount, unique)
    interrupt(mount, unique)
    mount.agents.look()
    interrupt(mount, unique)
    mount.agents.look()
    mount.agents.look()
    assert mount.only(unique).errno == errno.EINTR


def test_what_was_sent_again_can_be_interrupted_by_either_id() -> None:
    for again in (0, 1 << 63):
        mount = Mount(ALICE)
        unique = mount.ask(Opcode.UNLINK, NAME, mount.node(ALICE, 7), unique=0x40 | 1 << 63)
        interrupt(mount, 0x40 | again)
        mount.agents.look()
        mount.agents.look()
        assert mount.only(unique).errno == errno.EINTR


def test_an_interrupted_agent_that_leaves_owes_nothing() -> None:
    mount = Mount(ALICE)
    unique = remove(mount)
    interrupt(mount, unique)
    mount.agents.look()
    mount.agents.left(ALICE)
    mount.agents.arrived(ALICE)
    mount.agents.look()
    assert mount.only(unique).errno == errno.EIO


def test_who_waits_for_a_lock_can_be_killed_whatever_the_agent_does() -> None:
    mount = Mount(ALICE)
    node = mount.node(ALICE, 7)
    told, silent = (mount.ask(Opcode.SETLKW, kernel.LOCK, node) for _ in range(2))
    mount.agents.look()
    mount.agents.look()
    assert not mount.replies  # it takes as long as it takes
    interrupt(mount, told)
    interrupt(mount, silent)
    assert [(call.name, call.id, list(call.given)) for call in mount.calls[2:]] == [
        ("interrupt", 0, [told]),
        ("interrupt", 0, [silent]),
    ]
    mount.answer(ALICE, told, error=errno.EINTR)
    mount.agents.look()
    mount.agents.look()
    assert mount.only(told).errno == mount.only(silent).errno == errno.EINTR
    mount.answer(ALICE, silent)  # too late, and no lie
    assert len(mount.replies) == 2


# ── limits ──


def test_no_more_than_so_many_calls_wait_for_an_agent() -> None:
    mount = Mount()
    waiting = [remove(mount) for _ in range(4096)]
    assert not mount.replies
    assert mount.only(remove(mount)).errno == errno.EBUSY
    other = remove(mount, BOB)
    assert not mount.replied(other)
    mount.agents.arrived(ALICE)
    assert [call.id for call in mount.calls] == waiting


def test_no_more_than_so_many_bytes_wait_for_an_agent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("commonhold.mount.agents._MAX_KEPT", 10)
    mount = Mount()
    data, node = kernel.write(0, b"data"), mount.node(ALICE, 7)

    def write() -> int:
        return mount.ask(Opcode.WRITE, data, node)

    first, second = write(), write()
    assert mount.only(write()).errno == errno.EBUSY
    interrupt(mount, first)
    third = write()
    assert not mount.replied(third)
    mount.agents.absent(ALICE)
    again = [write(), write()]
    mount.agents.arrived(ALICE)
    assert [call.id for call in mount.calls] == again
    mount.agents.left(ALICE)
    last = [write(), write()]
    assert mount.only(second).errno == errno.EIO and not any(mount.replied(unique) for unique in last)


# ── sent again ──


def test_what_is_sent_again_says_so_and_is_answered_as_it_was_asked() -> None:
    mount = two_users()
    unique = mount.ask(Opcode.UNLINK, kernel.named(b"x"), NODE, unique=0x40 | 1 << 63)
    (call,) = mount.calls
    assert (call.id, call.flags) == (0x40, RESENT)
    mount.answer(ALICE, 0x40, None)
    assert mount.only(unique) == Answer(0, b"")


def test_data_is_taken_while_it_is_good() -> None:
    mount = two_users()
    raw = bytearray(kernel.request(Opcode.WRITE, kernel.write(0, b"data"), NODE))
    mount.desk.ask(memoryview(raw))
    waiting = bytearray(kernel.request(Opcode.WRITE, kernel.write(0, b"more"), mount.node(CAROL, 7), unique=10))
    mount.desk.ask(memoryview(waiting))
    raw[-4:] = waiting[-4:] = b"GONE"
    mount.agents.arrived(CAROL)
    assert [call.payload for call in mount.calls] == [b"data", b"more"]


# ── any order of all that ──


class Waiting(RuleBasedStateMachine):
    """Every request is answered once, or asked for by somebody who is there or comes."""

    @initialize()
    def begin(self) -> None:
        self.mount = Mount()
        self.asked: dict[int, int] = {}  # uid by id
        self.there: set[int] = set()

    @rule(uid=st.sampled_from([ALICE, BOB]))
    def ask(self, uid: int) -> None:
        self.asked[remove(self.mount, uid)] = uid

    @rule(uid=st.sampled_from([ALICE, BOB]))
    def arrive(self, uid: int) -> None:
        self.mount.agents.arrived(uid)
        self.there.add(uid)

    @rule(uid=st.sampled_from([ALICE, BOB]))
    def leave(self, uid: int) -> None:
        if uid in self.there:
            self.there.remove(uid)
            self.mount.agents.left(uid)

    @rule(uid=st.sampled_from([ALICE, BOB]))
    def fail(self, uid: int) -> None:
        if uid not in self.there:
            self.mount.agents.absent(uid)

    @rule(data=st.data(), uid=st.sampled_from([ALICE, BOB]))
    def answer(self, data: Any, uid: int) -> None:
        if uid not in self.there or not self.asked:
            return
        unique = data.draw(st.sampled_from(sorted(self.asked)))
        open_ = self.asked[unique] == uid and not self.mount.replied(unique)
        try:
            self.mount.answer(uid, unique)
        except Lied:
            assert not open_
        else:
            assert self.asked[unique] == uid

    @rule(data=st.data())
    def interrupt(self, data: Any) -> None:
        if self.asked:
            interrupt(self.mount, data.draw(st.sampled_from(sorted(self.asked))))

    @rule()
    def look(self) -> None:
        self.mount.agents.look()

    @invariant()
    def nobody_is_answered_twice_and_nobody_forgotten(self) -> None:
        started = set(self.mount.starts)
        for unique, uid in self.asked.items():
            answers = len(self.mount.replied(unique))
            assert answers <= 1
            if not answers:
                assert uid in self.there or uid in started
                assert self.mount.agents.asked(uid) or uid not in self.there


TestWaiting = Waiting.TestCase
TestWaiting.settings = settings(max_examples=examples(40), stateful_step_count=40, deadline=None)
