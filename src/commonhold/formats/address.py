"""A server's address as people hand it on: who it is and by which hints it is reached, `PIN@HINT,HINT`. Pure.

docs/spec/transport.md. Hints in it are a person's own word, not a stranger's: they may name places of this machine.
"""

from dataclasses import dataclass
from typing import Final

from commonhold.formats import hint as hints
from commonhold.formats.announcement import MAX_ADDRESS, MAX_ADDRESSES
from commonhold.formats.hint import Hint
from commonhold.formats.malformed import Malformed
from commonhold.formats.pin import SpkiPin, parse_pin

MAX_TEXT: Final = 64 + MAX_ADDRESSES * (MAX_ADDRESS + 1)


@dataclass(frozen=True, slots=True)
class Address:
    """A server and how it is reached. Malformed for hints that its text cannot have."""

    server: SpkiPin
    hints: tuple[Hint, ...]

    def __post_init__(self) -> None:
        if not 0 < len(self.hints) <= MAX_ADDRESSES:
            raise Malformed("address", f"{len(self.hints)} hints, not 1 to {MAX_ADDRESSES}")
        if len(set(self.hints)) != len(self.hints):
            raise Malformed("address", "it names a hint twice")
        for one in map(str, self.hints):
            if "," in one or len(one) > MAX_ADDRESS:
                raise Malformed("address", f"a hint with a comma, or of more than {MAX_ADDRESS} characters")

    def __str__(self) -> str:
        return f"{self.server}@{','.join(map(str, self.hints))}"


def parse(text: str) -> Address:
    """Return the address of a text."""
    if len(text) > MAX_TEXT:
        raise Malformed("address", f"{len(text)} characters, the limit is {MAX_TEXT}")
    server, at, rest = text.partition("@")
    if not at:
        raise Malformed("address", "not a pin, an @ and hints")
    return Address(parse_pin(server), tuple(hints.parse(one) for one in rest.split(",")))
