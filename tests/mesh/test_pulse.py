"""Signs of life: rare, at random times, and missed where they stop."""

import random

from commonhold.mesh.pulse import SIGN, SILENCE, TAKING, WHOLE, Beat, Pulse
from commonhold.transport.exchange import STALL_SECONDS
from commonhold.transport.retrying import PING_SECONDS


def test_an_idle_end_gives_a_sign_of_life_less_than_once_a_minute_and_never_in_step() -> None:
    draw = random.Random(1).random
    pulse, times = Pulse(draw, 0.0), list[float]()
    while len(times) < 200:
        now = pulse.next
        assert pulse.due(now) is Beat.SIGN
        times.append(now)
        pulse.sent(now, False)
        pulse.came(now, True, False)  # the other end is there
    gaps = [b - a for a, b in zip([0.0, *times], times, strict=False)]
    assert min(gaps) >= SIGN[0] > PING_SECONDS and max(gaps) < SIGN[1]
    assert len({round(gap, 3) for gap in gaps}) > 190


def test_a_sign_of_life_comes_before_either_end_gives_up() -> None:
    assert SIGN[1] + 5 <= min(STALL_SECONDS, SILENCE)


def test_no_sign_is_given_where_something_was_sent() -> None:
    pulse = Pulse(lambda: 0.0, 0.0)
    pulse.sent(SIGN[0] - 1, False)
    pulse.came(SIGN[0] - 1, True, False)
    assert pulse.due(SIGN[0] + 1) is None and pulse.due(2 * SIGN[0] - 1) is Beat.SIGN


def test_whoever_says_nothing_for_too_long_is_gone() -> None:
    pulse = Pulse(lambda: 0.5, 0.0)
    pulse.sent(SILENCE - 1, False)
    assert pulse.due(SILENCE - 0.1) is None and pulse.due(SILENCE) is Beat.SILENT


def test_a_message_that_has_begun_comes_to_its_end_in_time_however_its_bytes_drip() -> None:
    pulse = Pulse(lambda: 0.5, 0.0)
    for second in range(0, int(WHOLE), 5):
        pulse.came(float(second), False, True)
    assert pulse.due(WHOLE - 0.1) is None and pulse.due(WHOLE) is Beat.HALTING
    pulse.came(WHOLE, True, False)
    assert pulse.due(WHOLE) is None


def test_each_message_has_its_own_time() -> None:
    pulse = Pulse(lambda: 0.5, 0.0)
    pulse.came(0.0, False, True)
    pulse.came(WHOLE - 1, True, True)  # the end of one, the beginning of the next
    assert pulse.due(WHOLE + 1) is None and pulse.due(2 * WHOLE - 1) is Beat.HALTING


def test_whoever_takes_nothing_is_too_slow_and_whoever_takes_something_is_not() -> None:
    pulse = Pulse(lambda: 0.5, 0.0)
    pulse.waits(0.0)
    pulse.waits(30.0)
    assert pulse.due(TAKING - 0.1) is None and pulse.due(TAKING) is Beat.SLOW
    pulse.sent(TAKING - 1, True)
    assert pulse.due(TAKING) is None and pulse.due(2 * TAKING - 1) is Beat.SLOW
    pulse.sent(2 * TAKING - 2, False)
    pulse.came(2 * TAKING - 2, True, False)
    assert pulse.due(2 * TAKING) is None
