"""When sets are looked after, and what is mended then: decisions, by a clock and draws that are given."""

import itertools
import random

import pytest

from commonhold.erasure.values import DEFAULT, Shape
from commonhold.exchange import tending
from commonhold.exchange.checking import Health
from commonhold.exchange.tending import DAY, LEASE, Care, State
from commonhold.formats.pin import SpkiPin

NOW = 1_900_000_000


def health(*numbers: int, shape: Shape = DEFAULT) -> Health:
    """A pack with these shares, each at a server of its own."""
    return Health(1000, shape, {number: (SpkiPin(bytes([at]) * 32),) for at, number in enumerate(numbers)})


def test_a_set_is_looked_at_about_once_a_day_and_read_about_once_a_month_and_never_in_step() -> None:
    draw = random.Random(1).random
    now, care, looks, deep = NOW, tending.begun(NOW, draw), [], []
    until = NOW + 100 * LEASE
    while now < NOW + 365 * DAY:
        now = care.next
        what = tending.due(care, until, now)
        assert what is not None and tending.due(care, until, now - 1) is None
        looks.append(now)
        if what.deep:
            deep.append(now)
        care = tending.looked(care, (State.WHOLE, ""), what.deep, now, draw)
    steps = [b - a for a, b in itertools.pairwise(looks)]
    assert min(steps) >= 18 * 3600 and max(steps) <= 30 * 3600 and len(set(steps)) > 0.9 * len(steps)
    assert 320 < len(looks) < 410 and 10 <= len(deep) <= 14
    assert len({step // 60 for step in steps}) > 100


def test_leases_are_renewed_when_a_third_of_their_time_is_gone_and_not_before() -> None:
    care = Care(NOW, NOW + DAY)
    for gone, renewed in ((0, False), (29 * DAY, False), (30 * DAY, True), (80 * DAY, True), (91 * DAY, True)):
        what = tending.due(care, NOW + LEASE - gone, NOW)
        assert what is not None and what.until == (NOW + LEASE if renewed else None)


def test_who_can_reach_nobody_tries_less_and_less_often_and_at_least_a_few_times_a_day() -> None:
    draw = random.Random(2).random
    care = Care(NOW, NOW + DAY, NOW - DAY, State.WHOLE)
    waits = []
    for _ in range(30):
        now = care.next
        care = tending.unreached(care, "no server can be reached", now, draw)
        waits.append(care.next - now)
    assert 450 <= waits[0] <= 1350 and all(3 * 3600 <= wait <= 9 * 3600 for wait in waits[8:])
    assert (care.looked, care.state, care.failures) == (NOW - DAY, State.WHOLE, 30)
    care = tending.looked(care, (State.WHOLE, ""), False, NOW, draw)
    assert care.failures == 0 and care.said == ""


def test_a_moment_that_a_wrong_clock_has_written_is_not_waited_for() -> None:
    assert tending.due(Care(NOW + 400 * DAY, NOW), NOW + LEASE, NOW) is not None
    assert tending.due(Care(NOW + DAY, NOW), NOW + LEASE, NOW) is None


@pytest.mark.parametrize(
    ("there", "away", "mended"),
    [
        ((0, 1, 2, 3, 4), 0, False),
        ((0, 1, 2, 3), 0, True),  # nobody is away who could have it
        ((0, 1, 2, 3), 1, False),  # waited for
        ((0, 1, 2), 2, True),  # one more, and it is lost
        ((0, 1, 2, 3), 2, False),
        ((0, 1), 3, False),  # nothing to read it from
    ],
)
def test_what_a_server_that_is_away_may_have_is_waited_for_while_there_is_one_to_spare(
    there: tuple[int, ...], away: int, mended: bool
) -> None:
    assert tending.to_mend(health(*there), away) is mended


def test_a_set_is_as_its_worst_pack() -> None:
    whole, readable, lost = health(0, 1, 2, 3, 4), health(0, 1, 2), health(0, 1)
    assert tending.state_of([whole, whole]) is State.WHOLE
    assert tending.state_of([whole, readable]) is State.READABLE
    assert tending.state_of([lost, readable, whole]) is State.MISSING


def test_it_is_told_when_a_set_is_damaged_or_was_not_looked_at_for_a_week() -> None:
    good = Care(NOW, NOW, NOW - DAY, State.WHOLE)
    assert tending.wrong(good, NOW - 50 * DAY, NOW) is None
    assert tending.wrong(None, NOW - DAY, NOW) is None
    assert "9 days" in str(tending.wrong(None, NOW - 9 * DAY, NOW))
    stale = Care(NOW, NOW, NOW - 8 * DAY, State.WHOLE, "no server can be reached", 40)
    assert "8 days: no server can be reached" in str(tending.wrong(stale, NOW - 50 * DAY, NOW))
    assert "cannot be read" in str(tending.wrong(Care(NOW, NOW, NOW, State.MISSING), NOW, NOW))
    assert "missing: s0 is away" in str(tending.wrong(Care(NOW, NOW, NOW, State.READABLE, "s0 is away"), NOW, NOW))


def test_what_a_clock_that_was_wrong_has_written_is_not_believed() -> None:
    """Else leases would never be renewed until that time has come, nor a set read."""
    later = NOW + 3650 * DAY
    for care, until in (
        (Care(later, NOW + DAY), NOW + LEASE),
        (Care(NOW, later), NOW + LEASE),
        (Care(NOW, NOW), later),
    ):
        what = tending.due(care, until, NOW)
        assert what is not None
        assert (what.until is None) == (until != later) and what.deep == (care.deep_due in (NOW, later))
    assert tending.turn(Care(later, later), NOW) == NOW and tending.turn(Care(NOW + DAY, later), NOW) == NOW + DAY


def test_who_is_away_is_waited_for_three_days_and_not_from_a_time_to_come() -> None:
    assert tending.waits(NOW, NOW) and tending.waits(NOW - 3 * DAY + 1, NOW) and tending.waits(NOW + 60, NOW)
    assert not tending.waits(NOW - 3 * DAY, NOW) and not tending.waits(NOW + 3650 * DAY, NOW)
