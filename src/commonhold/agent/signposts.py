"""The tree of all names: each a symbolic link to what it points at. docs/spec/mount.md, "The public tree"."""

import errno
import stat
from collections import OrderedDict
from collections.abc import Callable

from commonhold.agent import names
from commonhold.agent.frozen import Frozen, attr_of, refuse
from commonhold.agent.names import Names
from commonhold.agent.numbers import BY_TARGET, Numbers, Object
from commonhold.errors import HoldError, Kind
from commonhold.formats import cid as cids
from commonhold.formats import ipns
from commonhold.formats.instant import SECOND
from commonhold.formats.ipns import Name, Record
from commonhold.formats.malformed import Malformed
from commonhold.trees import MAX_NAME, MAX_TARGET, ROOT, Attr, Item

MOST_VALID = 60 * SECOND
_REMEMBERED = 4096


class Signposts(Frozen):
    """Names, in any form in which they can be written. `now` in nanoseconds since 1970."""

    slow = frozenset(("lookup",))

    def __init__(self, known: Callable[[], Names], numbers: Numbers, now: Callable[[], int]) -> None:
        super().__init__(numbers)
        self._known = known
        self._now = now
        self._until: OrderedDict[int, int] = OrderedDict()

    def valid(self, number: int) -> int:
        """How many nanoseconds a name may be believed to lead to that number: the record's TTL from its lookup on,
        while the record is in force, and MOST_VALID at most. 0 where it is not known any more."""
        return max(0, self._until.get(number, 0) - self._now())

    def lookup(self, parent: int, name: bytes) -> Attr:
        """See `trees.Tree`. ENOENT where no record in force says where the name leads."""
        if len(name) > MAX_NAME:
            refuse(errno.ENAMETOOLONG)
        if parent != ROOT:
            self._object(parent)
            refuse(errno.ENOTDIR)
        now = self._now()
        try:
            found = ipns.parse_name(name.decode())
            record = self._known().current(found, now)
            target = _target(record)
        except (Malformed, UnicodeDecodeError):
            refuse(errno.ENOENT)
        except HoldError as error:
            refuse(errno.ENOENT if error.kind in (Kind.NOT_FOUND, Kind.INVALID) else errno.EIO)
        one = _signpost(found, target)
        number = self._numbers.give([one], held=True)[0]
        self._remember(number, now + min(record.claims.ttl, MOST_VALID, record.claims.eol - now))
        return attr_of(number, one)

    def _remember(self, number: int, until: int) -> None:
        self._until[number] = until
        if len(self._until) > _REMEMBERED:
            self._until.popitem(last=False)

    def listing(self, number: int, position: int, most: int, attributes: bool) -> list[Item]:
        """See `trees.Tree`. Nobody can list all names."""
        if number != ROOT:
            self._object(number)
            refuse(errno.ENOTDIR)
        return []

    def cached(self, number: int, offset: int, size: int) -> bytes | None:
        """There are no files."""
        return self.read(number, offset, size)

    def read(self, number: int, offset: int, size: int) -> bytes:
        """There are no files."""
        self.file(number)
        refuse(errno.EINVAL)


def _target(record: Record) -> bytes:
    """Where a record leads, from the directory of all names. INVALID for no path, or one that no link can have."""
    cid, below = names.target(record)
    kind, root = ("ipns", ipns.name_of_cid(cid)) if cid.codec == cids.LIBP2P_KEY else ("ipfs", cid)
    target = "/".join(("..", kind, str(root), *below)).encode()
    if len(target) > MAX_TARGET:
        raise HoldError("resolve", Kind.INVALID, "the record", "its path is too long for a link")
    return target


def _signpost(name: Name, target: bytes) -> Object:
    """A link to another target is another object."""
    return Object(BY_TARGET, name + target, name.cid, stat.S_IFLNK | 0o777, len(target), 0, target)
