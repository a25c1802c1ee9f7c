"""A volume's names: what leads where. See `trees.Tree`."""

import contextlib
import errno

from commonhold.formats import acl
from commonhold.trees import EXCHANGE, MAX_SIZE, MAX_TARGET, NO_REPLACE, ROOT, Attr, Item, Who
from commonhold.volume.committing import Committing
from commonhold.volume.faults import check_name, check_principal, fault
from commonhold.volume.ground import S_IFDIR, S_IFMT, S_IFREG
from commonhold.volume.journal import Did
from commonhold.volume.tables import Object

MAX_LINKS = 65000
_S_IFLNK = 0o120000
_KINDS = (0o010000, 0o020000, S_IFDIR, 0o060000, S_IFREG, _S_IFLNK, 0o140000)
_S_ISGID = 0o2000


def _is_directory(row: Object) -> bool:
    return row.mode & S_IFMT == S_IFDIR


class Names(Committing):
    """The part of a volume that names things."""

    def lookup(self, parent: int, name: bytes) -> Attr:
        """See `trees.Tree`."""
        with self._held:
            return self._attr(self._found(parent, name))

    def _found(self, parent: int, name: bytes) -> Object:
        row = self._tables.found(parent, name)
        if row is None:
            self._directory(parent)
            raise fault(errno.ENAMETOOLONG if len(name) > 255 else errno.ENOENT)
        return row

    def make(self, parent: int, name: bytes, mode: int, device: int, target: bytes, who: Who, exclusive: bool) -> Attr:
        """See `trees.Tree`."""
        with self._held:
            above = self._place(parent, name) if name else self._directory(parent)
            kind = mode & S_IFMT
            if not 0 <= device <= MAX_SIZE:
                raise fault(errno.EINVAL)
            found = self._tables.found(parent, name) if name else None
            if found is not None:
                raise fault(errno.EEXIST if exclusive else errno.ESTALE)
            _check_kind(kind, name, target)
            bits, lists = self._lists_for(above, mode, who)
            whose = self._whose(who, above)
            now = self._now(Did.MAKE, parent, name, mode, device, target, who, exclusive)
            made = self._make(above, name, mode & 0o177000 | bits, device, target, whose, now)
            for kind_of_list, value in lists:
                self._tables.set_xattr(made.number, kind_of_list, value)
            return self._attr(made)

    def _lists_for(self, above: Object, mode: int, who: Who) -> tuple[int, list[tuple[bytes, bytes]]]:
        """The permissions of what is made in a directory, and its ACLs."""
        if mode & S_IFMT == _S_IFLNK:
            return mode & 0o777, []
        default = self._tables.xattr(above.number, acl.DEFAULT)
        if default is None:
            return mode & 0o777 & ~who.mask, []
        found = acl.inherited(acl.parse(default), mode & 0o777)
        access = [] if acl.is_plain(found) else [(acl.ACCESS, acl.text(found))]
        return acl.bits_of(found), [*access, *([(acl.DEFAULT, default)] if mode & S_IFMT == S_IFDIR else [])]

    def _place(self, parent: int, name: bytes) -> Object:
        """The directory where an entry is to be made."""
        above = self._directory(parent)
        check_name(name)
        if not above.links:
            raise fault(errno.ENOENT)
        return above

    def _whose(self, who: Who, above: Object) -> Who:
        for principal in who[:2]:
            check_principal(principal)
        return who._replace(group=self._tables.principal_name(above.group)) if above.mode & _S_ISGID else who

    def _make(self, above: Object, name: bytes, mode: int, device: int, target: bytes, who: Who, now: int) -> Object:
        directory = mode & S_IFMT == S_IFDIR
        if directory and above.mode & _S_ISGID:
            mode |= _S_ISGID
        links = 2 if directory else 1 if name else 0
        owner, group = self._tables.principal(who.owner), self._tables.principal(who.group)
        row = Object(
            self._tables.number(), mode, links, owner, group, len(target), 0, now, now, now, now, device,
            above.number if directory else 0,
        )  # fmt: skip
        self._tables.add(row, target)
        if self._objects is not None:
            self._objects += 1
        if name:
            self._tables.enter(above.number, name, row.number)
            self._grown(above, 1, int(directory), now)
        return row

    def _grown(self, above: Object, entries: int, directories: int, now: int) -> None:
        """So many entries have come to a directory, some of them directories."""
        self._tables.save(
            above._replace(size=above.size + entries, links=above.links + directories, modified=now, changed=now)
        )

    def link(self, number: int, parent: int, name: bytes) -> Attr:
        """See `trees.Tree`."""
        with self._held:
            row = self._object(number)
            above = self._place(parent, name)
            if _is_directory(row):
                raise fault(errno.EPERM)
            if self._tables.found(parent, name) is not None:
                raise fault(errno.EEXIST)
            if row.links >= MAX_LINKS:
                raise fault(errno.EMLINK)
            now = self._now(Did.LINK, number, parent, name)
            row = row._replace(links=row.links + 1, changed=now)
            self._tables.save(row)
            self._tables.enter(parent, name, number)
            self._grown(above, 1, 0, now)
            return self._attr(row)

    def unlink(self, parent: int, name: bytes) -> None:
        """See `trees.Tree`."""
        with self._held:
            row = self._found(parent, name)
            if _is_directory(row):
                raise fault(errno.EISDIR)
            self._take_away(parent, name, row, self._now(Did.UNLINK, parent, name))

    def rmdir(self, parent: int, name: bytes) -> None:
        """See `trees.Tree`."""
        with self._held:
            row = self._found(parent, name)
            self._check_empty(row)
            self._take_away(parent, name, row, self._now(Did.RMDIR, parent, name))

    def _check_empty(self, row: Object) -> None:
        if not _is_directory(row):
            raise fault(errno.ENOTDIR)
        if not self._tables.is_empty(row.number):
            raise fault(errno.ENOTEMPTY)

    def _take_away(self, parent: int, name: bytes, row: Object, now: int) -> None:
        self._tables.leave(parent, name)
        self._unnamed(row, now)
        self._grown(self._object(parent), -1, -int(_is_directory(row)), now)

    def _unnamed(self, row: Object, now: int) -> None:
        """An object has one name less."""
        links = 0 if _is_directory(row) else row.links - 1
        self._tables.save(row._replace(links=links, changed=now))

    def forget(self, numbers: list[int]) -> None:
        """See `trees.Tree`."""
        with self._held:
            for number in numbers:
                row = self._tables.object(number)
                if row is not None and not row.links:
                    with contextlib.suppress(OSError):  # what a full disk keeps out of the journal is asked for again
                        self._now(Did.FORGET, [number])
                    self._rearrange()
                    self._remove(number)

    def orphans(self) -> list[int]:
        """Objects without a name, that are not forgotten."""
        with self._held:
            return self._tables.orphans()

    def _remove(self, number: int) -> None:
        self._unstored.forget(number)
        self._tables.remove(number)
        if self._objects is not None:
            self._objects -= 1

    # ── renaming ──

    def rename(self, parent: int, name: bytes, new_parent: int, new_name: bytes, flags: int) -> None:
        """See `trees.Tree`."""
        if flags not in (0, NO_REPLACE, EXCHANGE):
            raise fault(errno.EINVAL)
        with self._held:
            row = self._found(parent, name)
            self._place(new_parent, new_name)
            other = self._tables.found(new_parent, new_name)
            if other is None and flags == EXCHANGE:
                raise fault(errno.ENOENT)
            if other is not None and flags == NO_REPLACE:
                raise fault(errno.EEXIST)
            if other is not None and other.number == row.number:
                return
            self._check_loop(row, new_parent)
            if flags == EXCHANGE:
                assert other is not None
                self._check_loop(other, parent)
            elif other is not None:
                self._check_over(row, other)
            now = self._now(Did.RENAME, parent, name, new_parent, new_name, flags)
            if flags == EXCHANGE:
                assert other is not None
                self._exchange(parent, name, row, new_parent, new_name, other, now)
            else:
                self._move(parent, name, row, new_parent, new_name, other, now)

    def _check_loop(self, row: Object, directory: int) -> None:
        """Refuse to move a directory into itself."""
        if not _is_directory(row):
            return
        at = directory
        while at != ROOT:
            if at == row.number:
                raise fault(errno.EINVAL)
            at = self._object(at).parent
        if row.number == ROOT:
            raise fault(errno.EBUSY)

    def _check_over(self, row: Object, other: Object) -> None:
        """Refuse to put an object in the place of another that it can't replace."""
        if _is_directory(row):
            self._check_empty(other)
        elif _is_directory(other):
            raise fault(errno.EISDIR)

    def _move(
        self, parent: int, name: bytes, row: Object, new_parent: int, new_name: bytes, other: Object | None, now: int
    ) -> None:
        directory = int(_is_directory(row))
        self._tables.leave(parent, name)
        if other is None:
            self._tables.enter(new_parent, new_name, row.number)
        else:
            self._tables.lead(new_parent, new_name, row.number)
            self._unnamed(other, now)
        self._tables.save(row._replace(changed=now, parent=new_parent if directory else 0))
        came = int(other is None)
        if parent == new_parent:
            self._grown(self._object(parent), came - 1, directory * (came - 1), now)
        else:
            self._grown(self._object(parent), -1, -directory, now)
            self._grown(self._object(new_parent), came, directory * came, now)

    def _exchange(
        self, parent: int, name: bytes, row: Object, new_parent: int, new_name: bytes, other: Object, now: int
    ) -> None:
        self._tables.lead(parent, name, other.number)
        self._tables.lead(new_parent, new_name, row.number)
        more = int(_is_directory(row)) - int(_is_directory(other))
        self._tables.save(row._replace(changed=now, parent=new_parent if row.parent else 0))
        self._tables.save(other._replace(changed=now, parent=parent if other.parent else 0))
        self._grown(self._object(parent), 0, -more, now)
        self._grown(self._object(new_parent), 0, more, now)

    # ── directories ──

    def listing(self, number: int, position: int, most: int, attributes: bool) -> list[Item]:
        """See `trees.Tree`."""
        with self._held:
            self._directory(number)
            if not 0 <= position <= MAX_SIZE or most < 0:
                raise fault(errno.EINVAL)
            found = []
            for name, at, *rest in self._tables.listing(number, position, most):
                row = Object._make(rest)
                found.append(Item(name, at, row.number, row.mode, self._attr(row) if attributes else None))
            return found

    def parent(self, number: int) -> int:
        """See `trees.Tree`."""
        with self._held:
            return self._directory(number).parent


def _check_kind(kind: int, name: bytes, target: bytes) -> None:
    if kind not in _KINDS or (not name and kind != S_IFREG):
        raise fault(errno.EINVAL)
    if kind != _S_IFLNK:
        if target:
            raise fault(errno.EINVAL)
    elif not target:
        raise fault(errno.ENOENT)
    elif len(target) > MAX_TARGET:
        raise fault(errno.ENAMETOOLONG)
    elif b"\0" in target:
        raise fault(errno.EINVAL)
