"""The newest revocation list of each blesser: who is taken back, and whether that is still known. Pure.

A list never gives way to an older one. Two of one sequence that differ are two truths of one blesser: what either names
is revoked, and neither is fresh, until a greater sequence comes. docs/spec/authority.md; REQUIREMENTS B8.
"""

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from commonhold.authority import times
from commonhold.crypto.statements import verified
from commonhold.formats import revocations
from commonhold.formats.blinded import Mint, MintId
from commonhold.formats.keys import PublicKey
from commonhold.formats.pin import GridId
from commonhold.formats.revocations import Revocations
from commonhold.formats.statement import Kind


class Taken(Enum):
    """What became of a list that came."""

    NEWER = "newer than what was known"
    SAME = "known already"
    OLDER = "older than what is known: somebody sends back what has been replaced"
    CONTRADICTS = "of the same number as one that says something else: the blesser's key is in two hands"
    STRANGE = "of a blesser or a grid that nothing here depends on"


@dataclass(frozen=True, slots=True)
class _Heard:
    data: bytes
    body: bytes
    said: Revocations
    mints: dict[MintId, Mint]


class Lists:
    """The lists of those who are watched, and of nobody else."""

    def __init__(self, watched: Iterable[tuple[PublicKey, GridId]]) -> None:
        self._watched = frozenset(watched)
        self._known: dict[tuple[PublicKey, GridId], tuple[_Heard, ...]] = {}  # one; or two that contradict each other

    def take(self, data: bytes) -> Taken:
        """Judge a list that came, and keep it if it is newer. Malformed for what is none, or not its blesser's."""
        if data in self.kept:  # as most are; reading one takes long
            return Taken.SAME
        statement = verified(Kind.REVOCATIONS, data)
        said = revocations.parse(statement)
        mints = {one.id(statement.key, said.grid): one for one in said.mints}
        heard = _Heard(data, statement.body, said, mints)
        of = (statement.key, said.grid)
        if of not in self._watched:
            return Taken.STRANGE
        known = self._known.get(of)
        if known is None or heard.said.sequence > known[0].said.sequence:
            self._known[of] = (heard,)
            return Taken.NEWER
        if heard.said.sequence < known[0].said.sequence:
            return Taken.OLDER
        if heard.body in [one.body for one in known]:
            return Taken.SAME
        self._known[of] = (known[0], known[1] if len(known) > 1 else heard)
        return Taken.CONTRADICTS

    def newest(self, blesser: PublicKey, grid: GridId) -> Revocations | None:
        """Return the newest list that is known."""
        known = self._known.get((blesser, grid))
        return known[0].said if known else None

    def contradicted(self, blesser: PublicKey, grid: GridId) -> tuple[bytes, bytes] | None:
        """Return the proof that a blesser signed two lists of one sequence."""
        known = self._known.get((blesser, grid), ())
        return (known[0].data, known[1].data) if len(known) > 1 else None

    def revoked(self, blesser: PublicKey, grid: GridId, serial: int) -> bool:
        """Whether a blesser has taken back a serial. A stale list says so, too."""
        return any(_names(one.said, serial) for one in self._known.get((blesser, grid), ()))

    def fresh_end(self, blesser: PublicKey, grid: GridId, now: int) -> int | None:
        """Return the first second at which what is known is stale; None if it is stale now, or nothing is known."""
        known = self._known.get((blesser, grid), ())
        if len(known) != 1 or not times.begun(known[0].said.issued, now):
            return None
        end = times.end(known[0].said.fresh_until)
        return end if now < end else None

    def mints(self, blesser: PublicKey, grid: GridId) -> dict[MintId, Mint]:
        """The keys with which a blesser signs blindly; of two lists that contradict each other what both have."""
        known = self._known.get((blesser, grid), ())
        return {one: mint for one, mint in known[0].mints.items() if one in known[-1].mints} if known else {}

    @property
    def kept(self) -> tuple[bytes, ...]:
        """All lists as they came, to be kept and taken again."""
        return tuple(one.data for known in self._known.values() for one in known)


def _names(said: Revocations, serial: int) -> bool:
    at = bisect_left(said.serials, serial)
    return at < len(said.serials) and said.serials[at] == serial
