"""Restoring: a snapshot, or any tree of UnixFS, into the caller's own tree. docs/spec/snapshot.md, "Restoring".

All is made under a partial name first; leaves that are stored already are not read. With a supplement everything is as
it was, without one what UnixFS says.
"""

import stat
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import islice

from commonhold.agent.blocks import Blocks, malformed
from commonhold.agent.changing import Changes
from commonhold.agent.places import about
from commonhold.calls import Watcher
from commonhold.errors import HoldError, Kind
from commonhold.formats import cid as cids
from commonhold.formats.cid import Cid
from commonhold.formats.supplement import EMPTY, Path, Record
from commonhold.formats.unixfs import Type
from commonhold.host.names import shown
from commonhold.sealing.links import link_of
from commonhold.trees import Change, Who
from commonhold.unixfs import read, run
from commonhold.volume.extents import Adoption
from commonhold.volume.pieces import CHUNK
from commonhold.volume.vault import Sealed

_AT_ONCE = 1024  # blocks and objects that are finished at once
_EXPECTED = 256  # entries of a directory whose blocks are asked for at once
_SECOND = 1_000_000_000
_DIRECTORIES = (Type.DIRECTORY, Type.HAMT)


class _Open:
    """A directory that is being restored. `special` is what UnixFS does not have of it."""

    __slots__ = ("change", "entries", "number", "path", "special", "who")

    def __init__(
        self, path: Path, number: int, who: Who, change: Change, entries: Iterator[read.Entry], special: list[Path]
    ) -> None:
        self.path = path
        self.number = number
        self.who = who
        self.change = change
        self.entries = entries
        self.special = special


class Restorer:
    """Restores one tree. `records` are its supplement's."""

    def __init__(
        self, changes: Changes, blocks: Blocks, records: Iterable[tuple[Path, Record]], watcher: Watcher
    ) -> None:
        self._changes = changes
        self._blocks = blocks
        self._records = dict(records)
        self._watcher = watcher
        self._first: dict[int, Record] = {}
        self._special: dict[Path, list[Path]] = defaultdict(list)
        for path, record in self._records.items():
            if record.same is not None:
                self._first.setdefault(record.same, record)
            if path and record.mode is not None and stat.S_IFMT(record.mode):
                self._special[path[:-1]].append(path)
        self._same: dict[int, int] = {}
        self._adoptions: list[Adoption] = []
        self._later: list[tuple[int, Change]] = []  # to be done when those are
        self.files = 0

    def restore(self, cid: Cid, at: Path, parent: int, name: bytes) -> int:
        """Make what is at a path of the tree under a free name; its number."""
        stack: list[_Open] = []
        who = self._above(at)
        number = self._node(cid, at, who, parent, name, stack)
        while stack:
            here = stack[-1]
            entry = next(here.entries, None)
            if entry is not None:
                path = (*here.path, entry.name)
                self._node(entry.cid, path, here.who, here.number, self._name(path), stack)
                continue
            for path in here.special:
                self._odd(path, here)
            self._later.append((here.number, here.change))
            stack.pop()
        self._flush()
        return number

    def _record(self, path: Path) -> Record:
        """What there is to say of what is at a path: of what has several names, wherever it is said."""
        record = self._records.get(path, EMPTY)
        return record if record.same is None else self._first[record.same]._replace(name=record.name)

    def _above(self, path: Path) -> Who:
        """Whose the directory above a path was."""
        owner, group, _ = self._changes.who
        for depth in range(len(path)):
            record = self._records.get(path[:depth], EMPTY)
            owner, group = record.owner or owner, record.group or group
        return Who(owner, group)

    def _name(self, path: Path) -> bytes:
        name = self._records.get(path, EMPTY).name
        return path[-1].encode() if name is None else name

    def _node(self, cid: Cid, path: Path, above: Who, parent: int, name: bytes, stack: list[_Open]) -> int:
        info = self._blocks.stat(cid)
        record = self._record(path)
        who = Who(record.owner or above.owner, record.group or above.group)
        said = "/".join(path)
        self.files += 1
        with about("restore", said):
            if record.same in self._same:
                number = self._same[record.same]
                self._changes.volume.link(number, parent, name)
                return number
            if info.type in _DIRECTORIES:
                number = self._changes.make(parent, name, stat.S_IFDIR | 0o700, who=who).number
                change = _change(record, info, who, 0o755)
                stack.append(_Open(path, number, who, change, self._entries(cid), self._special.get(path, [])))
            elif info.type is Type.SYMLINK:
                target = record.target if record.target is not None else (info.target or "").encode()
                number = self._changes.make(parent, name, stat.S_IFLNK | 0o777, 0, target, who).number
                self._later.append((number, _change(record, info, who, 0o777)))
            elif info.type in (Type.FILE, Type.RAW):
                number = self._changes.make(parent, name, stat.S_IFREG | 0o600, who=who).number
                self._content(cid, info.size, record, number)
                self._later.append((number, _change(record, info, who, 0o644)._replace(size=info.size)))
            else:
                raise HoldError("restore", Kind.UNSUPPORTED, shown(said), f"a node of type {info.type.name}")
            self._finish(number, record)
        return number

    def _finish(self, number: int, record: Record) -> None:
        for name, value in record.xattrs:
            self._changes.volume.set_xattr(number, name, value, 0)
        if record.same is not None:
            self._same[record.same] = number
        if len(self._adoptions) + len(self._later) >= _AT_ONCE:
            self._flush()

    def _odd(self, path: Path, here: _Open) -> None:
        """Make what UnixFS has no place for."""
        record = self._record(path)
        assert record.mode is not None
        self.files += 1
        who = Who(record.owner or here.who.owner, record.group or here.who.group)
        with about("restore", "/".join(path)):
            if record.same in self._same:
                self._changes.volume.link(self._same[record.same], here.number, self._name(path))
                return
            number = self._changes.make(here.number, self._name(path), record.mode, record.device or 0, who=who).number
            self._finish(number, record)
            mode = stat.S_IMODE(record.mode)
            self._later.append((number, Change(mode, who.owner, who.group, modified=record.modified)))

    def _entries(self, cid: Cid) -> Iterator[read.Entry]:
        with malformed("restore", cid):
            entries = run.items(read.listing(cid), self._blocks.fetch)
            while batch := list(islice(entries, _EXPECTED)):
                self._blocks.expect([entry.cid for entry in batch])
                yield from batch

    def _flush(self) -> None:
        """Take in what was found stored, and then do what would be undone by that."""
        volume = self._changes.volume
        adoptions, self._adoptions = self._adoptions, []
        if adoptions:
            volume.adopt(adoptions)
        later, self._later = self._later, []
        for number, change in later:
            volume.change(number, change)

    # ── contents ──

    def _content(self, cid: Cid, size: int, record: Record, number: int) -> None:
        at = 0
        for start, length in (*record.holes, (size, 0)):
            if not at <= start <= size:
                raise HoldError("restore", Kind.INVALID, str(cid), "holes that the file cannot have")
            if start > at:
                self._range(cid, at, start, number)
            at = start + length

    def _range(self, cid: Cid, start: int, stop: int, number: int) -> None:
        with malformed("restore", cid):
            for extent in run.items(read.extents(cid, start, stop), self._blocks.fetch):
                stored = _stored(extent)
                if stored is not None:
                    self._adoptions.append(Adoption(number, extent.offset, stored))
                    self._watcher.bytes(stored.length)
                else:
                    self._write(number, extent)

    def _write(self, number: int, extent: read.Extent) -> None:
        data = extent.data
        if data is None:
            assert extent.cid is not None
            data = self._blocks.block(extent.cid)
            if extent.whole is not None and len(data) != extent.whole:
                why = f"a leaf of {len(data)} bytes, its parent says otherwise"
                raise HoldError("restore", Kind.INVALID, str(extent.cid), why)
        view = memoryview(data)[extent.skip :]
        view = view if extent.size < 0 else view[: extent.size]
        at = extent.offset
        self._watcher.bytes(len(view))
        while view:
            done = self._changes.volume.write(number, at, view, False, False)
            at, view = at + done, view[done:]


def _stored(extent: read.Extent) -> Sealed | None:
    """The sealed block that has just what an extent has, if it is one as volumes have them."""
    cid = extent.cid
    if cid is None or extent.data is not None or not cid.keyed:
        return None
    link = link_of(cid.multihash)
    whole = extent.skip == 0 and extent.size == link.length == extent.whole
    if not whole or link.rows or not 0 < link.length <= CHUNK or link.plain.codec != cids.RAW:
        return None
    return Sealed(link.digest, link.read_key, link.plain.multihash.digest, link.length)


def _change(record: Record, info: read.Info, who: Who, usual: int) -> Change:
    """What an object is to be like. Set-ID bits are taken from a supplement alone: else they are a stranger's word."""
    mode = record.mode
    if mode is None:
        mode = (usual if info.mode is None else info.mode) & 0o1777
    modified = None if info.mtime is None else info.mtime.seconds * _SECOND + info.mtime.nanos
    return Change(stat.S_IMODE(mode), who.owner, who.group, modified=modified)
