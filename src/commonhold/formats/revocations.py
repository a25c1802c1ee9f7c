"""Revocation lists: what a blesser has taken back, and which keys it signs with blindly. Pure. docs/spec/statement.md.

A list is whole: what is not on the newest is not revoked, and a mint that is not there is none. After `fresh_until` it
says nothing any more, so that whoever withholds the next one gains no time by it.
"""

from dataclasses import dataclass
from typing import Final

from commonhold.formats import blinded
from commonhold.formats.blinded import MAX_MINT, MAX_MINTS, Mint
from commonhold.formats.pin import GridId
from commonhold.formats.statement import Fields, Kind, Statement, body

MAX_SERIALS: Final = 100_000


@dataclass(frozen=True, slots=True)
class Revocations:
    """What one blesser has revoked in one grid; times in seconds since 1970. The greatest `sequence` is the newest."""

    grid: GridId
    sequence: int
    issued: int
    fresh_until: int
    serials: tuple[int, ...]
    mints: tuple[Mint, ...] = ()

    @property
    def body(self) -> bytes:
        """What is signed of it."""
        return body(
            grid=bytes(self.grid), sequence=self.sequence, issued=self.issued, fresh_until=self.fresh_until,
            serials=list(self.serials), mints=[one.encoded for one in self.mints] or None,
        )  # fmt: skip


def parse(statement: Statement) -> Revocations:
    """Return what a revocation list says."""
    fields = Fields(Kind.REVOCATIONS, statement.body)
    found = Revocations(
        fields.exactly("grid", 32, GridId),
        fields.number("sequence"),
        fields.number("issued"),
        fields.number("fresh_until"),
        fields.ascending("serials", MAX_SERIALS),
        tuple(map(blinded.parse_mint, fields.several("mints", MAX_MINTS, MAX_MINT))) if fields.has("mints") else (),
    )
    if len({blinded.spot(one) for one in found.mints}) != len(found.mints):
        raise fields.refuse("two mints of one period and denomination: who has which could be told apart by it")
    if found.issued >= found.fresh_until:
        raise fields.refuse("it was stale when it was issued")
    return found
