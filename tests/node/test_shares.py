"""Who goes first: whoever used less, for a moment after they asked for something; and what was used is forgotten."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonhold.node.shares import FRESH, HERE, Shares

ALICE, BOB, CAROL = 1001, 1002, 1003


@pytest.fixture
def shares() -> Shares:
    """Bob has used a second's work, alice none; both were here long ago."""
    found = Shares()
    for uid, seconds in ((ALICE, 0.0), (BOB, 1.0)):
        found.begin(uid, 0.0)
        found.charge(uid, seconds, 0.0)
        found.end(uid, 0.0)
    return found


def is_held(shares: Shares, uid: int, now: float) -> bool:
    return shares.standing(now).fresh < shares.used(uid, now)


def is_crowded(shares: Shares, uid: int, now: float) -> bool:
    return shares.standing(now).here < shares.used(uid, now)


def test_one_who_is_alone_is_neither_held_nor_crowded_whatever_they_used(shares: Shares) -> None:
    shares.begin(BOB, HERE)
    assert not is_held(shares, BOB, HERE) and not is_crowded(shares, BOB, HERE)


def test_what_begins_goes_before_whoever_used_more_and_not_the_other_way_round(shares: Shares) -> None:
    shares.begin(BOB, 1.0)
    shares.begin(ALICE, 1.0)
    assert is_held(shares, BOB, 1.0) and not is_held(shares, ALICE, 1.0)


def test_it_goes_before_others_until_it_ends(shares: Shares) -> None:
    shares.begin(BOB, 1.0)
    shares.begin(ALICE, 1.0)
    shares.end(ALICE, 1.001)
    assert not is_held(shares, BOB, 1.001)


def test_what_takes_long_goes_before_others_for_a_moment_only(shares: Shares) -> None:
    shares.begin(BOB, 1.0)
    shares.begin(ALICE, 1.0)
    lapses = shares.standing(1.0).lapses
    assert lapses == 1.0 + FRESH
    assert is_held(shares, BOB, lapses - 1e-6) and not is_held(shares, BOB, lapses + 1e-6)


def test_for_a_while_after_somebody_was_here_it_is_crowded_for_those_who_used_more(shares: Shares) -> None:
    shares.begin(ALICE, 1.0)
    shares.end(ALICE, 1.01)
    shares.begin(BOB, 1.02)
    assert is_crowded(shares, BOB, 1.02) and not is_crowded(shares, ALICE, 1.02)
    assert not is_crowded(shares, BOB, 1.01 + HERE + 1e-6)


def test_what_was_used_is_forgotten_and_then_others_come_later(shares: Shares) -> None:
    shares.charge(ALICE, 0.1, 2.0)
    shares.begin(BOB, 2.0)
    shares.begin(ALICE, 2.0)
    assert is_held(shares, ALICE, 2.0) and not is_held(shares, BOB, 2.0)


def test_what_is_done_for_nobody_who_is_here_comes_last(shares: Shares) -> None:
    shares.charge(CAROL, 1.0, 1.0)
    shares.begin(BOB, 1.0)
    assert shares.used(CAROL, 1.0) == math.inf
    assert is_held(shares, CAROL, 1.0) and is_crowded(shares, CAROL, 1.0)


@given(st.lists(st.tuples(st.sampled_from([ALICE, BOB, CAROL]), st.floats(0.0001, 0.01)), min_size=1, max_size=200))
def test_never_are_all_held(steps: list[tuple[int, float]]) -> None:
    """Whoever has used least goes on, at any time."""
    shares, now, under_way = Shares(), 0.0, []
    for uid, seconds in steps:
        now += seconds / 2
        shares.begin(uid, now)
        under_way.append(uid)
        shares.charge(uid, seconds, now)
        if len(under_way) > 4:
            shares.end(under_way.pop(0), now)
        assert not all(is_held(shares, one, now) for one in set(under_way))


def test_of_two_floods_each_gets_half_of_the_work() -> None:
    shares = Shares()
    worked = {ALICE: 0.0, BOB: 0.0}
    now = 0.0
    for _ in range(5000):
        for uid in worked:
            shares.begin(uid, now)
        goes = next(uid for uid in worked if not is_held(shares, uid, now))
        cost = 0.003 if goes == BOB else 0.001
        now += cost
        worked[goes] += cost
        shares.charge(goes, cost, now)
        for uid in worked:
            shares.end(uid, now)
    assert worked[ALICE] == pytest.approx(worked[BOB], rel=0.1)
