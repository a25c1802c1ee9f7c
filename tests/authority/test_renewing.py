"""Renewals come in time, at random, and ever more rarely to who refuses.

REQUIREMENTS D20.
"""

from hypothesis import given
from hypothesis import strategies as st

from commonhold.authority.renewing import FIRST, LONGEST, again, renewal
from tests.authority.parties import DAY, NOW

CHANCE = st.floats(0, 1, exclude_max=True)


@given(life=st.integers(60, 400 * DAY), chance=CHANCE)
def test_what_holds_is_renewed_at_about_two_thirds_of_its_life(life: int, chance: float) -> None:
    assert 0.59 * life - 1 <= renewal(NOW, NOW + life, chance) - NOW <= 0.74 * life + 1


def test_d20_those_who_were_blessed_at_once_do_not_ask_at_once() -> None:
    times = [renewal(NOW, NOW + 30 * DAY, n / 10) for n in range(10)]
    assert times == sorted(set(times)) and times[-1] - times[0] > 3 * DAY


@given(refused=st.integers(1, 10_000), chance=CHANCE)
def test_who_is_refused_waits_longer_each_time_up_to_a_limit(refused: int, chance: float) -> None:
    wait = again(refused, chance)
    assert FIRST // 2 <= wait <= LONGEST and again(refused + 1, chance) >= wait
    assert again(1, chance) <= FIRST and again(20, chance) >= LONGEST // 2
    assert again(2, 0.0) == FIRST
