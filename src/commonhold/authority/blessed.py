"""Whether a server is blessed: may anything be put there, may anything be read from there. Pure.

These are two questions. A lost blessing ends the first and never the second: what is read is checked by its hash.
docs/spec/authority.md; REQUIREMENTS B3, B11, B16, B17, B29, B32, B35.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from commonhold.authority import times
from commonhold.authority.judging import Ground, Reason, Seen, judge
from commonhold.authority.lists import Lists
from commonhold.authority.trust import Rule, Trust
from commonhold.formats import blessing
from commonhold.formats.announcement import Announcement
from commonhold.formats.blessing import Purpose
from commonhold.formats.keys import PublicKey
from commonhold.formats.malformed import Malformed
from commonhold.formats.pin import GridId, SpkiPin
from commonhold.formats.statement import Kind, decode

MAX_BLESSINGS: Final = 64  # of one server, from all sources together
_LEAVING: Final = "it says that it is being emptied: nothing new goes there, and what is there is moved to others"
_TO_COME: Final = (Reason.HOLDS, Reason.EARLY, Reason.STALE)  # holds, or will without another blessing


@dataclass(frozen=True, slots=True)
class Candidate:
    """A server that could be used for a purpose, and the blessings that speak for it, encoded and unread.

    `held`: shares of one's own were put there before, as one's own records say. `leaving`: it says of itself that it
    is being emptied.
    """

    server: SpkiPin
    grid: GridId
    purpose: Purpose
    blessings: tuple[bytes, ...]
    held: bool = False
    leaving: bool = False

    def __post_init__(self) -> None:
        if len(self.blessings) > MAX_BLESSINGS:
            raise Malformed("candidate", f"{len(self.blessings)} blessings, the limit is {MAX_BLESSINGS}")


def announced(announcement: Announcement) -> Candidate:
    """Return who is announced. Addresses are no part of it: who a server is does not depend on how it is reached."""
    said = announcement
    return Candidate(said.server, said.grid, said.purpose, said.blessings, leaving=said.leaving)


@dataclass(frozen=True, slots=True)
class Verdict:
    """An answer, in words (`said`) and as values: by whose word, and how each blessing stands.

    `until`: the first second at which the answer is no, if nothing newer comes; None: there is no end to it, or it is
    no now. `classes` are those that as many blessers as are needed agree on. `leaving`: of an upload, what is kept
    there is to be moved: it says that it is being emptied, or its blessing was taken back and no other will do.
    """

    allowed: bool
    said: str
    by: tuple[PublicKey, ...] = ()
    until: int | None = None
    classes: frozenset[str] = frozenset()
    seen: tuple[Seen, ...] = ()
    leaving: bool = False

    @property
    def lines(self) -> list[str]:
        """All of it for people, the answer first."""
        return [self.said, *(f"blessing {one}" for one in self.seen)]


def may_upload(candidate: Candidate, trust: Trust, lists: Lists, now: int) -> Verdict:
    """Whether anything may be put at a server: blessings by as many blessers as are needed hold, and it is not leaving.

    Of one that is blessed and leaving `by` and `classes` are said all the same.
    """
    found = _seen(candidate, trust, lists, now)
    if isinstance(found, str):
        return Verdict(False, found, leaving=candidate.leaving)
    upload = _upload(candidate, *found)
    if upload.allowed and candidate.leaving:
        return replace(upload, allowed=False, said=_LEAVING, until=None, leaving=True)
    return replace(upload, leaving=candidate.leaving or upload.leaving)


def may_read(candidate: Candidate, trust: Trust, lists: Lists, now: int) -> Verdict:
    """Whether anything may be asked of a server: one who counts has blessed it, or one's own shares are there.

    A blessing that expired, was revoked or cannot be told from a revoked one is enough; a stranger's is not.
    """
    found = _seen(candidate, trust, lists, now)
    if isinstance(found, str):
        if candidate.held and trust.grid(candidate.grid):
            return Verdict(True, f"not blessed for {candidate.purpose}; read from, as shares of yours are there")
        return Verdict(False, found)
    upload = _upload(candidate, *found)
    if upload.allowed:
        return Verdict(True, upload.said, upload.by, None, upload.classes, upload.seen)
    genuine = tuple(one.blesser for one in upload.seen if one.genuine and one.blesser)
    if genuine:
        return Verdict(True, f"{upload.said}; read from, as it was blessed", genuine, None, seen=upload.seen)
    if candidate.held:
        return Verdict(True, f"{upload.said}; read from, as shares of yours are there", seen=upload.seen)
    return Verdict(False, upload.said, seen=upload.seen)


def _upload(candidate: Candidate, rule: Rule, seen: tuple[Seen, ...]) -> Verdict:
    best = _best(seen)
    if len(best) < rule.needed:
        return Verdict(False, _refused(candidate, rule, seen, len(best)), seen=seen, leaving=_revoked(rule, seen))
    until = best[rule.needed - 1].until
    by = tuple(one.blesser for one in best if one.blesser)
    classes = frozenset(
        name for one in best for name in one.classes if sum(name in other.classes for other in best) >= rule.needed
    )
    known = f", as {', '.join(sorted(classes))}" if classes else ""
    names = ", ".join(str(GridId(key)) for key in by)
    said = f"blessed for {candidate.purpose} until {times.shown(until)} by {names}{known}"
    return Verdict(True, said, by, until, classes, seen)


def _seen(candidate: Candidate, trust: Trust, lists: Lists, now: int) -> tuple[Rule, tuple[Seen, ...]] | str:
    """Return by which rule a server is judged, and how its blessings stand; or why there is no rule."""
    grid = trust.grid(candidate.grid)
    if grid is None:
        return f"of grid {candidate.grid}, which is not taken part in"
    rule = grid.rules.get(candidate.purpose)
    if rule is None:
        return f"for {candidate.purpose}: nobody is trusted to bless for that"
    ground = Ground(candidate.server, candidate.grid, rule, lists, now)
    return rule, tuple(_one(candidate, ground, data) for data in dict.fromkeys(candidate.blessings))


def _one(candidate: Candidate, ground: Ground, data: bytes) -> Seen:
    try:
        statement = decode(Kind.BLESSING, data)
        claim = blessing.parse(statement)
    except Malformed as error:
        return Seen(Reason.UNREADABLE, str(error))
    if claim.purpose != candidate.purpose:
        said = f"for another purpose: {claim.purpose}"
        return Seen(Reason.OTHER_PURPOSE, said, statement.key, claim.serial)
    return judge(ground, statement, claim, frozenset(claim.classes))


def _best(seen: Sequence[Seen]) -> list[Seen]:
    """Of each blesser the blessing that holds longest; whose lasts longest first."""
    holding = sorted((one for one in seen if one.reason is Reason.HOLDS), key=lambda one: one.until, reverse=True)
    best: dict[PublicKey | None, Seen] = {}
    for one in holding:
        best.setdefault(one.blesser, one)
    return list(best.values())


def _revoked(rule: Rule, seen: Sequence[Seen]) -> bool:
    """Whether a blessing was taken back, and those that are left will not do, whatever list or hour comes."""
    left = {one.blesser for one in seen if one.reason in _TO_COME}
    return len(left) < rule.needed and any(one.reason is Reason.REVOKED for one in seen)


def _refused(candidate: Candidate, rule: Rule, seen: Sequence[Seen], count: int) -> str:
    if not seen:
        return f"not blessed for {candidate.purpose}: it shows no blessing"
    if count:
        return f"not blessed for {candidate.purpose}: {count} of the {rule.needed} blessers that are needed agree"
    reasons = ", ".join(dict.fromkeys(one.reason.value for one in seen))
    return f"not blessed for {candidate.purpose}: of {len(seen)} blessings none holds ({reasons})"
