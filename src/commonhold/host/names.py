"""Names of files as people may see them."""

import os


def shown(path: str) -> str:
    """A path as it can be printed: bytes that are not UTF-8, and control characters, escaped; an empty one quoted."""
    if not path:
        return "''"
    if path.isascii() and path.isprintable():
        return str(path)
    raw = os.fsencode(path).decode(errors="backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in raw)
