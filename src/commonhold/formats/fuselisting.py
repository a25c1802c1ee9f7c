"""Directory listings as FUSE has them: entries packed until the room that a READDIR gives is used up. Pure.

Source: fuse_dirent and fuse_direntplus of the kernel's header. For one bad name the kernel refuses the whole listing.
"""

import struct

from commonhold.formats.fusereaders import MAX_NAME
from commonhold.formats.fusereplies import Attr, Entry, pack_entry
from commonhold.formats.malformed import Malformed

_DIRENT = struct.Struct("<QqII")
_UNSAID = pack_entry(Entry(0, 0, 0, 0, Attr(*[0] * 15)))  # a nodeid of 0
_PADDING = [bytes(-length % 8) for length in range(8)]


class Listing:
    """The payload of one READDIR, of `room` bytes at most."""

    def __init__(self, room: int) -> None:
        self._left = room
        self._parts: list[bytes] = []

    def add(self, name: bytes, ino: int, kind: int, cookie: int) -> bool:
        """Add an entry; False if it does not fit, and then nothing more is to be added.

        `kind` is the type of its mode, shifted (DT_REG and the like); `cookie`, at least 1, the offset of a READDIR
        that begins behind it.
        """
        return self._put(b"", name, ino, kind, cookie)

    def _put(self, before: bytes, name: bytes, ino: int, kind: int, cookie: int) -> bool:
        length = len(name)
        if not 0 < length <= MAX_NAME or 47 in name or 0 in name:
            raise Malformed("directory entry", f"a name of {length} bytes, or with a slash or NUL")
        packed = b"".join((before, _DIRENT.pack(ino, cookie, length, kind), name, _PADDING[length % 8]))
        self._left -= len(packed)
        if self._left < 0:
            self._left = 0
            return False
        self._parts.append(packed)
        return True

    def payload(self) -> bytes:
        """What was added; empty at the end of the directory."""
        return b"".join(self._parts)


class ListingPlus(Listing):
    """The payload of one READDIRPLUS. An entry counts as a LOOKUP of it, unless it was added by `add`."""

    def add(self, name: bytes, ino: int, kind: int, cookie: int) -> bool:
        """Add an entry of which no more is said than in a listing of the other kind."""
        return self._put(_UNSAID, name, ino, kind, cookie)

    def add_entry(self, name: bytes, found: Entry, cookie: int) -> bool:
        """Add an entry with what a LOOKUP of it would say; False if it does not fit, as with `add`."""
        return self._put(pack_entry(found), name, found.attr.ino, found.attr.mode >> 12 & 15, cookie)
