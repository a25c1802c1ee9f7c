"""Blessings: what a blesser says of a server's key. Pure; whether it holds is `authority`'s. docs/spec/statement.md."""

import re
from dataclasses import dataclass
from typing import Final

from commonhold.formats.malformed import Malformed
from commonhold.formats.pin import GridId, SpkiPin
from commonhold.formats.statement import Fields, Kind, Statement, body

MAX_CLASSES: Final = 8
MAX_WORD: Final = 32
_WORD = re.compile("[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?", re.ASCII)


class Purpose(str):
    """What a server is for: `storage`, `introducer`, `blesser`, or what others invent."""

    __slots__ = ()


STORAGE: Final = Purpose("storage")
INTRODUCER: Final = Purpose("introducer")
BLESSER: Final = Purpose("blesser")


def word(what: str, text: str) -> str:
    """Return a purpose's or a class's text: small letters, digits, dots and hyphens."""
    if len(text) > MAX_WORD or not _WORD.fullmatch(text):
        raise Malformed(what, f"not up to {MAX_WORD} small letters, digits, dots and hyphens")
    return text


@dataclass(frozen=True, slots=True)
class Blessing:
    """A server may serve this purpose in this grid, from `not_before` until `not_after`, in seconds since 1970."""

    grid: GridId
    purpose: Purpose
    server: SpkiPin
    classes: tuple[str, ...]
    not_before: int
    not_after: int
    serial: int

    @property
    def body(self) -> bytes:
        """What is signed of it."""
        return body(
            grid=bytes(self.grid), purpose=str(self.purpose), server=bytes(self.server), classes=list(self.classes),
            not_before=self.not_before, not_after=self.not_after, serial=self.serial,
        )  # fmt: skip


def parse(statement: Statement) -> Blessing:
    """Return what a blessing says."""
    fields = Fields(Kind.BLESSING, statement.body)
    before, after = validity(fields)
    return Blessing(
        fields.exactly("grid", 32, GridId),
        Purpose(word("purpose", fields.text("purpose", MAX_WORD))),
        fields.exactly("server", 32, SpkiPin),
        tuple(word("class", text) for text in fields.texts("classes", MAX_CLASSES, MAX_WORD)),
        before,
        after,
        fields.number("serial"),
    )


def validity(fields: Fields) -> tuple[int, int]:
    """Return the times from which and until which a statement holds."""
    before, after = fields.number("not_before"), fields.number("not_after")
    if before >= after:
        raise fields.refuse("it ends before it begins")
    return before, after
