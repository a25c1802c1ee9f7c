"""Whom to believe: for each purpose in each grid whose blessings count, and how many of them it takes. Pure.

docs/spec/authority.md; REQUIREMENTS B16, B22, B28-B32.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from commonhold.formats.blessing import BLESSER, INTRODUCER, MAX_CLASSES, STORAGE, Purpose, word
from commonhold.formats.keys import PublicKey
from commonhold.formats.malformed import Malformed
from commonhold.formats.pin import GridId

MAX_BLESSERS: Final = 64
MAX_GRIDS: Final = 16
MAX_PURPOSES: Final = 32


@dataclass(frozen=True, slots=True)
class Rule:
    """Whose word counts, and how many must agree: one of them is enough, unless more are `needed`.

    `classes` are those that a server must be blessed with, all of them. `fresh`: a word counts only beside a revocation
    list of the same blesser that is not stale, so that whoever withholds one gains no time.
    """

    blessers: frozenset[PublicKey]
    needed: int = 1
    classes: frozenset[str] = frozenset()
    fresh: bool = True

    def __post_init__(self) -> None:
        if not 0 < len(self.blessers) <= MAX_BLESSERS:
            raise Malformed("trust", f"{len(self.blessers)} blessers, not 1 to {MAX_BLESSERS}")
        if not 0 < self.needed <= len(self.blessers):
            raise Malformed("trust", f"{self.needed} of {len(self.blessers)} blessers can never agree")
        if len(self.classes) > MAX_CLASSES:
            raise Malformed("trust", f"{len(self.classes)} classes, the limit is {MAX_CLASSES}")
        for text in self.classes:
            word("class", text)


@dataclass(frozen=True, slots=True)
class Grid:
    """A grid that is taken part in: for each purpose of a server the rule. A purpose without one is nobody's."""

    id: GridId
    rules: Mapping[Purpose, Rule]

    def __post_init__(self) -> None:
        if len(self.rules) > MAX_PURPOSES:
            raise Malformed("trust", f"{len(self.rules)} purposes, the limit is {MAX_PURPOSES}")


def of_its_blesser(grid: GridId) -> Grid:
    """Return the grid as its id alone has it: the key that it is blesses for all known purposes."""
    rule = Rule(frozenset((grid.blesser,)))
    return Grid(grid, {STORAGE: rule, INTRODUCER: rule, BLESSER: rule})


class Wanted(NamedTuple):
    """What introducers are asked to pass on. What they send is judged no less for it."""

    grid: GridId
    purpose: Purpose
    blessers: frozenset[PublicKey]


@dataclass(frozen=True, slots=True)
class Trust:
    """All that a client believes. More than one grid takes the explicit word that `several` are meant."""

    grids: tuple[Grid, ...]
    several: bool = False

    def __post_init__(self) -> None:
        if not 0 < len(self.grids) <= MAX_GRIDS or len({grid.id for grid in self.grids}) != len(self.grids):
            raise Malformed("trust", f"not 1 to {MAX_GRIDS} grids, each named once")
        if len(self.grids) > 1 and not self.several:
            raise Malformed("trust", f"{len(self.grids)} grids, though it does not say that several are meant")

    def grid(self, wanted: GridId) -> Grid | None:
        """Return the grid of an id, if it is taken part in."""
        return next((grid for grid in self.grids if grid.id == wanted), None)

    @property
    def wanted(self) -> tuple[Wanted, ...]:
        """What to ask introducers for."""
        return tuple(
            Wanted(grid.id, purpose, rule.blessers) for grid in self.grids for purpose, rule in grid.rules.items()
        )

    @property
    def watched(self) -> frozenset[tuple[PublicKey, GridId]]:
        """Whose revocation lists matter."""
        return frozenset((blesser, wanted.grid) for wanted in self.wanted for blesser in wanted.blessers)
