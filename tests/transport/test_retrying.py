"""When to dial and to ping: never in step, ever longer while it fails, from the start again once it held."""

import random
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonhold.transport.retrying import ANONYMOUS, PING_SECONDS, Pace, Retry

PACE = Pace(spread=5, first=2, longest=100, holds=60)
chances = st.floats(0, 1, exclude_max=True)


def always(chance: float) -> Callable[[], float]:
    return lambda: chance


@given(chances)
def test_waits_double_while_it_fails_up_to_a_longest(chance: float) -> None:
    retry = Retry(PACE, always(chance))
    bases = [2, 4, 8, 16, 32, 64, 100, 100]
    assert [retry.after_failure() for _ in bases] == [base * (0.5 + 0.5 * chance) for base in bases]


@given(st.integers(0, 5000), chances)
def test_no_number_of_failures_makes_a_wait_of_none_or_of_for_ever(failures: int, chance: float) -> None:
    retry = Retry(PACE, always(chance))
    for _ in range(failures):
        retry.after_failure()
    assert 1 <= retry.after_failure() <= 100


def test_a_connection_that_held_makes_failures_forgotten_and_one_that_did_not_is_one_more() -> None:
    retry = Retry(PACE, always(0))
    assert [retry.after_failure(), retry.after_end(59), retry.after_end(59)] == [1, 2, 4]
    assert retry.after_end(60) == 0
    assert retry.after_failure() == 1


@pytest.mark.parametrize("pace", [PACE, ANONYMOUS])
def test_connections_that_begin_or_end_at_one_moment_are_dialled_at_different_ones(pace: Pace) -> None:
    chance = random.Random(1).random
    for wait in (Retry.before_first, lambda retry: retry.after_end(pace.holds)):
        moments = sorted(wait(Retry(pace, chance)) for _ in range(20))
        assert moments[0] >= 0 and moments[-1] <= pace.spread
        assert moments[-1] - moments[0] > pace.spread / 2
        assert max(b - a for a, b in pairwise(moments)) < pace.spread / 2
        assert min(b - a for a, b in pairwise(moments)) > 0


def test_anonymous_clients_spread_their_connections_over_minutes() -> None:
    assert ANONYMOUS.spread >= 120


@given(chances)
def test_pings_are_at_most_one_a_minute(chance: float) -> None:
    assert Retry(PACE, always(chance)).until_ping() >= PING_SECONDS == 60


def test_pings_of_two_connections_do_not_keep_step() -> None:
    chance = random.Random(1).random
    one, other = Retry(PACE, chance), Retry(PACE, chance)
    apart = [sum(one.until_ping() - other.until_ping() for _ in range(10)) for _ in range(5)]
    assert min(abs(seconds) for seconds in apart) > 1
