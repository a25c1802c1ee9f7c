"""Take files and directories in. The last line on standard output is the root CID.

What is added is pinned under --name, or under its own CID. Names that begin with a dot, what a .holdignore lists, and
the repository itself are left out of directories.

With --sealed nobody can read the blocks without the read capability, which is then the last line instead. Whoever has
it can read all of it, and nobody can take it back. It is never part of a pin's name.
"""

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from commonhold.cli.opening import choose, opened
from commonhold.cli.output import Output, counted, human
from commonhold.cli.values import filled, reader_options, readers_of
from commonhold.errors import HoldError, Kind

if TYPE_CHECKING:
    from commonhold.agent.adding import Adder, Options
    from commonhold.agent.reuse import Reuse
    from commonhold.agent.sealed import SealingSession
    from commonhold.api import Session
    from commonhold.cli.opening import Opened
    from commonhold.formats.capability import ReadCapability
    from commonhold.formats.cid import Cid
    from commonhold.unixfs.build import Built
    from commonhold.unixfs.chunk import CdcChunker, FixedChunker

EXAMPLES = """examples:
  hold add -r ~/Documents --name documents
  tar c /etc | hold add - --name etc.tar
  hold add -r --sealed ~/Letters"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """The words after `add`."""
    parser.add_argument(
        "paths", nargs="+", type=filled, metavar="PATH", help="files and directories; - is standard input"
    )
    parser.add_argument("-r", "--recursive", action="store_true", help="directories with all that is in them")
    parser.add_argument(
        "--profile",
        default="unixfs-v1-2025",
        metavar="NAME",
        help="what CIDs come out: unixfs-v1-2025 (default), unixfs-v0-2015",
    )
    parser.add_argument(
        "--chunker",
        type=filled,
        metavar="HOW",
        help="cut files by size-N or by content, cdc-MIN-AVG-MAX, in bytes; else size-1048576 (v0: size-262144)",
    )
    reader_options(parser)
    parser.add_argument("--only-hash", "-n", action="store_true", help="say the CIDs and store nothing")
    parser.add_argument("--hidden", action="store_true", help="also names that begin with a dot")
    parser.add_argument("--mode", action="store_true", help="keep permission bits")
    parser.add_argument("--mtime", action="store_true", help="keep modification times")
    parser.add_argument("--sealed", action="store_true", help="encrypted: the last line is the read capability")
    parser.add_argument(
        "--name",
        type=filled,
        metavar="PINNAME",
        help="the pin's name, in place of the CID; it replaces the pin of that name",
    )
    parser.add_argument(
        "-w", "--wrap", action="store_true", help="put all PATHs in one directory, which is the root then"
    )
    parser.add_argument(
        "--reuse", action="store_true", help="trust size and times of files added before; not with --sealed"
    )
    parser.add_argument("-v", "--verbose", action="store_true", help="a line for every file and directory")
    parser.add_argument("-Q", "--quieter", action="store_true", help="print the root CID only")


def _options(args: argparse.Namespace) -> "Options":
    from commonhold.agent.adding import Options
    from commonhold.unixfs import chunk, profile

    chosen = profile.by_name(args.profile)
    if args.mode or args.mtime:
        chosen = profile.with_attributes(chosen)
    chunker = chunk.parse_chunker(args.chunker) if args.chunker else chunk.FixedChunker(chosen.chunk_size)
    if args.sealed:
        _refuse_large_chunks(chunker)
    return Options(chosen, chunker, args.hidden, args.mode, args.mtime, args.recursive)


def _refuse_large_chunks(chunker: "FixedChunker | CdcChunker") -> None:
    from commonhold.sealing.block import MAX_LOAD
    from commonhold.unixfs.chunk import FixedChunker

    largest = chunker.size if isinstance(chunker, FixedChunker) else chunker.maximum
    if largest > MAX_LOAD:
        why = f"chunks of {largest} bytes cannot be sealed, {MAX_LOAD} is the most"
        raise HoldError("add", Kind.TOO_LARGE, "--chunker", why, hint="--chunker size-1048576")


class _Root(NamedTuple):
    """What came of one root. `name` is its pin's, unless there is a --name."""

    path: str
    built: "Built"
    cid: "Cid"
    capability: "ReadCapability | None"


class _Watch:
    """Tells the user how an add goes."""

    def __init__(self, out: Output, *, verbose: bool, sealed: bool) -> None:
        self._out = out
        self._verbose = verbose
        self._sealed = sealed  # then a file's own CID is the name of nothing that is there
        self._progress = out.progress("added")
        self.bytes = self._progress.bytes
        self.remark = out.remark
        self.close = self._progress.close
        self.files = 0
        self.skips = 0

    @property
    def done(self) -> int:
        """Bytes read."""
        return self._progress.done

    def file(self, path: str, built: "Built") -> None:
        """One more is in."""
        self.files += 1
        if self._verbose:
            from commonhold.host.names import shown

            row: dict[str, object] = {"path": shown(path), "size": built.size}
            if self._sealed:
                self._out.result(row, f"sealed {shown(path)}")
            else:
                self._out.result({"cid": str(built.cid)} | row, f"added {built.cid} {shown(path)}")

    def skipped(self, path: str, why: str) -> None:
        """Something was left out."""
        from commonhold.host.names import shown

        self.skips += 1
        self._out.remark(f"skipped {shown(path)}: {why}")


def run(args: argparse.Namespace, out: Output) -> int:
    """Add them."""
    if args.name and len(args.paths) > 1 and not args.wrap:
        raise HoldError("add", Kind.USAGE, "--name", "names one root, and there are several PATHs", hint="add -w")
    if args.quieter:
        out.quiet = True
    watch = _Watch(out, verbose=args.verbose and not args.quieter, sealed=args.sealed)
    groups = [args.paths] if args.wrap else [[path] for path in args.paths]
    try:
        with _job(args, out, watch) as job:
            added = [job.root(group) for group in groups]
    finally:
        watch.close()
    for root in added:
        row = {"cid": str(root.cid), "path": root.path, "size": root.built.size, "root": True}
        if root.capability is not None:
            row["capability"] = str(root.capability)
        done = "sealed" if root.capability is not None else "added"
        out.result(row, None if args.quieter else f"{done} {root.cid} {root.path}")
        if not out.json and (root.capability is not None or root is added[-1]):
            out.line(str(root.capability or root.cid))
    what = counted(watch.files, "file or directory", "files and directories")
    out.remark(f"{what}, {human(watch.done)} read")
    return 0


@dataclass(frozen=True, slots=True)
class _Job:
    """What the words ask for. Without a repository it only hashes; with a secret it seals."""

    args: argparse.Namespace
    options: "Options"
    watch: _Watch
    repository: "Opened | None"
    secret: bytes | None
    own: os.stat_result | None

    def root(self, group: list[str]) -> _Root:
        """Add one path, or several in one directory, as a pin of its own."""
        from commonhold.agent.adding import Adder

        session = self._session()
        sealing = self._sealing(session)
        reuse = self._reuse(session)
        adder = Adder(sealing or session, self.options, self.watch, reuse, self.own)
        try:
            known = self._known(adder, group) if self.args.reuse and reuse is not None else None
            if known is not None:
                return known
            path, built = self._add(adder, group)
            capability = sealing.capability(built.cid) if sealing else None
            root = _Root(path, built, capability.cid if capability else built.cid, capability)
            if self.repository is not None:
                session.commit(self.args.name or str(root.cid), root.cid)
            if reuse is not None:
                reuse.close()
            return root
        finally:
            adder.close()
            session.close()

    def _session(self) -> "Session":
        if self.repository is None:
            from commonhold.agent.hashing import HashOnly

            return HashOnly()
        return self.repository.store.session(readers_of(self.args))

    def _sealing(self, session: "Session") -> "SealingSession | None":
        """What seals on the way into a session, if that was asked for."""
        if self.secret is None:
            return None
        from commonhold.agent.sealed import SealingSession

        return SealingSession(session, self.secret, self.options.profile)

    def _add(self, adder: "Adder", group: list[str]) -> tuple[str, "Built"]:
        from commonhold.host.names import shown

        parts = [(path, adder.add_stream(sys.stdin.buffer) if path == "-" else adder.add(path)) for path in group]
        if self.args.wrap:
            return "", adder.wrap([(_name(path), one) for path, one in parts])
        return shown(parts[0][0]), parts[0][1]

    def _known(self, adder: "Adder", group: list[str]) -> _Root | None:
        """What a path was added as, if nothing in it has changed and its pin is still there."""
        from commonhold.host.names import shown

        known = adder.unchanged(group[0]) if not self.args.wrap and group[0] != "-" else None
        if known is None or self.repository is None:
            return None
        pin = self.repository.store.pin(self.args.name or str(known.cid))
        same = pin is not None and (pin.root, pin.readers) == (known.cid, readers_of(self.args))
        return _Root(shown(group[0]), known, known.cid, None) if same else None

    def _reuse(self, session: "Session") -> "Reuse | None":
        repository = self.repository
        if repository is None or self.secret is not None:  # the notes are of plain blocks
            return None
        from commonhold.agent.reuse import Reuse

        def present(built: "Built") -> bool:
            """Have the session keep a file's blocks, if all are here."""
            return repository.blocks.keep_if_whole(session, built.cid)

        path = repository.path / "reuse.sqlite"
        return Reuse(path, self.options.label, present, self.watch.remark, trust=self.args.reuse)


@contextmanager
def _job(args: argparse.Namespace, out: Output, watch: _Watch) -> Iterator[_Job]:
    options = _options(args)
    if args.only_hash:
        yield _Job(args, options, watch, None, _secret(args, choose(args).path) if args.sealed else None, _own(args))
        return
    with opened(args, out) as repository:
        yield _Job(args, options, watch, repository, _secret(args, repository.path), _own(args))


def _own(args: argparse.Namespace) -> os.stat_result | None:
    """The repository's directory, if there is one: hashing needs none."""
    try:
        return choose(args).path.stat()
    except (HoldError, OSError):
        return None


def _secret(args: argparse.Namespace, repository: Path) -> bytes | None:
    if not args.sealed:
        return None
    from commonhold.agent.secrets import convergence_secret

    return convergence_secret(repository)


def _name(path: str) -> str:
    return "stdin" if path == "-" else os.path.basename(os.path.abspath(path))
