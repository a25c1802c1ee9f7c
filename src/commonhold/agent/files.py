"""Files and trees of one user: `calls.Files` over an open repository, or over none for what only hashes."""

import os
from collections.abc import Iterator
from pathlib import Path

from commonhold.agent.blocks import Blocks, malformed
from commonhold.agent.naming import Found, Named
from commonhold.agent.opened import Opened
from commonhold.calls import Added, Adding, Got, Listed, Open, OsPath, Stat, Watcher
from commonhold.errors import HoldError, Kind
from commonhold.formats.cid import Cid
from commonhold.host import passed
from commonhold.unixfs import read
from commonhold.unixfs.run import items


class LocalFiles:
    """See `calls.Files`. `own` is where the caller's own things are, which no tree takes in."""

    def __init__(self, opened: Opened | None, own: Path | None) -> None:
        self._opened = opened
        self._own = own

    def add(self, paths: list[OsPath], how: Adding, source: Open | None, watcher: Watcher) -> Added:
        """See `calls.Files`."""
        from commonhold.agent.jobs import Job, options

        if not paths or (len(paths) > 1 and not how.wrap):
            raise HoldError("add", Kind.USAGE, "PATH", "one is wanted, or several that are to be wrapped")
        repository = None if how.only_hash else self._repository()
        job = Job(how, options(how), watcher, repository, self._secret() if how.sealed else None, self._status())
        if source is None:
            return job.root(paths, None)
        with passed.reading(source) as stream:
            return job.root(paths, stream)

    def _repository(self) -> Opened:
        if self._opened is None:
            raise HoldError("add", Kind.NO_REPOSITORY, "repository", "there is none here")
        return self._opened

    def _status(self) -> os.stat_result | None:
        try:
            return self._own.stat() if self._own is not None else None
        except OSError:
            return None

    def _secret(self) -> bytes:
        from commonhold.agent.secrets import convergence_secret

        if self._own is None:
            raise HoldError("add", Kind.NO_REPOSITORY, "repository", "there is none here to have a key")
        return convergence_secret(self._own)

    def _find(self, what: str) -> tuple[Named, Found]:
        repository = self._repository()
        named = repository.named(what)
        return named, repository.find(named)

    def get(self, what: str, target: OsPath, watcher: Watcher) -> Got:
        """See `calls.Files`."""
        from commonhold.agent.getting import Getter

        _, found = self._find(what)
        counting = _Counting(watcher)
        getter = Getter(found.blocks, counting)
        try:
            getter.get(found.cid, target)
        finally:
            getter.close()
        return Got(found.cid.plain, counting.files)

    def archive(self, what: str, into: Open, watcher: Watcher) -> Got:
        """See `calls.Files`."""
        from commonhold.agent.archiving import export_tar

        named, found = self._find(what)
        name = named.path[-1] if named.path else str(found.cid)
        with passed.writing(into) as sink:
            return Got(found.cid.plain, export_tar(found.blocks, found.cid, name, sink, watcher.bytes))

    def read(self, what: str, start: int, stop: int | None, into: Open) -> None:
        """See `calls.Files`."""
        from commonhold.agent.streaming import Reader

        blocks, root = self._find(what)[1]
        reader = Reader(blocks)
        try:
            for piece in reader.pieces(root, start, stop):
                passed.write_all(into, piece.data)
                reader.give_back(piece)
        finally:
            reader.close()

    def listing(self, what: str, names_only: bool) -> Iterator[Listed]:
        """See `calls.Files`."""
        named, (blocks, root) = self._find(what)
        if blocks.stat(root).type.name not in ("DIRECTORY", "HAMT"):
            name = named.path[-1] if named.path else str(root)
            yield Listed(name, root.plain, None if names_only else _stat(blocks, root))
            return
        with malformed("ls", root):
            for entry in items(read.listing(root), blocks.fetch):
                yield Listed(entry.name, entry.cid.plain, None if names_only else _stat_if_here(blocks, entry.cid))

    def stat(self, what: str) -> Stat:
        """See `calls.Files`."""
        return _stat(*self._find(what)[1])


class _Counting:
    """Counts what is written out, and passes on how it goes."""

    def __init__(self, watcher: Watcher) -> None:
        self.bytes = watcher.bytes
        self.files = 0

    def file(self, path: str) -> None:
        """One more is there."""
        self.files += 1


def _stat_if_here(blocks: Blocks, cid: Cid) -> Stat | None:
    try:
        return _stat(blocks, cid)
    except HoldError as error:
        if error.kind is not Kind.NOT_FOUND:
            raise
        return None


def _stat(blocks: Blocks, cid: Cid) -> Stat:
    info = blocks.stat(cid)
    kind = {"HAMT": "directory"}.get(info.type.name, info.type.name.lower())
    mtime = None if info.mtime is None else info.mtime.seconds + info.mtime.nanos / 1e9
    return Stat(cid.plain, kind, info.type.name == "HAMT", info.size, info.links, info.mode, mtime, info.target)
