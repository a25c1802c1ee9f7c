"""Looking for what comes next before sleeping until it comes: only where it comes within moments."""

import pytest

from commonhold.host.busypoll import SECONDS, BusyPoll


class Loop:
    """What comes, and when; to look takes a microsecond."""

    def __init__(self, cores: int = 4) -> None:
        self.now = 0.0
        self.comes = 0.0
        self.looked = 0
        self.slept = 0
        self.poll = BusyPoll(cores, lambda: self.now)

    def look(self) -> str | None:
        self.looked += 1
        self.now += 1e-6
        return "found" if self.now >= self.comes else None

    def sleep(self) -> str:
        self.slept += 1
        self.now = max(self.now, self.comes)
        return "woken"

    def wait(self, seconds: float) -> str:
        """Wait for what comes in so many seconds."""
        self.comes = self.now + seconds
        self.looked = 0
        return self.poll.wait(self.look, self.sleep)


def test_what_is_there_is_found_at_once() -> None:
    loop = Loop()
    assert [loop.wait(0) for _ in range(3)] == ["found"] * 3 and loop.looked == 1


def test_who_is_asked_within_moments_looks_instead_of_sleeping() -> None:
    loop = Loop()
    assert [loop.wait(SECONDS / 2) for _ in range(4)] == ["woken", "found", "found", "found"]
    assert loop.slept == 1 and loop.looked > 10


def test_who_waits_for_long_sleeps_at_once_from_then_on() -> None:
    loop = Loop()
    for _ in range(3):
        loop.wait(SECONDS / 2)
    assert loop.wait(1.0) == "woken" and loop.looked > 10  # for the last time
    for _ in range(3):
        assert loop.wait(SECONDS * 2) == "woken" and loop.looked == 1


def test_nothing_found_is_not_the_same_as_nothing_yet() -> None:
    poll = BusyPoll(4)
    assert poll.wait(lambda: 0, lambda: 1) == 0


@pytest.mark.parametrize("cores", [1, 2])
def test_where_cores_are_few_everybody_sleeps(cores: int) -> None:
    loop = Loop(cores)
    assert [loop.wait(SECONDS / 2) for _ in range(3)] == ["woken"] * 3 and loop.looked == 1
