"""What a share is called at one server. Pure. docs/spec/storage.md.

Whoever knows an index may read what is kept under it: it is made of a secret, and is another one at each server.
"""

import re
from typing import Final

from commonhold.formats.malformed import Malformed


class ShareIndex(bytes):
    """32 bytes that nobody guesses."""

    __slots__ = ()
    LENGTH: Final = 32

    def __str__(self) -> str:
        return self.hex()

    def __repr__(self) -> str:
        return "ShareIndex(…)"  # who reads a log is not to read a share


_DIGITS = re.compile(rf"[0-9a-f]{{{2 * ShareIndex.LENGTH}}}")


def parse(text: str) -> ShareIndex:
    """Return the index of 64 hexadecimal digits, small ones."""
    if not _DIGITS.fullmatch(text):
        raise Malformed("share index", f"not {2 * ShareIndex.LENGTH} hexadecimal digits")
    return ShareIndex(bytes.fromhex(text))


def checked(raw: object) -> ShareIndex:
    """Return the index that bytes from a stranger are."""
    if not isinstance(raw, bytes) or len(raw) != ShareIndex.LENGTH:
        raise Malformed("share index", f"not {ShareIndex.LENGTH} bytes")
    return ShareIndex(raw)
