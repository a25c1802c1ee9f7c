"""Id maps: which principal a uid of this host is, and back; one map for uids, another for gids. Pure.

Rows of the configuration go before the user database. At any moment no principal has two uids and no uid two
principals: what rows and database disagree about is nobody's, and nothing becomes root that is not uid 0.
docs/spec/identity.md; REQUIREMENTS C1-C4, C7, C13, C20, C21.
"""

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable
from itertools import pairwise
from operator import attrgetter
from typing import NamedTuple

from commonhold.formats.malformed import Malformed
from commonhold.identity.principal import Principal, check_realm, name_in, named, parse, split

MAX_ID = 0xFFFFFFEF  # ids above stand for no single user
OVERFLOW = 65534  # what the kernel shows for whoever has no id here: user_namespaces(7)
_NEVER = (OVERFLOW, 65535)  # and -1 where ids have 16 bits
MAX_ROWS = 1024
MAX_CACHED = 4096

# A name and the number at its end, if it has one: `box-17` is `box-` and 17, `box-017` is `box-0` and 17. Digits of
# an escape are no number.
_COUNTED = re.compile(r"((?:[^%]|%..)*?)(0|[1-9][0-9]*)?")
_UNCOUNTED = -1


class Row(NamedTuple):
    """`size` ids from `first` on. The first is `principal`; where there are more, its name ends in a number, and the
    others count on from it: as the extents of uid_map in user_namespaces(7)."""

    first: int
    size: int
    principal: str


class _Extent(NamedTuple):
    """A row, taken apart: id `first` + n is the principal `before` + (`number` + n) + `after`."""

    first: int
    size: int
    before: str
    number: int
    after: str


class IdMap:
    """The uids, or the gids, of one host and their principals. What was found in the database is kept until `forget`.

    `name_of` and `id_of` ask the database; what they raise is passed on, and nothing is kept of it.
    """

    def __init__(
        self,
        realm: str,
        rows: Iterable[Row],
        name_of: Callable[[int], bytes | None],
        id_of: Callable[[bytes], int | None],
        overflow: int = OVERFLOW,
    ) -> None:
        self._realm = check_realm(realm)
        self._root = Principal(f"root@{realm}")
        self._name_of = name_of
        self._id_of = id_of
        self._never = frozenset((*_NEVER, overflow))
        extents = [_extent(row) for row in rows]
        if len(extents) > MAX_ROWS:
            raise Malformed("id map", f"more than {MAX_ROWS} rows")
        if not any(extent.first == 0 for extent in extents):
            extents.append(_extent(Row(0, 1, self._root)))
        self._by_id = sorted(extents)
        self._by_principal: dict[tuple[str, str], list[_Extent]] = {}
        for extent in sorted(extents, key=attrgetter("number")):
            self._by_principal.setdefault((extent.before, extent.after), []).append(extent)
        self._check()
        self._principals: dict[int, Principal | None] = {}
        self._ids: dict[Principal, int | None] = {}

    def _check(self) -> None:
        """Refuse rows that overlap on either side, and another root than uid 0."""
        for one, other in pairwise(self._by_id):
            if one.first + one.size > other.first:
                raise Malformed("id map", f"{other.first} is in two rows")
        for extents in self._by_principal.values():
            for one, other in pairwise(extents):
                if one.number + one.size > other.number:
                    raise Malformed("id map", f"{_counted(other, 0)} is in two rows")
        if self._row_id(self._root) not in (None, 0):
            raise Malformed("id map", f"{self._root} is 0 and no other")

    def principal(self, number: int) -> Principal | None:
        """Return who has an id; None: nobody."""
        if number in self._principals:
            return self._principals[number]
        if not 0 <= number <= MAX_ID or number in self._never:
            return None
        found = self._row_principal(number)
        if found is None and (name := self._name_of(number)) is not None and self._id_of(name) == number:
            found = self._in_database(name)
        if found is None:
            self._make_room()
            self._principals[number] = None
        else:
            self._keep(number, found)
        return found

    def id(self, principal: Principal) -> int | None:
        """Return the id that a principal has here; None if there is none."""
        if principal in self._ids:
            return self._ids[principal]
        found = self._row_id(principal)
        if found is None and (name := name_in(principal, self._realm)) is not None and self._in_database(name):
            found = self._id_of(name)
            if found is not None and (self._row_principal(found) is not None or self._name_of(found) != name):
                found = None
        if found is None or not 0 <= found <= MAX_ID or found in self._never:
            self._make_room()
            self._ids[principal] = None
            return None
        self._keep(found, principal)
        return found

    def forget(self) -> None:
        """The database may have changed: ask it again."""
        self._principals.clear()
        self._ids.clear()

    def _in_database(self, name: bytes) -> Principal | None:
        """Return whom a name of the database stands for, unless that is for the rows to say, as root always is."""
        found = named(name, self._realm)
        return None if found is None or found == self._root or self._row_id(found) is not None else found

    def _row_principal(self, number: int) -> Principal | None:
        at = bisect_right(self._by_id, number, key=attrgetter("first")) - 1
        extent = self._by_id[at] if at >= 0 else None
        return _counted(extent, number - extent.first) if extent and number < extent.first + extent.size else None

    def _row_id(self, principal: Principal) -> int | None:
        before, number, after = _apart(principal)
        extents = self._by_principal.get((before, after), ())
        at = bisect_right(extents, number, key=attrgetter("number")) - 1
        extent = extents[at] if at >= 0 else None
        return extent.first + number - extent.number if extent and number < extent.number + extent.size else None

    def _keep(self, number: int, principal: Principal) -> None:
        """Keep a pair. If either was another's before the database changed, it is no longer."""
        self._make_room()
        before, its_before = self._ids.get(principal), self._principals.get(number)
        if before is not None:
            del self._principals[before]
        if its_before is not None:
            del self._ids[its_before]
        self._principals[number] = principal
        self._ids[principal] = number

    def _make_room(self) -> None:
        if len(self._principals) + len(self._ids) >= MAX_CACHED:
            self.forget()


def _extent(row: Row) -> _Extent:
    """Return a row of the configuration, checked as far as it can be alone."""
    if row.first < 0 or row.size < 1 or row.first + row.size - 1 > MAX_ID:
        raise Malformed("id map", f"not one or more ids of up to {MAX_ID}: {row.size} from {row.first} on")
    split(row.principal)  # nobody has no realm, and no id
    extent = _Extent(row.first, row.size, *_apart(row.principal))
    if row.size > 1 and extent.number == _UNCOUNTED:
        raise Malformed("id map", f"{row.size} ids, but no number at the end of {row.principal.partition('@')[0]}")
    parse(_counted(extent, row.size - 1))  # the longest
    return extent


def _apart(principal: str) -> tuple[str, int, str]:
    """Return a principal without the number at the end of its name, that number, and its @realm."""
    name, at, realm = principal.partition("@")
    found = _COUNTED.fullmatch(name)
    assert found is not None
    return found[1], int(found[2] or _UNCOUNTED), at + realm


def _counted(extent: _Extent, offset: int) -> Principal:
    """Return the principal of an extent's id."""
    number = "" if extent.number == _UNCOUNTED else extent.number + offset
    return Principal(f"{extent.before}{number}{extent.after}")
