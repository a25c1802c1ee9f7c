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
from commonhold.formats.keys import PublicKey
from commonhold.formats.pin import GridId
from commonhold.formats.revocations import Revocations
from commonhold.formats.statement import Kind, Statement, decode


class Taken(Enum):
    """What became of a list that came."""

    NEWER = "newer than what was known"
    SAME = "known already"
    OLDER = "older than what is known: somebody sends back what has been replaced"
    CONTRADICTS = "of the same number as one that says something else: the blesser's key is in two hands"
    STRANGE = "of a blesser or a grid that nothing here depends on"


@dataclass(frozen=True, slots=True)
class _Known:
    statement: Statement
    said: Revocations
    twin: Statement | None = None  # of the same sequence, and of another mind
    twins: Revocations | None = None


class Lists:
    """The lists of those who are watched, and of nobody else."""

    def __init__(self, watched: Iterable[tuple[PublicKey, GridId]]) -> None:
        self._watched = frozenset(watched)
        self._known: dict[tuple[PublicKey, GridId], _Known] = {}

    def take(self, data: bytes) -> Taken:
        """Judge a list that came, and keep it if it is newer. Malformed for what is none, or not its blesser's."""
        statement = decode(Kind.REVOCATIONS, data)
        said = revocations.parse(statement)
        of = (statement.key, said.grid)
        known = self._known.get(of)
        if of not in self._watched:
            return Taken.STRANGE
        if known and statement.body in (known.statement.body, known.twin and known.twin.body):
            return Taken.SAME
        verified(Kind.REVOCATIONS, data)
        if known is None or said.sequence > known.said.sequence:
            self._known[of] = _Known(statement, said)
            return Taken.NEWER
        if said.sequence < known.said.sequence:
            return Taken.OLDER
        if known.twin is None:
            self._known[of] = _Known(known.statement, known.said, statement, said)
        return Taken.CONTRADICTS

    def newest(self, blesser: PublicKey, grid: GridId) -> Revocations | None:
        """Return the newest list that is known."""
        known = self._known.get((blesser, grid))
        return known.said if known else None

    def contradicted(self, blesser: PublicKey, grid: GridId) -> tuple[bytes, bytes] | None:
        """Return the proof that a blesser signed two lists of one sequence."""
        known = self._known.get((blesser, grid))
        return (known.statement.encoded, known.twin.encoded) if known and known.twin else None

    def revoked(self, blesser: PublicKey, grid: GridId, serial: int) -> bool:
        """Whether a blesser has taken back a serial. A stale list says so, too."""
        known = self._known.get((blesser, grid))
        return known is not None and any(_names(said, serial) for said in (known.said, known.twins) if said)

    def fresh_end(self, blesser: PublicKey, grid: GridId, now: int) -> int | None:
        """Return the first second at which what is known is stale; None if it is stale now, or nothing is known."""
        known = self._known.get((blesser, grid))
        if known is None or known.twin is not None or not times.begun(known.said.issued, now):
            return None
        end = times.end(known.said.fresh_until)
        return end if now < end else None

    @property
    def kept(self) -> tuple[bytes, ...]:
        """All lists as they came, to be kept and taken again."""
        found = self._known.values()
        return tuple(one.encoded for known in found for one in (known.statement, known.twin) if one)


def _names(said: Revocations, serial: int) -> bool:
    at = bisect_left(said.serials, serial)
    return at < len(said.serials) and said.serials[at] == serial
