"""Locks as programs meet them: who is refused, who waits, who is next, and what ends what."""

import json

import pytest

from commonhold.formats.malformed import Malformed
from commonhold.locking.locks import MAX_SEARCHED, Locks
from commonhold.locking.values import (
    MAX_CLIENT,
    MAX_NUMBER,
    MAX_OFFSET,
    NONE,
    READ,
    WRITE,
    Limits,
    Lock,
    Outcome,
    Owner,
    Request,
    from_row,
    row,
)  # fmt: skip

GRANTED, WAITING, REFUSED, DEADLOCK, FULL = (
    Outcome.GRANTED, Outcome.WAITING, Outcome.REFUSED, Outcome.DEADLOCK, Outcome.FULL,
)  # fmt: skip


class Processes:
    """Programs with one open file each, by a letter: owner, handle and process are all the letter's number."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.locks = Locks(limits)

    def lock(self, who: str, mode: int, start: int = 0, end: int = MAX_OFFSET, number: int = 1) -> Lock:
        return Lock(number, False, Owner("here", ord(who)), ord(who), start, end, mode, ord(who))

    def flocked(self, who: str, mode: int, number: int = 1) -> Lock:
        return self.lock(who, mode, number=number)._replace(flock=True)

    def asks(self, lock: Lock, wait: bool = True) -> tuple[Outcome, str]:
        """Ask under the name of its owner's letter; who is granted by that."""
        answer = self.locks.set(chr(lock.owner.number), lock, wait)
        return answer.outcome, told(answer.granted)

    def waits(self, *locks: Lock) -> None:
        for lock in locks:
            assert self.asks(lock) == (WAITING, "")

    def has(self, *locks: Lock) -> None:
        for lock in locks:
            assert self.asks(lock, wait=False) == (GRANTED, "")

    def spans(self, who: str, number: int = 1) -> list[tuple[int, int, int]]:
        held = [from_row(values) for values in self.locks.dump()]
        return [(h.start, h.end, h.mode) for h in held if h.owner.number == ord(who) and h.object == number]


def told(granted: list[Request] | None) -> str:
    assert granted is not None
    return "".join(map(str, granted))


@pytest.fixture
def table() -> Processes:
    return Processes()


# ── ranges ──


def test_a_range_is_split_and_joined_and_changed_in_its_middle(table: Processes) -> None:
    table.has(table.lock("a", WRITE, 0, 99), table.lock("a", NONE, 40, 59))
    assert table.spans("a") == [(0, 39, WRITE), (60, 99, WRITE)]
    table.has(table.lock("a", READ, 30, 69))
    assert table.spans("a") == [(0, 29, WRITE), (30, 69, READ), (70, 99, WRITE)]
    table.has(table.lock("a", WRITE, 30, 69))
    assert table.spans("a") == [(0, 99, WRITE)]
    table.has(table.lock("a", WRITE, 100, MAX_OFFSET), table.lock("a", NONE, 1, MAX_OFFSET))
    assert table.spans("a") == [(0, 0, WRITE)]


def test_readers_share_and_writers_do_not(table: Processes) -> None:
    table.has(table.lock("a", READ, 0, 9), table.lock("b", READ, 5, 14))
    assert table.asks(table.lock("c", WRITE, 9, 9), wait=False) == (REFUSED, "")
    table.has(table.lock("c", WRITE, 15, 20))
    assert table.asks(table.lock("a", READ, 0, 15), wait=False) == (REFUSED, "")
    assert table.spans("a") == [(0, 9, READ)]


def test_the_lock_in_the_way_is_the_first_by_its_bytes(table: Processes) -> None:
    table.has(table.lock("a", WRITE, 50, 59), table.lock("b", READ, 20, 29), table.lock("c", WRITE, 70, 79))
    assert table.locks.test(table.lock("d", WRITE)) == table.lock("b", READ, 20, 29)
    assert table.locks.test(table.lock("d", READ)) == table.lock("a", WRITE, 50, 59)
    assert table.locks.test(table.lock("d", READ, 0, 49)) is None
    assert table.locks.test(table.lock("a", WRITE, 30, 69)) is None
    assert table.locks.test(table.lock("d", WRITE, number=2)) is None


def test_flock_and_posix_locks_know_nothing_of_each_other(table: Processes) -> None:
    table.has(table.lock("a", WRITE), table.flocked("b", WRITE))
    assert table.asks(table.flocked("a", READ), wait=False) == (REFUSED, "")
    assert table.asks(table.lock("b", READ), wait=False) == (REFUSED, "")


def test_owners_of_two_clients_with_one_number_are_two(table: Processes) -> None:
    table.has(table.lock("a", WRITE))
    other = table.lock("a", READ)._replace(owner=Owner("elsewhere", ord("a")))
    assert table.asks(other, wait=False) == (REFUSED, "")


# ── waiting ──


def test_whoever_came_first_is_first(table: Processes) -> None:
    table.has(table.lock("a", WRITE))
    table.waits(*(table.lock(who, WRITE) for who in "bcd"))
    assert table.asks(table.lock("a", NONE)) == (GRANTED, "b")
    assert table.asks(table.lock("b", NONE)) == (GRANTED, "c")
    assert table.asks(table.lock("c", NONE)) == (GRANTED, "d")
    assert table.asks(table.lock("d", NONE)) == (GRANTED, "")


def test_all_readers_in_line_are_granted_at_once_but_none_from_behind_a_writer(table: Processes) -> None:
    table.has(table.lock("a", WRITE))
    table.waits(table.lock("b", READ), table.lock("c", READ), table.lock("d", WRITE), table.lock("e", READ))
    assert table.asks(table.lock("a", NONE)) == (GRANTED, "bc")
    assert table.asks(table.lock("b", NONE)) == (GRANTED, "")
    assert table.asks(table.lock("c", NONE)) == (GRANTED, "d")
    assert table.asks(table.lock("d", NONE)) == (GRANTED, "e")


def test_readers_that_relieve_each_other_do_not_starve_a_writer(table: Processes) -> None:
    table.has(table.lock("a", READ))
    table.waits(table.lock("w", WRITE), table.lock("b", READ))
    assert table.asks(table.lock("a", NONE)) == (GRANTED, "w")


def test_only_who_is_in_the_way_of_those_ahead_lines_up(table: Processes) -> None:
    table.has(table.lock("a", WRITE, 0, 9))
    table.waits(table.lock("b", WRITE, 0, 19))
    assert table.asks(table.lock("c", WRITE, 20, 29)) == (GRANTED, "")
    table.waits(table.lock("d", WRITE, 15, 15))
    assert table.asks(table.lock("a", NONE)) == (GRANTED, "b")
    assert table.asks(table.lock("b", NONE, 10, 19)) == (GRANTED, "d")


def test_who_will_not_wait_is_refused_only_for_what_is_held(table: Processes) -> None:
    table.has(table.lock("a", READ))
    table.waits(table.lock("w", WRITE))
    table.has(table.lock("b", READ))


def test_a_reader_whose_process_holds_what_a_writer_ahead_may_need_does_not_line_up(table: Processes) -> None:
    table.has(table.flocked("a", READ))
    table.waits(table.flocked("w", WRITE))
    again = table.flocked("a", READ)._replace(owner=Owner("here", 7), handle=7)
    assert table.asks(again) == (GRANTED, "")


def test_who_lined_up_goes_ahead_once_its_process_holds_something(table: Processes) -> None:
    table.has(table.lock("a", READ))
    table.waits(table.lock("w", WRITE), table.lock("b", READ))
    thread = table.lock("b", WRITE, number=2)
    answer = table.locks.set("thread", thread, wait=False)
    assert (answer.outcome, told(answer.granted)) == (GRANTED, "b")


def test_a_granted_request_that_makes_less_of_its_own_lock_lets_others_in(table: Processes) -> None:
    table.has(table.lock("a", WRITE, 0, 9), table.lock("b", WRITE, 10, 19))
    table.waits(table.lock("c", READ, 0, 0), table.lock("a", READ, 0, 19))
    assert table.asks(table.lock("b", NONE)) == (GRANTED, "ac")


def test_an_upgrade_waits_with_what_it_has(table: Processes) -> None:
    table.has(table.lock("a", READ), table.lock("b", READ))
    table.waits(table.lock("a", WRITE))
    assert table.spans("a") == [(0, MAX_OFFSET, READ)]
    assert table.asks(table.lock("b", NONE)) == (GRANTED, "a")
    assert table.spans("a") == [(0, MAX_OFFSET, WRITE)]


def test_a_downgrade_lets_readers_in_and_is_never_refused(table: Processes) -> None:
    for lock in (table.lock, table.flocked):
        table.has(lock("a", WRITE))
        table.waits(lock("b", READ), lock("w", WRITE))
        assert table.asks(lock("a", READ), wait=False) == (GRANTED, "b")
        table.locks.cancel("w")


def test_an_interrupted_request_waits_no_more_and_those_behind_it_move_up(table: Processes) -> None:
    table.has(table.lock("a", READ))
    table.waits(table.lock("w", WRITE), table.lock("b", READ))
    assert told(table.locks.cancel("w")) == "b"
    assert table.locks.cancel("w") is None and table.locks.cancel("b") is None and table.locks.cancel("x") is None
    assert table.asks(table.lock("a", NONE)) == (GRANTED, "")


def test_a_request_that_is_sent_again_keeps_its_place(table: Processes) -> None:
    table.has(table.lock("a", WRITE))
    table.waits(table.lock("b", WRITE), table.lock("c", WRITE), table.lock("b", WRITE))
    assert table.asks(table.lock("a", NONE)) == (GRANTED, "b")
    assert table.asks(table.lock("b", NONE)) == (GRANTED, "c")
    assert table.asks(table.lock("c", NONE)) == (GRANTED, "")


# ── flock conversion ──


def test_a_flock_upgrade_that_is_refused_has_lost_what_it_had(table: Processes) -> None:
    table.has(table.flocked("a", READ), table.flocked("b", READ))
    table.waits(table.flocked("c", WRITE))
    assert table.asks(table.flocked("a", WRITE), wait=False) == (REFUSED, "")
    assert table.spans("a") == []
    assert table.asks(table.flocked("b", NONE)) == (GRANTED, "c")


def test_two_flock_upgrades_do_not_block_each_other(table: Processes) -> None:
    table.has(table.flocked("a", READ), table.flocked("b", READ))
    assert table.asks(table.flocked("a", WRITE)) == (WAITING, "")
    assert table.asks(table.flocked("b", WRITE)) == (GRANTED, "")
    assert table.asks(table.flocked("b", NONE)) == (GRANTED, "a")


# ── deadlocks ──


def test_a_circle_of_owners_is_refused_to_whoever_would_close_it(table: Processes) -> None:
    table.has(*(table.lock(who, WRITE, number=at) for at, who in enumerate("abc")))
    table.waits(table.lock("a", WRITE, number=1), table.lock("b", READ, number=2))
    assert table.asks(table.lock("c", WRITE, number=0)) == (DEADLOCK, "")
    assert table.asks(table.lock("c", NONE, number=2)) == (GRANTED, "b")


def test_two_readers_that_both_want_to_write_are_a_deadlock(table: Processes) -> None:
    table.has(table.lock("a", READ), table.lock("b", READ))
    table.waits(table.lock("a", WRITE))
    assert table.asks(table.lock("b", WRITE)) == (DEADLOCK, "")
    assert table.spans("b") == [(0, MAX_OFFSET, READ)]


def test_a_circle_over_one_of_several_readers_is_found(table: Processes) -> None:
    table.has(*(table.lock(who, READ) for who in "xyz"), table.lock("a", WRITE, number=2))
    table.waits(table.lock("z", WRITE, number=2))
    assert table.asks(table.lock("a", WRITE)) == (DEADLOCK, "")


def test_whoever_only_waits_for_a_turn_is_in_no_circle(table: Processes) -> None:
    table.has(table.lock("a", READ), table.lock("c", WRITE, number=2))
    table.waits(table.lock("b", WRITE))
    assert table.asks(table.lock("c", READ)) == (GRANTED, "")
    table.waits(table.lock("a", WRITE, number=2))


def test_waiting_in_a_row_is_no_deadlock_and_flock_knows_none(table: Processes) -> None:
    table.has(table.lock("a", WRITE, number=0), table.lock("b", WRITE, number=1))
    table.waits(table.lock("b", WRITE, number=0), table.lock("c", WRITE, number=1), table.lock("d", WRITE, number=1))
    table.has(table.flocked("e", WRITE, number=3), table.flocked("f", WRITE, number=4))
    table.waits(table.flocked("e", WRITE, number=4), table.flocked("f", WRITE, number=3))


def test_a_circle_is_found_up_to_a_length() -> None:
    def closes(length: int) -> Outcome:
        locks = Locks()
        for at in range(length):
            assert locks.set(at, Lock(at, False, Owner("here", at), at, 0, 9, WRITE, at), False).outcome is GRANTED
        for at in range(length):
            found = locks.set(at, Lock((at + 1) % length, False, Owner("here", at), at, 0, 9, WRITE, at), True).outcome
        return found

    assert closes(MAX_SEARCHED) is DEADLOCK
    assert closes(2 * MAX_SEARCHED) is WAITING


# ── what ends what ──


def test_closing_any_handle_ends_the_owners_posix_locks_of_that_object_alone(table: Processes) -> None:
    table.has(table.lock("a", WRITE), table.lock("a", WRITE, number=2), table.flocked("a", WRITE))
    table.waits(table.lock("b", WRITE))
    assert told(table.locks.closed(1, Owner("here", ord("a")))) == "b"
    assert table.spans("a", 2) == [(0, MAX_OFFSET, WRITE)]
    assert table.asks(table.flocked("b", READ), wait=False) == (REFUSED, "")


def test_the_release_of_a_handle_ends_what_was_taken_by_it_alone(table: Processes) -> None:
    ofd = table.lock("a", WRITE, 0, 9)._replace(owner=Owner("here", 4711))
    other = table.lock("a", WRITE, 20, 29)._replace(handle=5)
    table.has(ofd, other, table.flocked("a", WRITE))
    table.locks.set("w", table.lock("w", WRITE, 0, 19), wait=True)
    table.locks.set("v", table.flocked("v", WRITE), wait=True)
    assert told(table.locks.released(1, "elsewhere", ord("a"), None)) == ""
    assert told(table.locks.closed(1, Owner("here", ord("x")))) == ""
    assert sorted(told(table.locks.released(1, "here", ord("a"), None))) == ["v", "w"]
    assert table.spans("a") == [(20, 29, WRITE)]


def test_the_release_of_a_handle_ends_its_owners_flock_lock_whoever_took_it(table: Processes) -> None:
    table.has(table.flocked("a", WRITE)._replace(handle=5))
    assert table.locks.released(1, "here", 6, Owner("here", ord("b"))) == [] and table.locks.dump()
    assert table.locks.released(1, "here", 6, Owner("here", ord("a"))) == [] and not table.locks.dump()


def test_an_object_that_is_gone_has_no_locks_and_nobody_waiting(table: Processes) -> None:
    table.has(table.lock("a", WRITE), table.flocked("a", WRITE), table.lock("b", WRITE, number=2))
    table.waits(table.lock("c", READ), table.flocked("d", READ))
    table.locks.set("e", table.lock("e", READ, number=2), wait=True)
    assert sorted(table.locks.gone(1), key=str) == ["c", "d"]
    assert table.spans("a") == [] and table.locks.cancel("c") is None
    assert table.asks(table.lock("b", NONE, number=2)) == (GRANTED, "e")


def test_a_client_that_left_has_nothing_and_waits_for_nothing(table: Processes) -> None:
    theirs = table.lock("x", WRITE)._replace(owner=Owner("elsewhere", 1))
    table.has(theirs, table.lock("a", WRITE, number=2))
    table.waits(table.lock("b", READ))
    table.waits(table.lock("y", WRITE, number=2)._replace(owner=Owner("elsewhere", ord("y"))))
    assert told(table.locks.left("elsewhere")) == "b"
    assert table.asks(table.lock("a", NONE, number=2)) == (GRANTED, "")


# ── limits ──


def test_locks_have_a_limit_and_giving_up_the_middle_of_one_has_too() -> None:
    table = Processes(Limits(of_object=2, of_table=3, waiting=2))
    table.has(table.lock("a", WRITE, 0, 9), table.lock("a", WRITE, 20, 29))
    assert table.asks(table.lock("a", WRITE, 40, 49)) == (FULL, "")
    assert table.asks(table.lock("a", NONE, 5, 5)) == (FULL, "")
    assert table.spans("a") == [(0, 9, WRITE), (20, 29, WRITE)]
    table.has(table.lock("a", READ, 0, 9), table.lock("b", READ, number=2))
    assert table.asks(table.lock("b", READ, number=3), wait=False) == (FULL, "")
    table.has(table.lock("a", NONE), table.lock("b", READ, number=3))


def test_those_who_wait_have_a_limit_and_their_locks_have_room() -> None:
    table = Processes(Limits(of_object=10, of_table=8, waiting=2))
    table.has(table.lock("a", WRITE, 0, 9))
    table.waits(table.lock("b", WRITE, 0, 0), table.lock("c", WRITE, 1, 1))
    assert table.asks(table.lock("d", WRITE, 2, 2)) == (FULL, "")
    table.has(*(table.lock("a", WRITE, number=at) for at in (2, 3, 4)))
    assert table.asks(table.lock("a", WRITE, number=5), wait=False) == (FULL, "")
    assert table.asks(table.lock("a", NONE)) == (GRANTED, "bc")


def test_there_is_no_waiting_where_there_would_be_no_room() -> None:
    for limits in (Limits(of_object=2, of_table=9), Limits(of_object=9, of_table=2)):
        table = Processes(limits)
        table.has(table.lock("a", WRITE))
        assert table.asks(table.lock("b", WRITE)) == (FULL, "")


def test_a_flock_conversion_for_which_there_is_no_room_to_wait_keeps_what_it_had() -> None:
    table = Processes(Limits(waiting=0))
    table.has(table.flocked("a", READ), table.flocked("b", READ))
    assert table.asks(table.flocked("a", WRITE)) == (FULL, "")
    assert len(table.locks.dump()) == 2


# ── coming back ──


def test_a_table_comes_back_through_json_and_its_handles_still_end_what_they_took(table: Processes) -> None:
    table.has(table.lock("a", WRITE, 0, 9), table.lock("a", READ, 10, 19), table.flocked("b", WRITE))
    table.locks = Locks.load(json.loads(json.dumps(table.locks.dump())))
    assert table.spans("a") == [(0, 9, WRITE), (10, 19, READ)]
    table.waits(table.lock("c", WRITE, 5, 15))
    assert told(table.locks.released(1, "here", ord("a"), None)) == "c"


SOUND = (1, 0, "here", 2, 3, 0, 9, WRITE, 4)


def test_a_row_is_its_lock() -> None:
    lock = Lock(1, False, Owner("here", 2), 3, 0, 9, WRITE, 4)
    assert row(lock) == SOUND and from_row(SOUND) == from_row(list(SOUND)) == lock
    given_up = lock._replace(mode=NONE)
    assert from_row(row(given_up)) == given_up
    widest = Lock(MAX_NUMBER, True, Owner("x" * MAX_CLIENT, MAX_NUMBER), MAX_NUMBER, 0, MAX_OFFSET, READ, MAX_NUMBER)
    assert from_row(row(widest)) == widest


@pytest.mark.parametrize(
    ("at", "value"),
    [
        (0, -1), (0, MAX_NUMBER + 1), (0, "1"), (0, 1.0), (0, True), (0, None), (1, 2), (1, True), (1, 1), (2, 5),
        (2, ""), (2, b"here"), (2, "x" * (MAX_CLIENT + 1)), (3, -1), (4, -1), (5, 10), (6, MAX_OFFSET + 1), (7, 3),
        (8, -1),
    ],
)  # fmt: skip
def test_a_row_that_is_no_lock_is_refused(at: int, value: object) -> None:
    with pytest.raises(Malformed):
        from_row([*SOUND[:at], value, *SOUND[at + 1 :]])


@pytest.mark.parametrize(
    "rows",
    [
        [SOUND[:-1]],
        [(*SOUND, 0)],
        [()],
        [(*SOUND[:7], NONE, 4)],
        [SOUND, SOUND],
        [SOUND, (1, 0, "here", 9, 3, 9, 20, READ, 4)],
        [SOUND, (1, 0, "here", 2, 3, 5, 20, READ, 4)],
        [SOUND, (1, 0, "here", 2, 3, 10, 20, WRITE, 4)],
        [(number, *SOUND[1:]) for number in range(4)],
    ],
)
def test_rows_that_no_table_gave_are_refused(rows: list[tuple[object, ...]]) -> None:
    with pytest.raises(Malformed):
        Locks.load(rows, Limits(of_table=3))
