"""Whom to believe is said for each purpose and grid, and what could mean two things is refused.

REQUIREMENTS B10, B16, B30, B31.
"""

import pytest

from commonhold.authority.trust import MAX_BLESSERS, Grid, Rule, Trust, Wanted, of_its_blesser
from commonhold.formats.blessing import BLESSER, INTRODUCER, STORAGE, Purpose
from commonhold.formats.keys import PublicKey
from commonhold.formats.malformed import Malformed
from commonhold.formats.pin import parse_grid
from tests.authority.parties import grid, public, rule


def test_b31_a_grid_s_id_alone_says_whom_to_believe() -> None:
    found = of_its_blesser(parse_grid(str(grid("blesser"))))
    assert {found.rules[purpose].blessers for purpose in (STORAGE, INTRODUCER, BLESSER)} == {
        frozenset((public("blesser"),))
    }


def test_b30_several_grids_take_the_explicit_word() -> None:
    two = (of_its_blesser(grid("blesser")), of_its_blesser(grid("test")))
    with pytest.raises(Malformed, match="several"):
        Trust(two)
    assert Trust(two, several=True).grid(grid("test")) == two[1]
    assert Trust(two[:1]).grid(grid("test")) is None


@pytest.mark.parametrize("grids", [(), (of_its_blesser(grid()),) * 2])
def test_grids_are_named_once_and_there_is_one(grids: tuple[Grid, ...]) -> None:
    with pytest.raises(Malformed):
        Trust(grids, several=True)


def test_there_is_a_limit_of_grids_and_purposes() -> None:
    assert Trust(tuple(of_its_blesser(grid(str(n))) for n in range(16)), several=True)
    with pytest.raises(Malformed):
        Trust(tuple(of_its_blesser(grid(str(n))) for n in range(17)), several=True)
    with pytest.raises(Malformed):
        Grid(grid(), {Purpose(f"p{n}"): rule() for n in range(33)})


@pytest.mark.parametrize(("names", "needed"), [((), 1), (("a",), 0), (("a",), 2), (("a", "b"), -1)])
def test_a_rule_that_nobody_could_meet_or_everybody_would_is_refused(names: tuple[str, ...], needed: int) -> None:
    with pytest.raises(Malformed):
        Rule(frozenset(public(name) for name in names), needed)


def test_a_rule_has_limits() -> None:
    many = [PublicKey(n.to_bytes(32, "big")) for n in range(MAX_BLESSERS + 1)]
    assert Rule(frozenset(many[1:]), MAX_BLESSERS)
    for refused in ({"blessers": frozenset(many)}, {"classes": frozenset("abcdefghi")}, {"classes": frozenset(("A",))}):
        with pytest.raises(Malformed):
            Rule(**{"blessers": frozenset(many[:1])} | refused)


def test_b10_what_introducers_are_asked_for_is_purposes_and_blessers() -> None:
    trust = Trust((Grid(grid(), {STORAGE: rule("a", "b"), INTRODUCER: rule("c")}),))
    assert set(trust.wanted) == {
        Wanted(grid(), STORAGE, rule("a", "b").blessers),
        Wanted(grid(), INTRODUCER, rule("c").blessers),
    }
    assert trust.watched == {(public(name), grid()) for name in "abc"}
