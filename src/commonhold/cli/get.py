"""Write a file or tree out under a name where there is nothing yet, or as a tar archive."""

import argparse
import sys
from typing import TYPE_CHECKING

from commonhold.cli.opening import opened
from commonhold.cli.output import Output
from commonhold.errors import HoldError, Kind, os_errors

if TYPE_CHECKING:
    from commonhold.cli.opening import Opened
    from commonhold.formats.cid import Cid


def arguments(parser: argparse.ArgumentParser) -> None:
    """The words after `get`."""
    parser.add_argument("path", metavar="CID[/path]", help="what to get")
    parser.add_argument("-o", "--output", metavar="PATH", help="where to; with --archive, - is standard output")
    parser.add_argument("--archive", choices=["tar"], help="as an archive")


class _Watch:
    def __init__(self, out: Output) -> None:
        self._progress = out.progress("got")
        self.bytes = self._progress.bytes
        self.close = self._progress.close
        self.files = 0

    @property
    def done(self) -> int:
        """Bytes so far."""
        return self._progress.done

    def file(self, path: str) -> None:
        """One more is there."""
        self.files += 1


def run(args: argparse.Namespace, out: Output) -> int:
    """Get it."""
    from commonhold.agent.blocks import parse_path
    from commonhold.agent.getting import Getter

    cid, path = parse_path(args.path)
    watch = _Watch(out)
    with opened(args, out) as repository:
        root = repository.blocks.resolve(cid, path)
        name = path[-1] if path else str(root)
        if args.archive:
            return _archive(args, out, repository, root, name, watch)
        target = args.output or name
        if target == "-":
            raise HoldError("get", Kind.USAGE, "-o -", "only an archive goes to standard output", hint="hold cat")
        getter = Getter(repository.blocks, watch)
        try:
            getter.get(root, target)
        finally:
            getter.close()
            watch.close()
    out.result({"cid": str(root), "path": target, "files": watch.files, "bytes": watch.done}, target)
    return 0


def _archive(args: argparse.Namespace, out: Output, repository: "Opened", root: "Cid", name: str, watch: _Watch) -> int:
    from commonhold.agent.archiving import export_tar

    target = args.output or f"{name}.tar"
    if target == "-":
        export_tar(repository.blocks, root, name, sys.stdout.buffer, watch.bytes)
        return 0
    with os_errors("get", target), open(target, "xb") as sink:
        count = export_tar(repository.blocks, root, name, sink, watch.bytes)
    watch.close()
    out.result({"cid": str(root), "path": target, "files": count, "bytes": watch.done}, target)
    return 0
