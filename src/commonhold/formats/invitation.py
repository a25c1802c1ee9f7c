"""Invitations: all that somebody needs to take part in a grid, in one line to be pasted. Pure. docs/spec/enrolment.md.

Whoever has the line has the place that it gives: it is a secret until it was used.
"""

import base64
import hashlib
from dataclasses import dataclass, field
from typing import Final

from commonhold.formats import charter as charters
from commonhold.formats.blessing import MAX_WORD, Purpose, word
from commonhold.formats.charter import Charter
from commonhold.formats.fields import Fields, made
from commonhold.formats.keys import PublicKey
from commonhold.formats.malformed import Malformed, Unsupported
from commonhold.formats.request import MAX_ACCOUNT, MAX_PURPOSES, Ticket

PREFIX: Final = "hold-join"
MAX_BYTES: Final = 16 << 10
MAX_TEXT: Final = 32 << 10
_VERSION: Final = "1"
_CHECKSUM: Final = 4


@dataclass(frozen=True, slots=True)
class Invitation:
    """A place in a grid, good once, until `not_after` (seconds since 1970): for an account, by its name, or, where that
    is empty, for a server of these purposes. `by` is the blesser whose ticket it is."""

    charter: Charter
    by: PublicKey
    ticket: Ticket = field(repr=False)
    not_after: int
    account: str = ""
    purposes: tuple[Purpose, ...] = ()

    def __post_init__(self) -> None:
        self.charter.blesser(self.by)
        if bool(self.account) == bool(self.purposes):
            raise Malformed("invitation", "it is either an account's or a server's")

    @property
    def _place(self) -> int:
        return [one.key for one in self.charter.blessers].index(self.by)

    @property
    def encoded(self) -> bytes:
        """All of it."""
        return made(
            charter=self.charter.encoded, by=self._place or None, ticket=bytes(self.ticket), not_after=self.not_after,
            account=self.account or None, purposes=[str(one) for one in self.purposes] or None,
        )  # fmt: skip

    @property
    def text(self) -> str:
        """The line to be pasted."""
        data = self.encoded
        return PREFIX + _VERSION + base64.b32encode(_checksum(data) + data).decode().rstrip("=").lower()


def decode(data: bytes) -> Invitation:
    """Return the invitation that bytes are."""
    if len(data) > MAX_BYTES:
        raise Malformed("invitation", f"{len(data)} bytes, the limit is {MAX_BYTES}")
    fields = Fields("invitation", data)
    purposes = fields.texts("purposes", MAX_PURPOSES, MAX_WORD) if fields.has("purposes") else ()
    found = charters.decode(fields.raw("charter", MAX_BYTES))
    by = fields.number("by", len(found.blessers) - 1) if fields.has("by") else 0
    return Invitation(
        found,
        found.blessers[by].key,
        fields.exactly("ticket", Ticket.LENGTH, Ticket),
        fields.number("not_after"),
        fields.text("account", MAX_ACCOUNT) if fields.has("account") else "",
        tuple(Purpose(word("purpose", one)) for one in purposes),
    )


def looks_like(text: str) -> bool:
    """Whether a text is meant to be such a line."""
    return text.strip().lower().startswith(PREFIX)


def parse(text: str) -> Invitation:
    """Return the invitation of a line; blanks and breaks that a mail put into it do no harm."""
    if len(text) > MAX_TEXT or not text.isascii():
        raise Malformed("code", f"more than {MAX_TEXT} characters, or some that no code has")
    joined = "".join(text.split()).lower()
    if not joined.startswith(PREFIX):
        raise Malformed("code", f"it does not begin with {PREFIX}")
    if not joined.startswith(PREFIX + _VERSION):
        raise Unsupported("code", f"of a version that is not known; version {_VERSION} is")
    digits = joined[len(PREFIX + _VERSION) :].upper()
    try:
        raw = base64.b32decode(digits + "=" * (-len(digits) % 8))
    except ValueError as error:
        raise Malformed("code", "letters and digits that are not base32: copy the whole of it") from error
    if _checksum(raw[_CHECKSUM:]) != raw[:_CHECKSUM]:
        raise Malformed("code", "its checksum is wrong: a letter was changed or left out")
    return decode(raw[_CHECKSUM:])


def _checksum(data: bytes) -> bytes:
    return hashlib.sha256(b"commonhold code v1\0" + data).digest()[:_CHECKSUM]
