"""Entries: what a client signs at a server's door. Pure. docs/spec/door.md.

It names all that makes it of use to nobody else: this door's nonce, this server, this connection, this grid, now.
"""

from dataclasses import dataclass
from typing import Final

from commonhold.formats.pin import GridId, SpkiPin
from commonhold.formats.statement import Fields, Kind, Statement, body


class Nonce(bytes):
    """What a door gives once: 32 random bytes."""

    __slots__ = ()
    LENGTH: Final = 32


@dataclass(frozen=True, slots=True)
class Entry:
    """Signed by an account's key, or by a warrant's holder, to be let in by `connection`; seconds since 1970."""

    nonce: Nonce
    server: SpkiPin
    connection: SpkiPin
    grid: GridId
    time: int

    @property
    def body(self) -> bytes:
        """What is signed of it."""
        return body(
            nonce=bytes(self.nonce), server=bytes(self.server), connection=bytes(self.connection),
            grid=bytes(self.grid), time=self.time,
        )  # fmt: skip


def parse(statement: Statement) -> Entry:
    """Return what a client signed."""
    fields = Fields(Kind.ENTRY, statement.body)
    return Entry(
        fields.exactly("nonce", Nonce.LENGTH, Nonce),
        fields.exactly("server", 32, SpkiPin),
        fields.exactly("connection", 32, SpkiPin),
        fields.exactly("grid", 32, GridId),
        fields.number("time"),
    )
