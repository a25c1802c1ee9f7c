"""The mount's own nodes, of slot 0: the root, the directory of users, and `me`, a link for each caller. No I/O.

They never change and nobody may change them. docs/spec/mount.md, Node numbers.
"""

import errno
import stat
from typing import Protocol

from commonhold.formats.fuselisting import Listing, ListingPlus
from commonhold.formats.fusereplies import Attr, Entry, Payload
from commonhold.mount.agents import Refused
from commonhold.mount.replies import BLOCK, HOUR, NOBODY, dots
from commonhold.mount.slots import IPFS_SLOT, IPNS_SLOT, SHIFT, Full, Slots
from commonhold.trees import ROOT

HOLD = 2
_ME = 1 << 40  # and from here on, each caller's link to their own tree
_IPFS, _IPNS = IPFS_SLOT << SHIFT | ROOT, IPNS_SLOT << SHIFT | ROOT
_IN_ROOT = {b"hold": HOLD, b"ipfs": _IPFS, b"ipns": _IPNS}
OWN_DIRECTORIES = frozenset({ROOT, HOLD, _IPFS, _IPNS})  # and the roots of the public trees, which look like these


class Users(Protocol):
    """The users of this host who may have a tree, by their names."""

    def named(self, name: bytes) -> int | None: ...

    def name(self, uid: int) -> bytes | None: ...


class OwnNodes:
    """See the module."""

    def __init__(self, slots: Slots, users: Users) -> None:
        self._slots = slots
        self._users = users

    def attr(self, nodeid: int) -> Attr:
        """What stat(2) says of a node. Refused with ESTALE for what is none of these."""
        if nodeid in OWN_DIRECTORIES:
            return Attr(nodeid, 0, 0, 0, 0, 0, 0, 0, 0, stat.S_IFDIR | 0o755, 2, 0, 0, 0, BLOCK)
        uid = nodeid & 0xFFFFFFFF
        name = self._users.name(uid)
        if nodeid & ~0xFFFFFFFF != _ME or name is None:
            raise Refused(errno.ESTALE)
        return Attr(nodeid, len(name), 0, 0, 0, 0, 0, 0, 0, stat.S_IFLNK | 0o777, 1, uid, NOBODY, 0, BLOCK)

    def entry(self, nodeid: int, name: bytes, uid: int) -> Entry:
        """Where a name of the root's leads, or `me` for a caller. Refused with ENOENT, ENOTDIR."""
        if nodeid == ROOT:
            found = _IN_ROOT.get(name)
            if found is None:
                raise Refused(errno.ENOENT)
            return Entry(found, 0, HOUR, HOUR, self.attr(found))
        if nodeid != HOLD:
            raise Refused(errno.ENOTDIR)
        if self._users.name(uid) is None:
            raise Refused(errno.ENOENT)
        # To be asked for by everybody, each time: to another caller it is another link.
        return Entry(_ME | uid, 0, 0, HOUR, self.attr(_ME | uid))

    def home(self, name: bytes) -> int:
        """The root of the tree of the user who has that name. Refused with ENOENT, ENFILE."""
        uid = self._users.named(name)
        if uid is None:
            raise Refused(errno.ENOENT)
        try:
            return self._slots.slot(uid) << SHIFT | ROOT
        except Full as error:
            raise Refused(errno.ENFILE) from error

    def target(self, nodeid: int) -> bytes:
        """Where a caller's link leads. Refused with EINVAL for what is none."""
        name = self._users.name(nodeid & 0xFFFFFFFF) if nodeid & _ME else None
        if name is None:
            raise Refused(errno.EINVAL)
        return name

    def listing(self, nodeid: int, offset: int, size: int, plus: bool) -> Payload:
        """What is in a directory from an offset on, as far as there is room for it. Refused with ENOTDIR."""
        names: list[tuple[bytes, int]]
        if nodeid == ROOT:
            names = list(_IN_ROOT.items())
        elif nodeid == HOLD:
            known = [(self._users.name(uid), self._slots.slot(uid) << SHIFT | ROOT) for uid in self._slots.users]
            names = [(b"me", _ME), *[(name, found) for name, found in known if name is not None]]
        else:
            raise Refused(errno.ENOTDIR)
        listing = (ListingPlus if plus else Listing)(size)
        if dots(listing, nodeid, offset):
            for cookie, (name, found) in enumerate(names, 3):
                kind = (stat.S_IFLNK if found == _ME else stat.S_IFDIR) >> 12
                if offset < cookie and not listing.add(name, found, kind, cookie):
                    break
        return listing.payload()
