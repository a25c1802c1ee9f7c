"""How an agent's answers become replies to the kernel. What cannot be is a lie, and nothing of it reaches the kernel.

An agent's numbers are those of its own tree: a reply names no node of another's. docs/spec/mount.md.
"""

import errno
import stat
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import msgspec

from commonhold.formats import acl, fusereplies
from commonhold.formats.fuselisting import Listing, ListingPlus
from commonhold.formats.fusereplies import Attr, Entry, Lock, Reply, Statfs
from commonhold.identity.principal import MAX_PRINCIPAL
from commonhold.ipc.treeframes import Frame
from commonhold.ipc.treewords import BY_NAME
from commonhold.mount.known import Known
from commonhold.mount.slots import IPNS_SLOT, SHIFT
from commonhold.trees import MAX_IO, MAX_NUMBER, MAX_SIZE, MAX_TARGET, MAX_XATTR, ROOT
from commonhold.trees import Attr as TreeAttr

SECOND = 1_000_000_000
HOUR = 3600 * SECOND
NOBODY = 65534
BLOCK = 4096
_IPNS_VALID = 5 * SECOND
_MAX_ERRNO = 511  # that the kernel takes
_TYPES = frozenset({1, 2, 4, 6, 8, 10, 12})  # S_IFIFO and the like, shifted
_UNLOCKED = 2
_COUNT = msgspec.msgpack.Decoder(int)

Finish = Callable[[int, Frame, Any], Reply]  # a request's id, the answer, and what is to be known of the request


class Ids(Protocol):
    """Uids and gids of this host as principals, and back. None for nobody."""

    def user(self, uid: int) -> str | None: ...

    def group(self, gid: int) -> str | None: ...

    def uid(self, principal: str) -> int | None: ...

    def gid(self, principal: str) -> int | None: ...


class Lied(Exception):
    """An agent has answered what cannot be."""


class Replies:
    """Replies that need to know who is who, or what the kernel has. Every method is a `Finish`; Lied, Malformed or
    MsgspecError for what cannot be. `forget` is told of references that the kernel was not given after all."""

    def __init__(self, ids: Ids, known: Known, forget: Callable[[Sequence[tuple[int, int]]], None]) -> None:
        self._ids = ids
        self._known = known
        self._given = known.given
        self._forget = forget

    def _attr_of(self, base: int, found: TreeAttr) -> Attr:
        number, mode, links, owner, group, size, blocks, accessed, modified, changed, _, device = found
        if not 0 < number <= MAX_NUMBER:
            raise Lied(f"number {number}")
        if mode >> 12 not in _TYPES or not 0 <= size <= MAX_SIZE:
            raise Lied(f"mode {mode:o}, {size} bytes")
        if len(owner) > MAX_PRINCIPAL or len(group) > MAX_PRINCIPAL:
            raise Lied("an owner with a name that is too long")
        uid = self._ids.uid(owner)
        gid = self._ids.gid(group)
        return Attr(
            base | number, size, blocks,
            accessed // SECOND, modified // SECOND, changed // SECOND,
            accessed % SECOND, modified % SECOND, changed % SECOND,
            mode, links, NOBODY if uid is None else uid, NOBODY if gid is None else gid, device, BLOCK,
        )  # fmt: skip

    def _entry_of(self, base: int, found: TreeAttr) -> Entry:
        """An entry as the kernel is given it, which counts as one reference more."""
        attr = self._attr_of(base, found)
        valid = _IPNS_VALID if base >> SHIFT == IPNS_SLOT else HOUR
        self._given[attr.ino] = self._given.get(attr.ino, 0) + 1
        return Entry(attr.ino, 0, valid, valid, attr)

    def entry(self, unique: int, frame: Frame, nodeid: int) -> Reply:
        base = nodeid >> SHIFT << SHIFT
        return fusereplies.entry(unique, self._entry_of(base, BY_NAME["lookup"].result.decode(frame.body)))  # type: ignore[union-attr]

    def attr(self, unique: int, frame: Frame, nodeid: int) -> Reply:
        base = nodeid >> SHIFT << SHIFT
        found = BY_NAME["attr"].result.decode(frame.body)  # type: ignore[union-attr]
        shown = self._attr_of(base, found)
        if shown.ino != nodeid:
            raise Lied(f"number {found.number}, asked of another")
        return fusereplies.attr(unique, HOUR, shown)

    def root(self, unique: int, frame: Frame, nodeid: int) -> Reply:
        """Where a user's name leads, which is for us to say."""
        found = self._entry_of(nodeid ^ ROOT, BY_NAME["attr"].result.decode(frame.body))  # type: ignore[union-attr]
        if found.nodeid != nodeid or not stat.S_ISDIR(found.attr.mode):
            raise Lied("no root")
        return fusereplies.entry(unique, found)

    def opened(self, unique: int, _frame: Frame, context: tuple[int, int]) -> Reply:
        return fusereplies.opened(unique, self._known.opened(*context))

    def created(self, unique: int, frame: Frame, context: tuple[int, int]) -> Reply:
        nodeid, flags = context
        base = nodeid >> SHIFT << SHIFT
        found = self._entry_of(base, BY_NAME["make"].result.decode(frame.body))  # type: ignore[union-attr]
        if not stat.S_ISREG(found.attr.mode):
            raise Lied("no file")
        return fusereplies.created(unique, found, self._known.opened(found.nodeid, flags))

    def access_list(self, unique: int, frame: Frame, size: int) -> Reply:
        """An ACL of a tree's, for the kernel. Whoever is nobody here is left out: it is of no use to them."""
        found = acl.parse(bytes(frame.payload))
        return sized(unique, acl.to_kernel(acl.translated(found, self._ids.uid, self._ids.gid)), size)

    def listing(self, unique: int, frame: Frame, context: tuple[int, int, int, bool]) -> Reply:
        nodeid, offset, size, plus = context
        base = nodeid >> SHIFT << SHIFT
        listing = (ListingPlus if plus else Listing)(size)
        if dots(listing, nodeid, offset):
            for name, position, number, mode, attr in BY_NAME["listing"].result.decode(frame.body):  # type: ignore[union-attr]
                if name in (b".", b".."):
                    raise Lied("a name that is every directory's")
                if not 0 < number <= MAX_NUMBER or position <= 0:
                    raise Lied(f"number {number} at {position}")
                if isinstance(listing, ListingPlus) and attr is not None:
                    fits = listing.add_entry(name, self._entry_of(base, attr), position + 2)
                else:
                    fits = listing.add(name, base | number, mode >> 12 & 15, position + 2)
                if not fits:
                    if attr is not None:
                        self._forget([(base | number, 1)])
                    break
        return fusereplies.data(unique, listing.payload())


def as_done(unique: int, _frame: Frame, _context: object) -> Reply:
    return fusereplies.done(unique)


def as_data(unique: int, frame: Frame, most: int) -> Reply:
    if len(frame.payload) > most:
        raise Lied(f"{len(frame.payload)} bytes where {most} are the most")
    return fusereplies.data(unique, frame.payload)


def as_target(unique: int, frame: Frame, _context: object) -> Reply:
    target = bytes(frame.payload)
    if not 0 < len(target) <= MAX_TARGET or 0 in target:
        raise Lied(f"a target of {len(target)} bytes, or with a NUL")
    return fusereplies.data(unique, target)


def as_count(unique: int, frame: Frame, most: int) -> Reply:
    return fusereplies.written(unique, _count(frame, most))


def as_copied(unique: int, frame: Frame, most: int) -> Reply:
    return fusereplies.copied(unique, _count(frame, most))


def as_position(unique: int, frame: Frame, _context: object) -> Reply:
    position = BY_NAME["seek"].result.decode(frame.body)  # type: ignore[union-attr]
    if not 0 <= position <= MAX_SIZE:
        raise Lied(f"position {position}")
    return fusereplies.position(unique, position)


def as_locked(unique: int, _frame: Frame, _slot: object) -> Reply:
    """As `as_done`, of what may be answered late."""
    return fusereplies.done(unique)


def as_held(unique: int, frame: Frame, _context: object) -> Reply:
    found = BY_NAME["test"].result.decode(frame.body)  # type: ignore[union-attr]
    if found is None:
        return fusereplies.lock(unique, Lock(0, 0, _UNLOCKED, 0))
    if not 0 <= found.start <= found.end <= MAX_SIZE or not 0 <= found.kind < _UNLOCKED:
        raise Lied("a lock that cannot be")
    return fusereplies.lock(unique, Lock(*found))


def as_room(unique: int, frame: Frame, _context: object) -> Reply:
    size, free, objects, objects_free = BY_NAME["room"].result.decode(frame.body)  # type: ignore[union-attr]
    room = Statfs(size // BLOCK, free // BLOCK, free // BLOCK, objects, objects_free, MAX_IO, 255, BLOCK)
    return fusereplies.statfs(unique, room)


def as_xattr(unique: int, frame: Frame, size: int) -> Reply:
    return sized(unique, bytes(frame.payload), size)


def as_xattrs(unique: int, frame: Frame, context: tuple[int, bool]) -> Reply:
    size, root = context
    names = BY_NAME["xattrs"].result.decode(frame.body)  # type: ignore[union-attr]
    if any(not 0 < len(name) <= 255 or 0 in name for name in names):
        raise Lied("an attribute's name")
    if not root:  # the others are not to know of root's: xattr(7)
        names = [name for name in names if not name.startswith(b"trusted.")]
    return sized(unique, b"".join(name + b"\0" for name in names), size)


def dots(listing: Listing, nodeid: int, offset: int) -> bool:
    """Add the two names that every directory has, as far as they are asked for; whether there is room for more."""
    directory = stat.S_IFDIR >> 12
    for cookie, name in ((1, b"."), (2, b"..")):
        if offset < cookie and not listing.add(name, nodeid, directory, cookie):
            return False
    return True


def _count(frame: Frame, most: int) -> int:
    """How many bytes were written or copied."""
    count: int = _COUNT.decode(frame.body)
    if not 0 <= count <= most:
        raise Lied(f"{count} bytes of {most}")
    return count


def failure(unique: int, number: int) -> Reply:
    """An agent's errno. ENOSYS would end a call for everybody: the kernel takes it for the word of all."""
    if number > _MAX_ERRNO:
        raise Lied(f"errno {number}")
    return fusereplies.error(unique, errno.EOPNOTSUPP if number == errno.ENOSYS else number)


def sized(unique: int, value: bytes, size: int) -> Reply:
    """A value for who has room for so many bytes, or 0 to ask how many there are."""
    if len(value) > MAX_XATTR:
        raise Lied(f"an attribute of {len(value)} bytes")
    if size == 0:
        return fusereplies.xattr_size(unique, len(value))
    return fusereplies.error(unique, errno.ERANGE) if len(value) > size else fusereplies.data(unique, value)
