"""Take files and directories in. The last line on standard output is the root CID.

What is added is pinned under --name, or under its own CID. Names that begin with a dot, what a .holdignore lists, and
the repository itself are left out of directories.

With --sealed nobody can read the blocks without the read capability, which is then the last line instead. Whoever has
it can read all of it, and nobody can take it back. It is never part of a pin's name.
"""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from commonhold.calls import Added, Adding, Open, OsPath
from commonhold.cli.opening import agent, hashing
from commonhold.cli.output import Output, counted, human
from commonhold.cli.values import filled, reader_options, readers_of
from commonhold.cli.watching import Watch
from commonhold.errors import HoldError, Kind

if TYPE_CHECKING:
    from commonhold.calls import Files
    from commonhold.formats.cid import Cid

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


class _Watch(Watch):
    """Of what is sealed a file's own CID is not told: it is the name of nothing that is there."""

    def __init__(self, out: Output, *, sealed: bool) -> None:
        super().__init__(out, "added")
        self._sealed = sealed

    def file(self, path: str, cid: "Cid", size: int) -> None:
        """See `Watch`."""
        if self._sealed:
            self._out.result({"path": path, "size": size}, f"sealed {path}")
        else:
            super().file(path, cid, size)


def run(args: argparse.Namespace, out: Output) -> int:
    """Add them."""
    if args.name and len(args.paths) > 1 and not args.wrap:
        raise HoldError("add", Kind.USAGE, "--name", "names one root, and there are several PATHs", hint="add -w")
    if args.quieter:
        out.quiet = True
    watch = _Watch(out, sealed=args.sealed)
    paths = [OsPath(path) for path in args.paths]
    how = _how(args)
    try:
        with _files(args, out) as files:
            groups = [paths] if args.wrap else [[path] for path in paths]
            added = [
                files.add(group, how, Open(0, "standard input") if "-" in group else None, watch) for group in groups
            ]
    finally:
        watch.close()
    for root in added:
        _tell(args, out, root, last=root is added[-1])
    what = counted(sum(root.files for root in added), "file or directory", "files and directories")
    out.remark(f"{what}, {human(watch.done)} read")
    return 0


@contextmanager
def _files(args: argparse.Namespace, out: Output) -> Iterator["Files"]:
    if args.only_hash:
        yield hashing(args)
        return
    with agent(args, out) as found:
        yield found.files


def _how(args: argparse.Namespace) -> Adding:
    return Adding(
        profile=args.profile,
        chunker=args.chunker,
        hidden=args.hidden,
        mode=args.mode,
        mtime=args.mtime,
        recursive=args.recursive,
        sealed=args.sealed,
        wrap=args.wrap,
        only_hash=args.only_hash,
        reuse=args.reuse,
        verbose=args.verbose and not args.quieter,
        name=args.name,
        readers=readers_of(args),
    )


def _tell(args: argparse.Namespace, out: Output, root: Added, *, last: bool) -> None:
    row: dict[str, object] = {"cid": str(root.cid), "path": root.path, "size": root.size, "root": True}
    if root.capability is not None:
        row["capability"] = root.capability
    done = "sealed" if root.capability is not None else "added"
    out.result(row, None if args.quieter else f"{done} {root.cid} {root.path}")
    if not out.json and (root.capability is not None or last):
        out.line(root.capability or str(root.cid))
