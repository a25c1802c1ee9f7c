"""One add, as its words ask for it: which session it goes to, what seals on the way, what is known from before."""

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from commonhold.agent.adding import Adder, Options
from commonhold.agent.opened import Opened
from commonhold.api import Session
from commonhold.calls import Added, Adding, OsPath, Watcher
from commonhold.errors import HoldError, Kind
from commonhold.formats.capability import ReadCapability
from commonhold.host.names import shown
from commonhold.unixfs import chunk, profile
from commonhold.unixfs.build import Built
from commonhold.unixfs.chunk import FixedChunker

if TYPE_CHECKING:
    from commonhold.agent.reuse import Reuse
    from commonhold.agent.sealed import SealingSession


def options(how: Adding) -> Options:
    """What may change the CIDs. TOO_LARGE for chunks that cannot be sealed."""
    chosen = profile.by_name(how.profile)
    if how.mode or how.mtime:
        chosen = profile.with_attributes(chosen)
    chunker = chunk.parse_chunker(how.chunker) if how.chunker else FixedChunker(chosen.chunk_size)
    if how.sealed:
        from commonhold.sealing.block import MAX_LOAD

        largest = chunker.size if isinstance(chunker, FixedChunker) else chunker.maximum
        if largest > MAX_LOAD:
            why = f"chunks of {largest} bytes cannot be sealed, {MAX_LOAD} is the most"
            raise HoldError("add", Kind.TOO_LARGE, "--chunker", why, hint="--chunker size-1048576")
    return Options(chosen, chunker, how.hidden, how.mode, how.mtime, how.recursive)


class _Telling:
    """What an adder tells, passed on fit to be shown."""

    def __init__(self, watcher: Watcher, *, verbose: bool) -> None:
        self._watcher = watcher
        self._verbose = verbose
        self.bytes = watcher.bytes
        self.files = 0

    def file(self, path: str, built: Built) -> None:
        """One more is in."""
        self.files += 1
        if self._verbose:
            self._watcher.file(shown(path), built.cid, built.size)

    def skipped(self, path: str, why: str) -> None:
        """Something was left out."""
        self._watcher.skipped(shown(path), why)


@dataclass(frozen=True, slots=True)
class Job:
    """What the words ask for. Without a repository it only hashes; with a secret it seals.

    `own` is the directory of the caller's own things, which no tree takes in.
    """

    how: Adding
    options: Options
    watcher: Watcher
    repository: Opened | None
    secret: bytes | None
    own: os.stat_result | None

    def root(self, paths: list[OsPath], source: BinaryIO | None) -> Added:
        """Add one path, or several in one directory, as a pin of its own."""
        session = self._session()
        sealing = self._sealing(session)
        telling = _Telling(self.watcher, verbose=self.how.verbose)
        reuse = self._reuse(session)
        adder = Adder(sealing or session, self.options, telling, reuse, self.own)
        try:
            known = self._known(adder, paths) if self.how.reuse and reuse is not None else None
            if known is not None:
                return Added(shown(paths[0]), known.cid, known.size, None, telling.files)
            path, built = self._add(adder, paths, source)
            capability = sealing.capability(built.cid) if sealing else None
            added = _added(path, built, capability, telling.files)
            if self.repository is not None:
                self.watcher.bytes(0)  # whoever has left by now wants no pin
                session.commit(self.how.name or str(added.cid), added.cid)
            if reuse is not None:
                reuse.close()
            return added
        finally:
            adder.close()
            session.close()

    def _session(self) -> Session:
        if self.repository is None:
            from commonhold.agent.hashing import HashOnly

            return HashOnly()
        return self.repository.store.session(self.how.readers)

    def _sealing(self, session: Session) -> "SealingSession | None":
        """What seals on the way into a session, if that was asked for."""
        if self.secret is None:
            return None
        from commonhold.agent.sealed import SealingSession

        return SealingSession(session, self.secret, self.options.profile)

    def _add(self, adder: Adder, paths: list[OsPath], source: BinaryIO | None) -> tuple[str, Built]:
        parts = [(path, _stream(adder, source) if path == "-" else adder.add(path)) for path in paths]
        if self.how.wrap:
            return "", adder.wrap([(_name(path), one) for path, one in parts])
        return shown(parts[0][0]), parts[0][1]

    def _known(self, adder: Adder, paths: list[OsPath]) -> Built | None:
        """What a path was added as, if nothing in it has changed and its pin is still there."""
        known = adder.unchanged(paths[0]) if not self.how.wrap and paths[0] != "-" else None
        if known is None or self.repository is None:
            return None
        pin = self.repository.store.pin(self.how.name or str(known.cid))
        return known if pin is not None and (pin.root, pin.readers) == (known.cid, self.how.readers) else None

    def _reuse(self, session: Session) -> "Reuse | None":
        repository = self.repository
        if repository is None or self.secret is not None:  # the notes are of plain blocks
            return None
        from commonhold.agent.reuse import Reuse

        def present(built: Built) -> bool:
            """Have the session keep a file's blocks, if all are here."""
            return repository.blocks.keep_if_whole(session, built.cid)

        path = repository.path / "reuse.sqlite"
        return Reuse(path, self.options.label, present, self.watcher.remark, trust=self.how.reuse)


def _stream(adder: Adder, source: BinaryIO | None) -> Built:
    if source is None:
        raise HoldError("add", Kind.USAGE, "-", "there is no standard input", hint="name a file")
    return adder.add_stream(source)


def _added(path: str, built: Built, capability: ReadCapability | None, files: int) -> Added:
    if capability is None:
        return Added(path, built.cid, built.size, None, files)
    return Added(path, capability.cid, built.size, str(capability), files)


def _name(path: str) -> str:
    return "stdin" if path == "-" else os.path.basename(os.path.abspath(path))
