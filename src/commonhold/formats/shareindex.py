"""What a share is called at one server. Pure. docs/spec/storage.md.

Whoever knows an index may read what is kept under it: it is made of a secret, and is another one at each server.
"""

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


def parse(text: str) -> ShareIndex:
    """Return the index of 64 hexadecimal digits, small ones."""
    if len(text) != 2 * ShareIndex.LENGTH or not text.isascii() or text != text.lower():
        raise Malformed("share index", f"not {2 * ShareIndex.LENGTH} hexadecimal digits")
    try:
        return ShareIndex(bytes.fromhex(text))
    except ValueError:
        raise Malformed("share index", "not hexadecimal") from None


def checked(raw: object) -> ShareIndex:
    """Return the index that bytes from a stranger are."""
    if not isinstance(raw, bytes) or len(raw) != ShareIndex.LENGTH:
        raise Malformed("share index", f"not {ShareIndex.LENGTH} bytes")
    return ShareIndex(raw)
