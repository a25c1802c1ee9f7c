"""A door's nonce is given once, to one connection, and is soon worth nothing.

REQUIREMENTS B21.
"""

import hashlib

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from commonhold.authority.nonces import LIFE, OF_CONNECTION, Given, Nonces
from commonhold.formats.entry import Nonce
from tests.authority.parties import NOW, pin

LINE, OTHER = pin("line"), pin("other line")


def nonce(number: int) -> Nonce:
    return Nonce(hashlib.sha256(b"%d" % number).digest())


def test_b21_a_nonce_is_taken_once() -> None:
    nonces = Nonces()
    given = nonces.give(nonce(1), LINE, NOW)
    assert given == Given(nonce(1), LINE, NOW)
    assert nonces.use(nonce(1), LINE, NOW + 1) == given
    assert nonces.use(nonce(1), LINE, NOW + 1) is None and len(nonces) == 0


def test_b21_another_connection_can_neither_use_nor_spend_a_nonce() -> None:
    nonces = Nonces()
    nonces.give(nonce(1), LINE, NOW)
    assert nonces.use(nonce(1), OTHER, NOW) is None
    assert nonces.use(nonce(1), LINE, NOW) is not None


def test_a_nonce_that_was_never_given_is_none() -> None:
    assert Nonces().use(nonce(1), LINE, NOW) is None


def test_b21_a_nonce_expires() -> None:
    for late, good in ((LIFE - 1, True), (LIFE, False), (-1, False)):
        nonces = Nonces()
        nonces.give(nonce(1), LINE, NOW)
        assert (nonces.use(nonce(1), LINE, NOW + late) is not None) is good
        assert len(nonces) == 0


def test_who_asks_too_often_loses_the_oldest_and_nobody_else_s() -> None:
    nonces = Nonces()
    nonces.give(nonce(0), OTHER, NOW)
    for number in range(1, OF_CONNECTION + 2):
        assert nonces.give(nonce(number), LINE, NOW)
    assert len(nonces) == OF_CONNECTION + 1 and nonces.use(nonce(1), LINE, NOW) is None
    assert nonces.use(nonce(2), LINE, NOW) and nonces.use(nonce(0), OTHER, NOW)


def test_a_full_door_gives_none_until_the_oldest_expire() -> None:
    nonces = Nonces(in_all=3)
    for number in range(3):
        assert nonces.give(nonce(number), pin(f"line {number}"), NOW + number)
    assert nonces.give(nonce(9), LINE, NOW + 3) is None
    assert nonces.give(nonce(0), LINE, NOW + LIFE) is not None and len(nonces) == 3


def test_numbers_that_are_not_random_are_not_given_twice() -> None:
    nonces = Nonces()
    assert nonces.give(nonce(1), LINE, NOW)
    assert nonces.give(nonce(1), OTHER, NOW) is None and nonces.use(nonce(1), LINE, NOW)


def test_a_connection_that_ends_takes_its_nonces_along() -> None:
    nonces = Nonces()
    for number, line in enumerate((LINE, OTHER, LINE)):
        nonces.give(nonce(number), line, NOW)
    nonces.left(LINE)
    nonces.left(LINE)
    assert len(nonces) == 1 and nonces.use(nonce(1), OTHER, NOW)


class Doors(RuleBasedStateMachine):
    """Beside a list of who was given what, and when."""

    def __init__(self) -> None:
        super().__init__()
        self.nonces = Nonces(in_all=6)
        self.model: list[Given] = []
        self.now, self.number = NOW, 0

    @rule(seconds=st.integers(0, LIFE))
    def wait(self, seconds: int) -> None:
        self.now += seconds

    @rule(line=st.integers(0, 3))
    def give(self, line: int) -> None:
        self.number += 1
        self.model = [given for given in self.model if self.now - given.at < LIFE]
        mine = [given for given in self.model if given.connection == pin(f"{line}")]
        found = self.nonces.give(nonce(self.number), pin(f"{line}"), self.now)
        if len(mine) == OF_CONNECTION:
            self.model.remove(mine[0])
        assert (found is None) is (len(self.model) >= 6)
        if found:
            self.model.append(found)

    @precondition(lambda self: self.number)
    @rule(back=st.integers(0, 7), line=st.integers(0, 3))
    def use(self, back: int, line: int) -> None:
        number = max(1, self.number - back)
        expected = [g for g in self.model if g.nonce == nonce(number) and g.connection == pin(f"{line}")]
        found = self.nonces.use(nonce(number), pin(f"{line}"), self.now)
        assert found == next((given for given in expected if self.now - given.at < LIFE), None)
        self.model = [given for given in self.model if given not in expected]

    @rule(line=st.integers(0, 3))
    def leave(self, line: int) -> None:
        self.nonces.left(pin(f"{line}"))
        self.model = [given for given in self.model if given.connection != pin(f"{line}")]

    @invariant()
    def no_more_than_may_be(self) -> None:
        assert len(self.nonces) <= 6


TestDoors = Doors.TestCase
