"""Tracing a point in time, object by object: what each becomes in UnixFS, and what the supplement has to say of it."""

import hashlib
import stat
from collections.abc import Iterator

from commonhold.agent.looms import Loom, Woven
from commonhold.agent.remembering import SETTLED_NS, Memory
from commonhold.agent.weaving import Attributes, Bytes, Weaver, stand_in
from commonhold.calls import Watcher
from commonhold.formats.cid import Cid
from commonhold.formats.supplement import EMPTY, Path, Record
from commonhold.formats.unixfs import Mtime
from commonhold.sealing.block import Row
from commonhold.unixfs.directory import Entry
from commonhold.volume.point import Point
from commonhold.volume.tables import Object

_SECOND = 1_000_000_000
_PLAIN = 0o1777  # the permissions that UnixFS is told: set-ID bits are nobody else's business
KINDS = (stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK)  # that UnixFS has


class _Open:
    """A directory that is being traced."""

    __slots__ = ("children", "entries", "mark", "name", "row", "rows")

    def __init__(self, name: str, row: Object, entries: Iterator[tuple[bytes, Object]]) -> None:
        self.name = name
        self.row = row
        self.entries = entries
        self.children: list[Entry] = []
        self.rows: dict[Cid, Row] = {}
        self.mark = hashlib.blake2b(digest_size=32)

    def add(self, name: str, woven: Woven) -> None:
        """Something is in it."""
        self.children.append(Entry(name, woven.cid, woven.tsize))
        if woven.row is not None:
            self.rows[woven.cid] = woven.row
        text = name.encode()
        self.mark.update(b"%d %b%d %b" % (len(text), text, woven.tsize, woven.cid))


class Tracer:
    """Traces one tree. `now` is the time of the point; `records` is what its supplement says then."""

    def __init__(self, point: Point, loom: Loom, memory: Memory, now: int, watcher: Watcher) -> None:
        self._point = point
        self._loom = loom
        self._memory = memory
        self._now = now
        self._watcher = watcher
        self._weaver = Weaver(loom)
        self._several: dict[int, Woven] = {}  # files with several names
        self.records: list[tuple[Path, Record]] = []
        self.size = 0
        self.files = 0

    def trace(self, row: Object) -> Woven:
        """What an object and all below it become. Without recursion: a tree may be of any depth."""
        self._say((), row, None, b"")
        if not stat.S_ISDIR(row.mode):
            return self._woven(row)
        stack = [self._enter("", row)]
        while True:
            here = stack[-1]
            found = next(here.entries, None)
            if found is None:
                woven = self._leave(stack.pop())
                if not stack:
                    return woven
                stack[-1].add(here.name, woven)
                continue
            name, row = found
            text = stand_in(name)
            self._say((*(one.name for one in stack[1:]), text), row, here.row, name)
            if stat.S_ISDIR(row.mode):
                stack.append(self._enter(text, row))
            elif stat.S_IFMT(row.mode) in KINDS:
                here.add(text, self._woven(row))
                self.files += 1

    def _enter(self, name: str, row: Object) -> _Open:
        self.files += 1
        return _Open(name, row, self._point.entries(row.number))

    # ── what it becomes ──

    def _leave(self, here: _Open) -> Woven:
        attributes = _attributes(here.row)
        here.mark.update(repr(attributes).encode())
        stamp = here.mark.digest()
        known = self._memory.find(here.row.number, stamp)
        if known is not None:
            self._loom.keep(known.blocks)
            return known.woven
        self._weaver.made = []
        woven = self._weaver.directory(here.children, here.rows, attributes)
        self._memory.note(here.row.number, stamp, woven, self._weaver.made)
        return woven

    def _woven(self, row: Object) -> Woven:
        if row.links < 2:
            return self._file(row)
        if row.number not in self._several:
            self._several[row.number] = self._file(row)
        return self._several[row.number]

    def _file(self, row: Object) -> Woven:
        self.size += row.size
        stamp = b"%d %d %d" % (row.changed, row.size, self._point.newest(row.number) if row.held else 0)
        known = self._memory.find(row.number, stamp)
        if known is not None:
            self._loom.keep(known.blocks)
            self._watcher.bytes(row.size)
            return known.woven
        self._weaver.made = []
        if stat.S_ISLNK(row.mode):
            woven = self._weaver.symlink(_shown(self._point.target(row.number)), _mtime(row))
        else:
            woven = self._weaver.file(self._bytes(row), _attributes(row))
        if row.changed < self._now - SETTLED_NS:
            self._memory.note(row.number, stamp, woven, self._weaver.made)
        return woven

    def _bytes(self, row: Object) -> Bytes:
        point, number = self._point, row.number

        def leaf(start: int, stop: int) -> Woven:
            self._watcher.bytes(stop - start)
            stored = point.whole(number, start, stop)
            return self._loom.leaf(point.read(number, start, stop)) if stored is None else self._loom.stored(stored)

        def read(start: int, stop: int) -> bytes:
            self._watcher.bytes(stop - start)
            return point.read(number, start, stop)

        return Bytes(row.size, leaf, lambda start, stop: point.empty(number, start, stop), read)

    # ── what there is to say of it ──

    def _say(self, path: Path, row: Object, above: Object | None, name: bytes) -> None:
        several = row.links > 1 and not stat.S_ISDIR(row.mode)
        record = EMPTY if several and row.number in self._several else self._record(row, above)
        if several:
            record = record._replace(same=row.number)
        if path and name != path[-1].encode():
            record = record._replace(name=name)
        if record != EMPTY:
            self.records.append((path, record))

    def _record(self, row: Object, above: Object | None) -> Record:
        point, kind = self._point, stat.S_IFMT(row.mode)
        said = EMPTY
        if row.links > 1 and not stat.S_ISDIR(row.mode):
            above = None  # it may come back by another of its names, in another directory
        if above is None or row.owner != above.owner:
            said = said._replace(owner=point.principal_name(row.owner))
        if above is None or row.group != above.group:
            said = said._replace(group=point.principal_name(row.group))
        names = sorted(name for name, _ in point.xattrs(row.number))
        if names:
            said = said._replace(xattrs=tuple((name, point.xattr(row.number, name) or b"") for name in names))
        if kind not in KINDS:
            device = row.device if kind in (stat.S_IFCHR, stat.S_IFBLK) else None
            return said._replace(mode=row.mode, device=device, modified=row.modified)
        mode = stat.S_IMODE(row.mode)
        if mode != (0o777 if kind == stat.S_IFLNK else mode & _PLAIN) or (not mode and kind == stat.S_IFREG):
            said = said._replace(mode=mode)
        if kind == stat.S_IFLNK:
            target = point.target(row.number)
            return said if _shown(target).encode() == target else said._replace(target=target)
        if kind == stat.S_IFREG and row.held < row.size:
            said = said._replace(holes=tuple(point.holes(row)))
        return said


def _shown(target: bytes) -> str:
    """What stands for a symbolic link's target, which may be no UTF-8."""
    return target.decode(errors="backslashreplace")


def _attributes(row: Object) -> Attributes:
    return Attributes(stat.S_IMODE(row.mode) & _PLAIN, _mtime(row))


def _mtime(row: Object) -> Mtime:
    return Mtime(*divmod(row.modified, _SECOND))
