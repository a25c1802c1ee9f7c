"""What a volume says of its objects, and how that is changed. See `trees.Tree`."""

import errno
from typing import Any

from commonhold.formats import acl
from commonhold.formats.malformed import Malformed
from commonhold.trees import MAX_NAME, MAX_SIZE, MAX_XATTR, NOW, XATTR_CREATE, XATTR_KILL, XATTR_REPLACE, Attr, Change
from commonhold.volume.faults import check_principal, fault
from commonhold.volume.ground import S_IFDIR, S_IFMT
from commonhold.volume.journal import Did
from commonhold.volume.names import Names
from commonhold.volume.tables import Object

MAX_XATTRS = 1 << 20  # bytes of all names and values of an object
_S_IFLNK = 0o120000
_SET_ID, _SET_GROUP_ID, _GROUP_EXECUTE = 0o4000, 0o2000, 0o010
_LAST = (1 << 63) - 1  # of times; NOW is before the first


def without_set_id(mode: int) -> int:
    """A mode without set-user-ID, and without set-group-ID if it means that."""
    return mode & ~(_SET_ID | _SET_GROUP_ID) if mode & _GROUP_EXECUTE else mode & ~_SET_ID


class Attributes(Names):
    """The part of a volume that knows attributes."""

    def attr(self, number: int) -> Attr:
        """See `trees.Tree`."""
        with self._held:
            return self._attr(self._object(number))

    def change(self, number: int, change: Change) -> Attr:
        """See `trees.Tree`."""
        with self._held:
            row = self._object(number) if change.size is None else self._file(number)
            _check(change)
            now = self._now(Did.CHANGE, number, change)
            if change.size is not None:
                row = self._resize(row, change.size, now, change.kill)
            row = self._changed(row, change, now)
            self._tables.save(row)
            return self._attr(row)

    def _changed(self, row: Object, change: Change, now: int) -> Object:
        new: dict[str, Any] = {}
        if change.owner is not None:
            new["owner"] = self._tables.principal(change.owner)
        if change.group is not None:
            new["group"] = self._tables.principal(change.group)
        mode = row.mode
        if new and mode & S_IFMT != S_IFDIR:
            mode = without_set_id(mode)
        if change.mode is not None:
            mode = mode & S_IFMT | change.mode & 0o7777
            self._listed_with(row.number, mode)
        for name in ("accessed", "modified"):
            time = getattr(change, name)
            if time is not None:
                new[name] = now if time == NOW else time
        new["changed"] = now if change.changed in (None, NOW) else change.changed
        return row._replace(mode=mode, **new)

    def _resize(self, row: Object, size: int, now: int, kill: bool) -> Object:
        """Make a file shorter, or longer by a hole; its row, not yet saved."""
        if size < row.size:
            row = self._cut(row, size, MAX_SIZE)
        mode = without_set_id(row.mode) if kill else row.mode
        return row._replace(size=size, mode=mode, modified=now, changed=now)

    def target(self, number: int) -> bytes:
        """See `trees.Tree`."""
        with self._held:
            if self._object(number).mode & S_IFMT != _S_IFLNK:
                raise fault(errno.EINVAL)
            return self._tables.target(number)

    # ── extended attributes ──

    def xattr(self, number: int, name: bytes) -> bytes:
        """See `trees.Tree`."""
        with self._held:
            self._object(number)
            value = self._tables.xattr(number, name)
            if value is None:
                raise fault(errno.ENODATA)
            return value

    def xattrs(self, number: int) -> list[bytes]:
        """See `trees.Tree`."""
        with self._held:
            self._object(number)
            return [name for name, _ in self._tables.xattrs(number)]

    def set_xattr(self, number: int, name: bytes, value: bytes, flags: int) -> None:
        """See `trees.Tree`."""
        if not 0 < len(name) <= MAX_NAME or b"\0" in name:
            raise fault(errno.ERANGE)
        if len(value) > MAX_XATTR:
            raise fault(errno.E2BIG)
        if flags & ~(XATTR_CREATE | XATTR_REPLACE | XATTR_KILL):
            raise fault(errno.EINVAL)
        listed = _list(value) if name in acl.NAMES else None
        with self._held:
            row = self._object(number)
            if name == acl.DEFAULT and row.mode & S_IFMT != S_IFDIR:
                raise fault(errno.EACCES)
            sizes = dict(self._tables.xattrs(number))
            if flags & XATTR_CREATE and name in sizes:
                raise fault(errno.EEXIST)
            if flags & XATTR_REPLACE and name not in sizes:
                raise fault(errno.ENODATA)
            sizes[name] = len(value)
            if sum(sizes.values()) + sum(map(len, sizes)) > MAX_XATTRS:
                raise fault(errno.ENOSPC)
            now = self._now(Did.SET_XATTR, number, name, value, flags)
            if name == acl.ACCESS and listed is not None:
                row = row._replace(mode=_mode_of(listed, row.mode, flags))
            if name == acl.ACCESS and listed is not None and acl.is_plain(listed):
                self._tables.remove_xattr(number, name)
            else:
                self._tables.set_xattr(number, name, value)
            self._tables.save(row._replace(changed=now))

    def _listed_with(self, number: int, mode: int) -> None:
        """What has an ACL has other permissions from now on: so has the list."""
        value = self._tables.xattr(number, acl.ACCESS)
        if value is not None:
            self._tables.set_xattr(number, acl.ACCESS, acl.text(acl.with_bits(acl.parse(value), mode & 0o777)))

    def remove_xattr(self, number: int, name: bytes) -> None:
        """See `trees.Tree`."""
        with self._held:
            row = self._object(number)
            if self._tables.xattr(number, name) is None:
                if name in acl.NAMES:
                    return
                raise fault(errno.ENODATA)
            now = self._now(Did.REMOVE_XATTR, number, name)
            self._tables.remove_xattr(number, name)
            self._tables.save(row._replace(changed=now))


def _list(value: bytes) -> acl.Acl[str]:
    try:
        return acl.parse(value)
    except Malformed as error:
        raise fault(errno.EINVAL) from error


def _mode_of(listed: acl.Acl[str], mode: int, flags: int) -> int:
    """The mode of what is given an ACL."""
    if flags & XATTR_KILL:
        mode &= ~_SET_GROUP_ID
    return mode & ~0o777 | acl.bits_of(listed)


def _check(change: Change) -> None:
    """Refuse what no attribute can be."""
    if change.size is not None and change.size < 0:
        raise fault(errno.EINVAL)
    if change.size is not None and change.size > MAX_SIZE:
        raise fault(errno.EFBIG)
    for principal in (change.owner, change.group):
        if principal is not None:
            check_principal(principal)
    for time in (change.accessed, change.modified, change.changed):
        if time is not None and not NOW <= time <= _LAST:
            raise fault(errno.EINVAL)
