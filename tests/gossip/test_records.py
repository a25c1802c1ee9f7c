"""The store: the newest of each slot, the bounds of each publisher, and who makes room when there is none."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from commonhold.crypto.statements import signed
from commonhold.formats.announcement import Announcement
from commonhold.formats.blessing import STORAGE, Purpose
from commonhold.formats.statement import Kind
from commonhold.gossip.reading import Reader, Record
from commonhold.gossip.records import OVERHEAD, Outcome, Source, Store, Verdict
from commonhold.gossip.values import Bounds
from tests.examples import examples
from tests.gossip.statements import DAY, EPOCH, GRID, announced, blessing, grid_of, key, pin, revoked, seed

NOW = float(EPOCH)
READER = Reader()
BOUNDS = Bounds()


def store(bounds: Bounds = BOUNDS) -> Store:
    return Store(frozenset((GRID,)), frozenset(), bounds)


def read(data: bytes) -> Record:
    return READER.read(Kind.ANNOUNCEMENT, data)


def lists(data: bytes) -> Record:
    return READER.read(Kind.REVOCATIONS, data)


def offer(into: Store, data: bytes, now: float = NOW) -> Outcome:
    return into.offer(read(data), now)


def kept(from_: Store) -> set[bytes]:
    return {record.data for record in from_}


def test_the_greatest_sequence_of_a_slot_counts_in_whatever_order_they_come() -> None:
    one, two, three = (announced("a", sequence) for sequence in (1, 2, 10))
    found = store()
    assert [offer(found, data).verdict for data in (two, one, three, two)] == [
        Verdict.KEPT, Verdict.OLD, Verdict.KEPT, Verdict.OLD
    ]  # fmt: skip
    assert kept(found) == {three}


def test_purposes_kinds_and_keys_do_not_replace_each_other() -> None:
    """B6, B7."""
    found = store()
    statements = [announced("a"), announced("a", purpose=Purpose("other")), announced("b")]
    for data in statements:
        offer(found, data)
    lone = lists(revoked("a", 99))
    odd = read(announced("a", purpose=Purpose("revocations")))
    assert lone.slot != odd.slot
    found.offer(lone, NOW)
    assert kept(found) == {*statements, lone.data}


@settings(max_examples=examples(40), deadline=None)
@given(st.permutations([0, 1, 2, 3, 4, 5, 6, 6, 5, 3]))
def test_any_order_and_repetition_ends_in_the_same_store(order: list[int]) -> None:
    pool = [announced("a", 1), announced("a", 2, label="x"), announced("a", 2, label="y"), announced("b", 5)]
    pool += [announced("b", 6, ()), announced("c"), announced("c", purpose=Purpose("other"))]
    found, straight = store(), store()
    for data in pool:
        offer(straight, data)
    for number in order:
        offer(found, pool[number])
    assert found.ids.whole() == straight.ids.whole()


def test_two_of_one_sequence_are_told_of_by_whoever_sees_both_and_all_keep_the_same() -> None:
    one, two = read(announced("a", 5, label="x")), read(announced("a", 5, label="y"))
    for first, second in ((one, two), (two, one)):
        found = store()
        assert found.offer(first, NOW).contradicts is None
        assert found.offer(second, NOW).contradicts is first
        assert found.find(max(one.id, two.id)) is not None


def test_what_is_known_old_or_refused_a_moment_ago_is_not_lacking() -> None:
    found = store()
    old, new, foreign = read(announced("a", 1)), read(announced("a", 2)), read(announced("b", grid=grid_of("x")))
    assert found.lacks(new.id, NOW)
    found.offer(new, NOW)
    found.offer(foreign, NOW)
    assert not found.lacks(new.id, NOW) and not found.lacks(old.id, NOW) and not found.lacks(foreign.id, NOW)
    assert found.lacks(foreign.id, NOW + 3601)


def test_a_foreign_grid_is_not_taken_in() -> None:
    found = store()
    assert offer(found, announced("a", grid=grid_of("x"))).verdict is Verdict.FOREIGN and not len(found)


def test_what_has_ended_is_let_go_and_nothing_older_comes_in_its_place() -> None:
    found = store()
    short, before = announced("a", 2, until=EPOCH + 100), announced("a", 1, until=EPOCH + 7 * DAY)
    offer(found, short)
    assert found.expire(NOW + 100 + BOUNDS.skew - 1) == []
    assert [record.data for record in found.expire(NOW + 100 + BOUNDS.skew)] == [short]
    assert not found.lacks(read(before).id, NOW + 500)
    assert offer(found, before, NOW + 500).verdict is Verdict.OLD
    assert offer(found, announced("a", 3), NOW + 500).verdict is Verdict.KEPT


def test_clocks_may_differ_by_so_much_and_no_more() -> None:
    late = announced("a", until=EPOCH)
    assert offer(store(), late, NOW + BOUNDS.skew - 1).verdict is Verdict.KEPT
    assert offer(store(), late, NOW + BOUNDS.skew).verdict is Verdict.EXPIRED


def test_nothing_is_kept_that_ends_too_far_ahead() -> None:
    most = BOUNDS.ahead + BOUNDS.skew
    assert offer(store(), announced("a", until=EPOCH + most)).verdict is Verdict.KEPT
    assert offer(store(), announced("a", until=EPOCH + most + 1)).verdict is Verdict.TOO_FAR


def test_a_key_has_so_many_purposes() -> None:
    found = store()
    said = [offer(found, announced("a", purpose=Purpose(f"p{number}"))).verdict for number in range(9)]
    assert said == [Verdict.KEPT] * BOUNDS.slots_per_key + [Verdict.TOO_MANY]
    assert offer(found, announced("a", 2, purpose=Purpose("p3"))).verdict is Verdict.KEPT
    assert offer(found, announced("b")).verdict is Verdict.KEPT


def test_a_key_has_so_many_bytes_of_announcements() -> None:
    found = store(replace(BOUNDS, bytes_per_key=2000))
    large = tuple(f"tcp:{'x' * 150}{number}:1" for number in range(8))
    assert offer(found, announced("a", addresses=large)).verdict is Verdict.KEPT
    assert offer(found, announced("a", purpose=Purpose("other"), addresses=large)).verdict is Verdict.TOO_LARGE
    assert offer(found, announced("a", 2, addresses=large)).verdict is Verdict.KEPT
    assert offer(found, announced("a", 3)).verdict is Verdict.KEPT
    assert offer(found, announced("a", purpose=Purpose("other"))).verdict is Verdict.KEPT


def test_a_long_list_is_only_taken_from_a_key_that_somebody_asks_for() -> None:
    long = tuple(range(10**17, 10**17 + 9000))
    assert store().offer(lists(revoked("nobody", serials=long)), NOW).verdict is Verdict.TOO_LARGE
    assert store().offer(lists(revoked("blesser", serials=long)), NOW).verdict is Verdict.KEPT
    found = store()
    found.want(frozenset(), frozenset((key("nobody"),)), NOW)
    assert found.offer(lists(revoked("nobody", serials=long)), NOW).verdict is Verdict.KEPT


def test_a_key_changes_something_so_often() -> None:
    found = store()
    said = [offer(found, announced("a", number)).verdict for number in range(1, 20)]
    assert said == [Verdict.KEPT] * BOUNDS.changes_per_key + [Verdict.TOO_FAST] * 3
    assert offer(found, announced("b")).verdict is Verdict.KEPT
    assert offer(found, announced("a", 30), NOW + 59).verdict is Verdict.TOO_FAST
    assert offer(found, announced("a", 31), NOW + 61).verdict is Verdict.KEPT
    refused = read(announced("a", 30))
    assert not found.lacks(refused.id, NOW + 60)
    newer = read(announced("a", 32))
    found.offer(newer, NOW + 62)
    assert not found.lacks(newer.id, NOW + 100) and found.lacks(newer.id, NOW + 130)  # it is asked for again


def test_strangers_come_in_so_often_and_those_who_are_blessed_all_the_same() -> None:
    """B13."""
    found = store(replace(BOUNDS, newcomers=3))
    said = [offer(found, announced(f"s{number}", blessers=())).verdict for number in range(5)]
    assert said == [Verdict.KEPT] * 3 + [Verdict.TOO_FAST] * 2
    assert offer(found, announced("s0", 2, blessers=())).verdict is Verdict.KEPT
    found.want(frozenset(), frozenset((key("spammer"),)), NOW)
    said = [offer(found, announced(f"w{number}", blessers=("spammer",))).verdict for number in range(5)]
    assert said == [Verdict.KEPT] * 3 + [Verdict.TOO_FAST] * 2
    assert [offer(found, announced(f"a{number}")).verdict for number in range(9)] == [Verdict.KEPT] * 9


def small(count: int) -> Bounds:
    """Bounds with room for so many announcements that are blessed, and somewhat more of others."""
    return replace(BOUNDS, room=count * (len(announced("a")) + OVERHEAD + 8))


def test_a_flood_of_strangers_ends_when_all_room_is_theirs_and_whoever_came_first_stays() -> None:
    found = store(small(10))
    early = announced("early", blessers=())
    offer(found, early)
    said = [offer(found, announced(f"s{number}", blessers=())).verdict for number in range(300)]
    assert early in kept(found) and said[-200:] == [Verdict.FULL] * 200
    assert found.weight <= small(10).room


def test_strangers_make_room_for_the_blessed_and_never_push_them_out() -> None:
    found = store(small(10))
    for number in range(300):
        offer(found, announced(f"s{number}", blessers=()))
    blessed = [announced(f"b{number}") for number in range(10)]
    for data in blessed:
        outcome = offer(found, data)
        assert outcome.verdict is Verdict.KEPT
        assert all(not found.lacks(gone.id, NOW) for gone in outcome.gone)  # and they do not come back at once
    assert kept(found) == set(blessed)
    for number in range(300):
        offer(found, announced(f"t{number}", blessers=()))
    assert kept(found) == set(blessed)


def test_who_only_names_a_blesser_is_a_stranger() -> None:
    """B5: who may publish is everybody; who counts is by signature."""
    found = store()
    real = read(announced("honest"))
    assert found.standing(real, NOW).level == 2
    named = _with_blessing("thief", blessing("honest"))
    forged = _with_blessing("thief", blessing("thief")[:-70] + bytes(1) + blessing("thief")[-69:])
    for data in (named, forged):
        assert found.standing(read(data), NOW).level == 0


def _with_blessing(name: str, data: bytes) -> bytes:
    said = Announcement(GRID, STORAGE, pin(name), ("tcp:h:1",), 1, EPOCH + DAY, (data,))
    return signed(Kind.ANNOUNCEMENT, said.body, seed(name)).encoded


def test_a_blessing_that_has_ended_lifts_nobody() -> None:
    record = read(announced("a"))
    assert store().standing(record, NOW).level == 2
    assert store().standing(record, NOW + 91 * DAY).level == 0
    assert store().standing(record, NOW - 2 * DAY).level == 0


def test_blessers_that_somebody_asks_for_come_between_and_the_one_with_most_gives_way() -> None:
    """A spammer asks for a key of their own, and has it bless whomever they make."""
    found = store(small(12))
    found.want(frozenset(), frozenset((key("other"), key("spammer"))), NOW)
    for number in range(100):
        offer(found, announced(f"s{number}", blessers=("spammer",)))
    others = [announced(f"o{number}", blessers=("other",)) for number in range(4)]
    for data in others:
        assert offer(found, data).verdict is Verdict.KEPT
    for number in range(100, 200):
        offer(found, announced(f"s{number}", blessers=("spammer",)))
    trusted = [announced(f"t{number}") for number in range(3)]
    for data in trusted:
        offer(found, data)
    assert kept(found) >= {*others, *trusted}


def test_what_nobody_asks_for_any_more_is_a_stranger_again() -> None:
    found = store(small(10))
    found.want(frozenset(), frozenset((key("other"),)), NOW)
    for number in range(10):
        offer(found, announced(f"o{number}", blessers=("other",)))
    assert offer(found, announced("s", blessers=())).verdict is Verdict.FULL
    found.want(frozenset(), frozenset(), NOW)
    assert {found.level(record.slot) for record in found} == {0}
    found.want(frozenset((key("other"),)), frozenset(), NOW)
    assert {found.level(record.slot) for record in found} == {2}


def test_ones_own_gives_way_to_nobody_and_is_not_counted_against_ones_own_rate() -> None:
    found = store(small(10))
    for number in range(1, 40):
        assert found.offer(read(announced("me", number, blessers=())), NOW, Source.OWN).verdict is Verdict.KEPT
    for number in range(30):
        offer(found, announced(f"b{number}"))
    assert [record.data for record in found.own()] == [announced("me", 39, blessers=())]


@settings(max_examples=examples(60), deadline=None)
@given(st.lists(st.tuples(st.integers(0, 12), st.integers(1, 4), st.integers(0, 3)), max_size=60), st.integers(2, 9))
def test_whatever_comes_the_books_are_right_and_the_room_is_kept(steps: list[tuple[int, int, int]], room: int) -> None:
    found = store(small(room))
    found.want(frozenset(), frozenset((key("other"),)), NOW)
    now = NOW
    for name, sequence, by in steps:
        now += 7
        blessers = ((), ("blesser",), ("other",), ("blesser", "other"))[by]
        offer(found, announced(f"n{name}", sequence, blessers, until=EPOCH + 100 * sequence), now)
        found.expire(now)
        assert found.weight == sum(len(record.data) + OVERHEAD for record in found) <= small(room).room
        assert sorted(found.ids.between(*_ENDS)) == sorted(record.id for record in found)


_ENDS = store().ids.whole().first, store().ids.whole().last


@pytest.mark.parametrize("kind", [Kind.ANNOUNCEMENT, Kind.REVOCATIONS])
def test_memory_of_what_was_verified_is_bounded_and_changes_nothing(kind: Kind) -> None:
    reader = Reader(4000)
    make = announced if kind is Kind.ANNOUNCEMENT else revoked
    first = [reader.read(kind, make("a", number)) for number in range(30)]
    again = [reader.read(kind, make("a", number)) for number in range(30)]
    assert [one.id for one in first] == [one.id for one in again] and first[0] is not again[0]
