"""One statement of a blesser, a blessing or a credential: whether it holds, and if not, why. Pure.

docs/spec/authority.md; REQUIREMENTS B3, B8, B11, B20.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import Protocol

from commonhold.authority import times
from commonhold.authority.lists import Lists
from commonhold.authority.trust import Rule
from commonhold.crypto import sign
from commonhold.formats.keys import PublicKey
from commonhold.formats.pin import GridId, SpkiPin
from commonhold.formats.statement import Statement


class Reason(Enum):
    """How a statement stands, or why somebody is refused."""

    HOLDS = "holds"
    UNREADABLE = "unreadable"
    OTHER_SERVER = "another server's"
    OTHER_PURPOSE = "for another purpose"
    OTHER_GRID = "of another grid"
    UNKNOWN_BLESSER = "by an unknown blesser"
    FORGED = "not signed by its key"
    NO_MINT = "signed by a key that its blesser's list does not have"
    REVOKED = "revoked"
    EARLY = "not yet valid"
    EXPIRED = "expired"
    STALE = "beside a stale revocation list"
    CLASS = "without a class that is wanted"
    TOO_FEW = "too few blessers agree"
    NONCE = "no nonce of this door"
    CONNECTION = "signed for another connection"
    CLOCK = "signed at another time"
    OTHER_CLIENT = "another client's"
    WARRANT = "a warrant that does not hold"


_GENUINE = frozenset(
    (Reason.HOLDS, Reason.REVOKED, Reason.EARLY, Reason.EXPIRED, Reason.STALE, Reason.CLASS)
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Seen:
    """A statement that was looked at. `blesser` is the key that it names, and that signed it if it is `genuine`.

    `end`: the first second at which it holds no more; `fresh_end`: at which its revocation list is stale, or None where
    that is not asked for, or is so already.
    """

    reason: Reason
    said: str
    blesser: PublicKey | None = None
    serial: int | None = None
    end: int = 0
    fresh_end: int | None = None
    classes: frozenset[str] = frozenset()

    @property
    def genuine(self) -> bool:
        """Whether a blesser who counts did sign it, for whom and what it is shown, though it may not hold now."""
        return self.reason in _GENUINE

    @property
    def until(self) -> int:
        """The first second at which it counts no more, if nothing newer comes."""
        return self.end if self.fresh_end is None else min(self.end, self.fresh_end)

    def __str__(self) -> str:
        if self.blesser is None:
            return self.said
        return f"{self.serial} by {GridId(self.blesser)}: {self.said}"


class Claim(Protocol):
    """What blessings and credentials have in common."""

    @property
    def grid(self) -> GridId: ...
    @property
    def server(self) -> SpkiPin: ...
    @property
    def not_before(self) -> int: ...
    @property
    def not_after(self) -> int: ...
    @property
    def serial(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Ground:
    """By what a statement is judged: whom it has to be about, whose word counts, what is revoked, and the time."""

    server: SpkiPin
    grid: GridId
    rule: Rule
    lists: Lists
    now: int


def judge(ground: Ground, statement: Statement, claim: Claim, classes: frozenset[str] = frozenset()) -> Seen:
    """Return how a statement stands. Only who could count is worth the work of verifying a signature."""
    genuine = partial(sign.verify, statement.key, statement.message, statement.signature)
    return judge_said(ground, statement.key, claim, genuine, classes)


def judge_said(
    ground: Ground, key: PublicKey, claim: Claim, genuine: Callable[[], bool], classes: frozenset[str] = frozenset()
) -> Seen:
    """The same, of what a blesser's key has said in whatever form; `genuine` tells whether it did."""

    def seen(reason: Reason, said: str, fresh_end: int | None = None) -> Seen:
        end = times.end(claim.not_after)
        return Seen(reason, said, key, claim.serial, end, fresh_end, classes)

    if claim.server != ground.server:
        return seen(Reason.OTHER_SERVER, f"another server's: {claim.server}")
    if claim.grid != ground.grid:
        return seen(Reason.OTHER_GRID, f"of another grid: {claim.grid}")
    if key not in ground.rule.blessers:
        return seen(Reason.UNKNOWN_BLESSER, "by a blesser whose word does not count here")
    if not genuine():
        return seen(Reason.FORGED, "its signature is wrong")
    if ground.lists.revoked(key, claim.grid, claim.serial):
        return seen(Reason.REVOKED, f"revoked: its blesser's list names {claim.serial}")
    if not times.begun(claim.not_before, ground.now):
        return seen(Reason.EARLY, f"not valid before {times.shown(claim.not_before)}")
    if ground.now >= times.end(claim.not_after):
        return seen(Reason.EXPIRED, f"expired at {times.shown(claim.not_after)}")
    if not ground.rule.classes <= classes:
        return seen(Reason.CLASS, f"it says nothing of {', '.join(sorted(ground.rule.classes - classes))}")
    fresh_end = ground.lists.fresh_end(key, claim.grid, ground.now) if ground.rule.fresh else None
    if ground.rule.fresh and fresh_end is None:
        return seen(Reason.STALE, _stale(ground, key))
    return seen(Reason.HOLDS, f"valid until {times.shown(claim.not_after)}", fresh_end)


def _stale(ground: Ground, blesser: PublicKey) -> str:
    newest = ground.lists.newest(blesser, ground.grid)
    if newest is None:
        return "no revocation list of its blesser has come yet"
    if ground.lists.contradicted(blesser, ground.grid):
        return f"its blesser signed two revocation lists of number {newest.sequence} that differ"
    if not times.begun(newest.issued, ground.now):
        return f"its blesser's revocation list is of {times.shown(newest.issued)}: one of the clocks is wrong"
    return f"its blesser's revocation list was fresh until {times.shown(newest.fresh_until)}, and no newer one came"
