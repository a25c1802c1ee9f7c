"""Announcements: what a server says of itself, for anybody to pass on. Pure. docs/spec/statement.md.

What it says is believed of nothing but its own addresses: that a server may be used is a blessing's word.
"""

from dataclasses import dataclass
from typing import Final

from commonhold.formats.blessing import MAX_WORD, Purpose, word
from commonhold.formats.pin import GridId, SpkiPin, pin_of
from commonhold.formats.statement import Fields, Kind, Statement, body

MAX_ADDRESSES: Final = 16
MAX_ADDRESS: Final = 300
MAX_BLESSINGS: Final = 8
MAX_NAME: Final = 64


@dataclass(frozen=True, slots=True)
class Announcement:
    """One server's, for one purpose in one grid, until `not_after` (seconds since 1970).

    `addresses` are hints as texts, of which some may be of kinds that are not known yet; `blessings` are encoded
    statements, unread; `name` is how its owner calls it, and proves nothing. `leaving`: it is being emptied, so that
    nothing new goes there, and what is there is moved.
    """

    grid: GridId
    purpose: Purpose
    server: SpkiPin
    addresses: tuple[str, ...]
    sequence: int
    not_after: int
    blessings: tuple[bytes, ...] = ()
    name: str = ""
    leaving: bool = False

    @property
    def body(self) -> bytes:
        """What is signed of it."""
        return body(
            grid=bytes(self.grid), purpose=str(self.purpose), server=bytes(self.server),
            addresses=list(self.addresses), sequence=self.sequence, not_after=self.not_after,
            blessings=list(self.blessings), name=self.name or None, leaving=self.leaving or None,
        )  # fmt: skip


def parse(statement: Statement) -> Announcement:
    """Return what an announcement says. Malformed unless it is signed for the server that it names, by its own key."""
    fields = Fields(Kind.ANNOUNCEMENT, statement.body)
    server = fields.exactly("server", 32, SpkiPin)
    if pin_of(statement.key) != server:
        raise fields.refuse("signed by another key than the server's")
    return Announcement(
        fields.exactly("grid", 32, GridId),
        Purpose(word("purpose", fields.text("purpose", MAX_WORD))),
        server,
        fields.texts("addresses", MAX_ADDRESSES, MAX_ADDRESS),
        fields.number("sequence"),
        fields.number("not_after"),
        fields.several("blessings", MAX_BLESSINGS, Kind.BLESSING.most),
        fields.text("name", MAX_NAME) if fields.has("name") else "",
        fields.has("leaving") and fields.true("leaving"),
    )
