"""The caller's own tree without a mount: `calls.OwnTree` over the volume that mounts use, too."""

import os
import stat
from collections.abc import Callable, Iterator

from commonhold.agent import places
from commonhold.agent.changing import Changes
from commonhold.agent.own import Own
from commonhold.calls import Held, HeldEntry, Moved, Open, OsPath, Watcher
from commonhold.errors import HoldError, Kind
from commonhold.host import passed
from commonhold.host.names import shown
from commonhold.trees import ROOT, Attr
from commonhold.volume.volume import Volume

_AT_ONCE = 256
_READ = 1 << 20


class LocalTree:
    """See `calls.OwnTree`."""

    def __init__(self, own: Callable[[], Own]) -> None:
        self._own = own

    def _found(self, op: str, path: OsPath) -> tuple[Volume, Attr]:
        own = self._own()
        volume = own.volume()
        return volume, places.find(op, volume, places.parse(op, path, own.uid))

    # ── looking ──

    def stat(self, path: OsPath) -> Held:
        """See `calls.OwnTree`."""
        return _held(*self._found("stat", path))

    def listing(self, path: OsPath, names_only: bool) -> Iterator[HeldEntry]:
        """See `calls.OwnTree`."""
        volume, found = self._found("ls", path)
        if not stat.S_ISDIR(found.mode):
            name = OsPath(os.path.basename(path.rstrip("/")))
            yield HeldEntry(name, None if names_only else _held(volume, found))
            return
        position = 0
        while items := volume.listing(found.number, position, _AT_ONCE, not names_only):
            for item in items:
                held = None if item.attr is None else _held(volume, item.attr)
                yield HeldEntry(OsPath(os.fsdecode(item.name)), held)
            position = items[-1].position

    def read(self, path: OsPath, start: int, stop: int | None, into: Open) -> None:
        """See `calls.OwnTree`."""
        volume, found = self._found("cat", path)
        with places.about("cat", path):
            volume.open(found.number, False, False)
            while stop is None or start < stop:
                size = _READ - start % _READ
                data = volume.read(found.number, start, size if stop is None else min(size, stop - start))
                if not data:
                    return
                passed.write_all(into, memoryview(data))
                start += len(data)

    def get(self, path: OsPath, target: OsPath, watcher: Watcher) -> Moved:
        """See `calls.OwnTree`."""
        from commonhold.agent.takingout import Taker

        volume, found = self._found("get", path)
        taker = Taker(volume, watcher)
        taker.take(found, target)
        return Moved(taker.files)

    # ── changing ──

    def put(self, sources: list[OsPath], path: OsPath, source: Open | None, watcher: Watcher) -> Moved:
        """See `calls.OwnTree`."""
        from commonhold.agent.putting import Putter

        own = self._own()
        changes = Changes(own)
        parent, name = _destination(changes.volume, places.parse("put", path, own.uid), path, sources)
        putter = Putter(changes, watcher, own.state.stat())
        for one in sources:
            under = name if name is not None else os.fsencode(os.path.basename(os.path.abspath(one)))
            if one != "-":
                putter.put(one, parent, under)
                continue
            if source is None or name is None:
                raise HoldError("put", Kind.USAGE, "-", "standard input needs a name: the path of a file")
            with passed.reading(source) as stream:
                putter.put_stream(stream, parent, under, 0o666 & ~_umask())
        watcher.bytes(0)
        with places.about("put", path):
            changes.done()
        return Moved(putter.files)

    def make_directory(self, path: OsPath, parents: bool) -> None:
        """See `calls.OwnTree`."""
        own = self._own()
        changes = Changes(own)
        names = places.parse("mkdir", path, own.uid)
        first = 0 if parents else max(0, len(names) - 1)
        at = places.directory("mkdir", changes.volume, names[:first]).number
        for depth in range(first, len(names)):
            with places.about("mkdir", places.text(names[: depth + 1])):
                try:
                    at = changes.make(at, names[depth], stat.S_IFDIR | 0o777 & ~_umask()).number
                except FileExistsError:
                    if not parents:
                        raise
                    at = places.directory("mkdir", changes.volume, names[: depth + 1]).number
        if not names and not parents:
            raise HoldError("mkdir", Kind.EXISTS, shown(path), "there is something already")
        with places.about("mkdir", path):
            changes.done()

    def remove(self, path: OsPath, recursive: bool) -> None:
        """See `calls.OwnTree`."""
        own = self._own()
        changes = Changes(own)
        names = places.parse("rm", path, own.uid)
        if not names:
            raise HoldError("rm", Kind.USAGE, shown(path), "is the tree itself", hint=f"name what is in {places.TREE}")
        found = places.find("rm", changes.volume, names)
        parent = places.directory("rm", changes.volume, names[:-1]).number
        with places.about("rm", path):
            if recursive:
                changes.remove(parent, names[-1])
            elif stat.S_ISDIR(found.mode):
                hint = "hold rm -r removes it with all that is in it"
                raise HoldError("rm", Kind.IS_A_DIRECTORY, shown(path), "is a directory", hint=hint)
            else:
                changes.unlink(parent, names[-1])
            changes.done()


def _destination(volume: Volume, names: list[bytes], path: str, sources: list[OsPath]) -> tuple[int, bytes | None]:
    """Where sources go: a directory, and the one name there, or None: each its own."""
    if not sources:
        raise HoldError("put", Kind.USAGE, "LOCAL", "nothing is named that could be put")
    try:
        found = places.find("put", volume, names) if names else volume.attr(ROOT)
    except HoldError as error:
        if error.kind is not Kind.NOT_FOUND or path.endswith("/") or len(sources) > 1:
            raise
        return places.directory("put", volume, names[:-1]).number, names[-1]
    if stat.S_ISDIR(found.mode):
        return found.number, None
    if path.endswith("/") or len(sources) > 1:
        raise HoldError("put", Kind.NOT_A_DIRECTORY, shown(path), "not a directory", hint="hold mkdir makes one")
    return places.directory("put", volume, names[:-1]).number, names[-1]


def _umask() -> int:
    """The caller's, which this thread has."""
    found = os.umask(0o077)
    os.umask(found)
    return found


def _held(volume: Volume, attr: Attr) -> Held:
    target = OsPath(os.fsdecode(volume.target(attr.number))) if stat.S_ISLNK(attr.mode) else None
    return Held(*attr[1:], target)
