"""Write a file or tree out under a name where there is nothing yet, or as a tar archive.

It never merges into what exists and never overwrites it: the whole appears under its name at the end, or nothing does.
"""

import argparse
from typing import TYPE_CHECKING

from commonhold.cli.opening import opened
from commonhold.cli.output import Output, standard_output
from commonhold.cli.values import filled
from commonhold.errors import HoldError, Kind

if TYPE_CHECKING:
    from commonhold.agent.naming import Found

EXAMPLES = """examples:
  hold get CID -o back
  hold get CID/sub/file
  hold get CID --archive tar -o - | tar t"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """The words after `get`."""
    parser.add_argument(
        "path", metavar="CID[/path]", help="what to get, for instance CID/sub/file; sealed: CAPABILITY[/path]"
    )
    parser.add_argument(
        "-o",
        "--output",
        type=filled,
        metavar="PATH",
        help="where to (default: here, under the last name of the path); an archive also goes to -, standard output",
    )
    parser.add_argument("--archive", choices=["tar"], help="as one archive, with names below the last name of the path")


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
    from commonhold.agent.getting import Getter
    from commonhold.agent.naming import parse_name
    from commonhold.host.names import shown

    named = parse_name(args.path)
    watch = _Watch(out)
    with opened(args, out) as repository:
        found = repository.find(named)
        root = found.cid
        name = named.path[-1] if named.path else str(root)
        if args.archive:
            return _archive(args, out, found, name, watch)
        target = name if args.output is None else args.output
        if target == "-":
            raise HoldError("get", Kind.USAGE, "-o -", "only an archive goes to standard output", hint="hold cat")
        getter = Getter(found.blocks, watch)
        try:
            getter.get(root, target)
        finally:
            getter.close()
            watch.close()
    where = shown(target)
    out.result({"cid": str(root), "path": where, "files": watch.files, "bytes": watch.done}, where)
    return 0


def _archive(args: argparse.Namespace, out: Output, found: "Found", name: str, watch: _Watch) -> int:
    from commonhold.agent.archiving import export_tar
    from commonhold.host.names import shown
    from commonhold.host.placing import new_file

    target = f"{name}.tar" if args.output is None else args.output
    if target == "-":
        with standard_output() as stdout:
            export_tar(found.blocks, found.cid, name, stdout, watch.bytes)
        return 0
    with new_file("get", target) as sink:
        count = export_tar(found.blocks, found.cid, name, sink, watch.bytes)
    watch.close()
    where = shown(target)
    out.result({"cid": str(found.cid), "path": where, "files": count, "bytes": watch.done}, where)
    return 0
