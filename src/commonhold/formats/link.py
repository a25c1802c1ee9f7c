"""Links: what opens a sealed tree and which grid keeps it, in one word to be pasted. Text ↔ values; docs/spec/link.md.

A link opens the tree for whoever has it, a sealed link for the one account whose receiving key it was sealed for.
`repr` and errors show no key.
"""

from dataclasses import dataclass, field
from typing import Final

from commonhold.formats import capability as capabilities
from commonhold.formats import checkedtext
from commonhold.formats.capability import ReadCapability
from commonhold.formats.malformed import Malformed, Unsupported
from commonhold.formats.pin import GridId

KEY: Final = 32
SEALED: Final = capabilities.BODY + 48  # HPKE's key of one use, and its tag
_GRID: Final = 32
_LINK, _SEALED, _KEY = "holdl1", "holds1", "holdk1"


@dataclass(frozen=True, slots=True)
class Link:
    """The right to read a sealed tree, and the grid that keeps it."""

    grid: GridId
    capability: ReadCapability

    def __str__(self) -> str:
        return checkedtext.encode(_LINK, self.grid + self.capability.body)


@dataclass(frozen=True, slots=True)
class SealedLink:
    """A link that one account opens. It says which grid it is of, and to nobody whose it is."""

    grid: GridId
    sealed: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.sealed) != SEALED:
            raise Malformed("link", f"{len(self.sealed)} sealed bytes, not {SEALED}")

    def __str__(self) -> str:
        return checkedtext.encode(_SEALED, self.grid + self.sealed)


@dataclass(frozen=True, slots=True)
class ReceivingKey:
    """Whom a link may be sealed for: an account of a grid, by the X25519 public key that it receives with."""

    grid: GridId
    raw: bytes

    def __post_init__(self) -> None:
        if len(self.raw) != KEY:
            raise Malformed("receiving key", f"{len(self.raw)} bytes, not {KEY}")

    def __str__(self) -> str:
        return checkedtext.encode(_KEY, self.grid + self.raw)


def looks_like(text: str) -> bool:
    """Whether a text is meant as a link, open or sealed, sound or not."""
    return text.startswith(("holdl", "holds"))


def is_sealed(text: str) -> bool:
    """Whether it is meant as a sealed one."""
    return text.startswith(_SEALED[:-1])


def is_secret(text: str) -> bool:
    """Whether a text is meant as a link or a capability: whoever is shown it may have what it opens."""
    return looks_like(text) or capabilities.looks_like(text)


def parse(text: str) -> Link | SealedLink:
    """Return the link of a text; Unsupported for a version that we do not know."""
    if text.startswith(_LINK):
        grid, body = _parts("link", _LINK, text, capabilities.BODY)
        return Link(grid, capabilities.read_of(body))
    if text.startswith(_SEALED):
        return SealedLink(*_parts("link", _SEALED, text, SEALED))
    if looks_like(text):
        raise Unsupported("link", f"version {text[5:6]!r}")
    raise Malformed("link", f"it begins with neither {_LINK} nor {_SEALED}")


def parse_key(text: str) -> ReceivingKey:
    """Return the receiving key of a text; Unsupported for a version that we do not know."""
    if text.startswith(_KEY):
        return ReceivingKey(*_parts("receiving key", _KEY, text, KEY))
    if text.startswith(_KEY[:-1]):
        raise Unsupported("receiving key", f"version {text[5:6]!r}")
    raise Malformed("receiving key", f"it does not begin with {_KEY}")


def _parts(what: str, prefix: str, text: str, length: int) -> tuple[GridId, bytes]:
    """The grid that comes first, and what is left."""
    body = checkedtext.decode(what, prefix, text, _GRID + length)
    return GridId(body[:_GRID]), body[_GRID:]
