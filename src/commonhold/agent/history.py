"""Snapshots of the caller's own tree: `calls.History`."""

import os
import stat
from collections.abc import Callable, Iterator, Sequence

from commonhold.agent import places
from commonhold.agent.changing import Changes, partial_name
from commonhold.agent.chronicle import Entry
from commonhold.agent.naming import Found, parse_name
from commonhold.agent.opened import Opened
from commonhold.agent.own import Own
from commonhold.agent.restoring import Restorer
from commonhold.agent.shooting import chronicle_of, shoot
from commonhold.agent.weaving import stand_in
from commonhold.calls import OsPath, Restored, Shooting, Snapshot, Watcher
from commonhold.errors import HoldError, Kind
from commonhold.formats import supplement
from commonhold.formats.cid import Cid
from commonhold.formats.malformed import Malformed
from commonhold.formats.supplement import Path, Record
from commonhold.host.names import shown
from commonhold.trees import NO_REPLACE, ROOT, Attr, Change

_GONE = (Kind.NOT_FOUND, Kind.NOT_A_DIRECTORY)


class LocalHistory:
    """See `calls.History`."""

    def __init__(self, opened: Opened, own: Callable[[], Own]) -> None:
        self._opened = opened
        self._own = own

    def take(self, path: OsPath, how: Shooting, watcher: Watcher) -> Snapshot:
        """See `calls.History`."""
        own = self._own()
        return _told(shoot(own, places.parse("snapshot", path, own.uid), how, watcher))

    def all(self, path: OsPath) -> Iterator[Snapshot]:
        """See `calls.History`."""
        own = self._own()
        names = places.parse("history", path, own.uid)
        before: Cid | None = None
        for entry in self._entries(own):
            below = _below(entry, names)
            if not names:
                yield _told(entry)
            elif below is not None and (found := self._at(entry, below)) not in (None, before):
                before = found
                yield _told(entry)

    def _entries(self, own: Own) -> list[Entry]:
        with chronicle_of(own) as chronicle:
            return chronicle.all()

    def _at(self, entry: Entry, below: Sequence[bytes]) -> Cid | None:
        """What a snapshot has at a path below its own."""
        blocks, root = self._opened.find(parse_name(entry.root))
        try:
            return blocks.resolve(root, [stand_in(name) for name in below]).plain
        except HoldError as error:
            if error.kind not in _GONE:
                raise
            return None

    def remove(self, name: str) -> None:
        """See `calls.History`."""
        with chronicle_of(self._own()) as chronicle:
            chronicle.remove(name)

    # ── restoring ──

    def restore(self, what: str, below: OsPath, to: OsPath | None, watcher: Watcher) -> Restored:
        """See `calls.History`."""
        own = self._own()
        entry = self._entry(own, what)
        at = [part for part in os.fsencode(below).split(b"/") if part]
        target = self._target(own, entry, at, what, to)
        blocks, root = self._opened.find(self._opened.named(entry.root if entry else what))
        path = tuple(stand_in(name) for name in at)
        cid = blocks.resolve(root, list(path))
        records = self._records(entry, root.plain) if entry is not None else []
        restorer = Restorer(Changes(own), blocks, records, watcher)
        before = _Placing(own, restorer, watcher).put(cid, path, target)
        return Restored(OsPath(places.text(target)), restorer.files, before)

    def _entry(self, own: Own, what: str) -> Entry | None:
        """The snapshot that somebody names, or none: a CID or capability of any tree will do."""
        return next((entry for entry in self._entries(own) if what in (entry.name, entry.root)), None)

    def _target(self, own: Own, entry: Entry | None, below: list[bytes], what: str, to: OsPath | None) -> list[bytes]:
        if to is not None:
            return places.parse("restore", to, own.uid)
        if entry is None:
            why = "no snapshot of this tree, so it is not known where it was"
            raise HoldError("restore", Kind.USAGE, _short(what), why, hint="--to /hold/me/PATH")
        return [*entry.path, *below]

    def _records(self, entry: Entry, root: Cid) -> list[tuple[Path, Record]]:
        found = self._opened.find(parse_name(entry.supplement))
        try:
            made_for, records = supplement.decode(_content(found))
        except Malformed as error:
            raise HoldError("restore", Kind.CORRUPT, entry.name, str(error)) from error
        if made_for != root:
            raise HoldError("restore", Kind.CORRUPT, entry.name, "its supplement is another tree's")
        return records


class _Placing:
    """Puts what is restored where it belongs, in place of what is there."""

    def __init__(self, own: Own, restorer: Restorer, watcher: Watcher) -> None:
        self._own = own
        self._restorer = restorer
        self._watcher = watcher
        self._changes = Changes(own)

    def put(self, cid: Cid, path: Path, target: list[bytes]) -> str | None:
        """Restore what is at a path of the tree; the name of the snapshot of what was there."""
        volume = self._changes.volume
        above = target[:-1]
        parent = places.directory("restore", volume, above).number
        name = target[-1] if target else b"restored"
        partial = partial_name(name)
        # To make something in the root is to change it.
        before = None if target else self._before(target)
        with places.about("restore", places.text(target)):
            try:
                number = self._restorer.restore(cid, path, parent, partial)
                if target:
                    before = self._before(target)
                    self._changes.put_over(parent, partial, name)
                else:
                    self._into_root(volume.attr(number), partial)
            except BaseException:
                self._remove(parent, partial)
                raise
            self._changes.done()
        return before

    def _before(self, target: list[bytes]) -> str | None:
        try:
            places.find("restore", self._changes.volume, target)
        except HoldError as error:
            if error.kind is not Kind.NOT_FOUND:
                raise
            return None
        return shoot(self._own, target, Shooting(), self._watcher, automatic=True).name

    def _into_root(self, made: Attr, partial: bytes) -> None:
        """Have the root be what was made: its entries leave together, and the new ones come, in one commit."""
        changes, volume = self._changes, self._changes.volume
        if not stat.S_ISDIR(made.mode):
            why = "the tree's root is a directory, and this is none"
            raise HoldError("restore", Kind.NOT_A_DIRECTORY, places.TREE, why, hint="--to /hold/me/NAME")
        old = partial_name(b"before")
        with changes.together():
            leaving = changes.make(ROOT, old, stat.S_IFDIR | 0o700).number
            for item in _all(changes, ROOT):
                if item not in (partial, old):
                    changes.rename(ROOT, item, leaving, item, 0)
            for item in _all(changes, made.number):
                self._into(made.number, item, leaving)
            for name in volume.xattrs(ROOT):
                volume.remove_xattr(ROOT, name)
            for name in volume.xattrs(made.number):
                volume.set_xattr(ROOT, name, volume.xattr(made.number, name), 0)
            changes.rmdir(ROOT, partial)
            like = Change(stat.S_IMODE(made.mode), made.owner, made.group, modified=made.modified)
            changes.change(ROOT, like)
        changes.remove(ROOT, old)
        changes.change(ROOT, like)

    def _into(self, directory: int, name: bytes, leaving: int) -> None:
        """Move an entry to the root. What has come there under its name just now leaves with the others."""
        try:
            self._changes.rename(directory, name, ROOT, name, NO_REPLACE)
        except FileExistsError:
            self._changes.rename(ROOT, name, leaving, partial_name(name), 0)
            self._changes.rename(directory, name, ROOT, name, NO_REPLACE)

    def _remove(self, parent: int, partial: bytes) -> None:
        """Take away what is not whole."""
        try:
            self._changes.remove(parent, partial)
        except FileNotFoundError:
            return


def _all(changes: Changes, directory: int) -> list[bytes]:
    found: list[bytes] = []
    position = 0
    while items := changes.volume.listing(directory, position, 1024, False):
        found += [item.name for item in items]
        position = items[-1].position
    return found


def _below(entry: Entry, names: list[bytes]) -> list[bytes] | None:
    """The part of a path that is below a snapshot's; None if it is not in that."""
    depth = len(entry.path)
    return names[depth:] if tuple(names[:depth]) == entry.path else None


def _content(found: Found) -> bytes:
    from commonhold.agent.streaming import Reader

    size = found.blocks.stat(found.cid).size
    if size > supplement.MAX_BYTES:
        raise Malformed("supplement", f"{size} bytes")
    reader = Reader(found.blocks)
    try:
        content = bytearray()
        for piece in reader.pieces(found.cid):
            content += piece.data
            reader.give_back(piece)
        return bytes(content)
    finally:
        reader.close()


def _told(entry: Entry) -> Snapshot:
    path = OsPath(places.text(entry.path))
    made = entry.made / 1e9
    return Snapshot(entry.name, path, entry.root, entry.cid, made, entry.size, entry.files, entry.automatic)


def _short(what: str) -> str:
    from commonhold.formats.link import is_secret

    return f"{what[:10]}…" if is_secret(what) else shown(what)[:80]
