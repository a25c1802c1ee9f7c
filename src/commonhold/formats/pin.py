"""Keys as people read them: a server's pin, and a grid's id. Text with a checksum, so that a slip is noticed. Pure.

A pin is the SHA-256 of a SubjectPublicKeyInfo (RFC 7469 §2.4). docs/spec/statement.md.
"""

import base64
import hashlib
from typing import Final, TypeVar

from commonhold.formats.keys import LENGTH, PublicKey
from commonhold.formats.malformed import Malformed

_SPKI: Final = bytes.fromhex("302a300506032b6570032100")  # RFC 8410 §4: all of an Ed25519 key's SPKI but the key
_CHECKSUM: Final = 3
_TEXT: Final = (LENGTH + _CHECKSUM) * 8 // 5

_T = TypeVar("_T", bound=bytes)


class SpkiPin(bytes):
    """Who is at the other end of a connection: the SHA-256 of a public key's SubjectPublicKeyInfo, 32 bytes."""

    __slots__ = ()

    def __str__(self) -> str:
        return _text("p", self)

    def __repr__(self) -> str:
        return f"SpkiPin({self})"


class GridId(bytes):
    """A grid: the Ed25519 public key of its first blesser, 32 bytes."""

    __slots__ = ()

    @property
    def blesser(self) -> PublicKey:
        """The key that it is."""
        return PublicKey(self)

    def __str__(self) -> str:
        return _text("g", self)

    def __repr__(self) -> str:
        return f"GridId({self})"


def pin_of(public: PublicKey) -> SpkiPin:
    """Return the pin of an Ed25519 key."""
    return SpkiPin(hashlib.sha256(_SPKI + public).digest())


def parse_pin(text: str) -> SpkiPin:
    """Return the pin of a text `p…`."""
    return _parse("p", "pin", text, SpkiPin)


def parse_grid(text: str) -> GridId:
    """Return the grid id of a text `g…`."""
    return _parse("g", "grid id", text, GridId)


def _checksum(letter: str, raw: bytes) -> bytes:
    return hashlib.sha256(letter.encode() + raw).digest()[:_CHECKSUM]


def _text(letter: str, raw: bytes) -> str:
    return letter + base64.b32encode(raw + _checksum(letter, raw)).decode().lower()


def _parse(letter: str, what: str, text: str, made: type[_T]) -> _T:
    if len(text) != 1 + _TEXT or not text.startswith(letter):
        raise Malformed(what, f"not {letter} and {_TEXT} letters and digits")
    try:
        raw = base64.b32decode(text[1:].upper())
    except ValueError as error:
        raise Malformed(what, "letters and digits that are not base32") from error
    if _text(letter, raw[:LENGTH]) != text:
        raise Malformed(what, "its checksum is wrong: a letter was changed or left out")
    return made(raw[:LENGTH])
