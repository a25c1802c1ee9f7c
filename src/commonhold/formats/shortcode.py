"""Short codes: a number, three words and where to ask, to be read out: `7-quiet-harbour-lantern@attic.example`. Pure.

The words are 24 bits that are good for one guess; what they open is never sent. docs/spec/enrolment.md.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from commonhold.formats import hint
from commonhold.formats.codewords import WORDS
from commonhold.formats.hint import Hint, TcpHint, TorHint
from commonhold.formats.malformed import Malformed

PORT: Final = 4653  # where blessers listen unless they say otherwise: HOLD on a telephone's keys
COUNT: Final = 3
MAX_PLATE: Final = 999
MAX_TEXT: Final = 400
_PORT = re.compile(r":[0-9]{1,5}")
_KNOWN = frozenset(WORDS)


@dataclass(frozen=True, slots=True)
class ShortCode:
    """`plate` says which of the codes that are out; the `words` are what its holder knows, and a stranger guesses."""

    plate: int
    words: tuple[str, ...] = field(repr=False)
    where: Hint

    @property
    def password(self) -> bytes:
        """What both ends have in common."""
        return password(self.plate, self.words)

    @property
    def text(self) -> str:
        """The code as it is read out."""
        return f"{self.plate}-{'-'.join(self.words)}@{place(self.where)}"


def password(plate: int, words: tuple[str, ...]) -> bytes:
    """Return what a number and words stand for."""
    return f"commonhold short code v1\0{plate}-{'-'.join(words)}".encode()


def draw(randomness: Callable[[int], bytes]) -> tuple[str, ...]:
    """Return words that nobody guesses, of random bytes."""
    return tuple(WORDS[byte] for byte in randomness(COUNT))


def parse(text: str) -> ShortCode:
    """Return the code of a text; large letters, and blanks instead of hyphens, are the same."""
    if len(text) > MAX_TEXT or not text.isascii() or not text.isprintable():
        raise Malformed("code", f"more than {MAX_TEXT} characters, or some that no code has")
    said, at, where = text.strip().lower().partition("@")
    parts = re.split(r"[\s-]+", said.strip())
    if not at:
        raise Malformed("code", "it does not say where to ask: NUMBER-WORD-WORD-WORD@HOST")
    if len(parts) != 1 + COUNT or not parts[0].isdecimal() or not 0 < int(parts[0][:9]) <= MAX_PLATE:
        raise Malformed("code", f"before the @ it is not a number up to {MAX_PLATE} and {COUNT} words")
    for word in parts[1:]:
        if word not in _KNOWN:
            raise Malformed("code", f"no code has the word {word[:20]!r}")
    return ShortCode(int(parts[0]), tuple(parts[1:]), _where(where.strip()))


def place(where: Hint) -> str:
    """Return how a code names an address."""
    if isinstance(where, TorHint):
        return where.host if where.port == PORT else f"{where.host}:{where.port}"
    if isinstance(where, TcpHint):
        host = f"[{where.host}]" if ":" in where.host else where.host
        return host if where.port == PORT else f"{host}:{where.port}"
    raise Malformed("code", f"no code can name {where}")


def _where(text: str) -> Hint:
    if text.startswith(("tcp:", "tor:")):
        text = text[4:]
    end = text.rpartition("]")[2]
    full = text if _PORT.search(end) else f"{text}:{PORT}"
    scheme = "tor" if full.rpartition(":")[0].endswith(".onion") else "tcp"
    return hint.parse(f"{scheme}:{full}")
