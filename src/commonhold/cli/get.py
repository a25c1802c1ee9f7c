"""Write a file or tree out under a name where there is nothing yet, or as a tar archive.

It never merges into what exists and never overwrites it: the whole appears under its name at the end, or nothing does.
"""

import argparse
from typing import TYPE_CHECKING

from commonhold.agent.naming import parse_name
from commonhold.calls import Got, Open, OsPath
from commonhold.cli.given import given, tell_sender
from commonhold.cli.opening import agent
from commonhold.cli.output import Output, standard_output
from commonhold.cli.values import filled, is_own
from commonhold.cli.watching import Watch
from commonhold.errors import HoldError, Kind
from commonhold.host.names import shown
from commonhold.host.placing import new_file

if TYPE_CHECKING:
    from commonhold.calls import Files

EXAMPLES = """examples:
  hold get CID -o back
  hold get CID/sub/file
  hold get holdl1… -o back
  cat link.txt | hold get - -o back
  hold get CID --archive tar -o - | tar t"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """The words after `get`."""
    parser.add_argument(
        "path",
        metavar="CID[/path]",
        help="what to get: CID/sub/file, /hold/me/file; sealed: CAPABILITY[/path] or LINK[/path]; - reads it",
    )
    parser.add_argument(
        "-o",
        "--output",
        type=filled,
        metavar="PATH",
        help="where to (default: here, under the last name of the path); an archive also goes to -, standard output",
    )
    parser.add_argument("--archive", choices=["tar"], help="as one archive, with names below the last name of the path")


def run(args: argparse.Namespace, out: Output) -> int:
    """Get it."""
    args.path = given(args.path)
    if is_own(args.path):
        return _own(args, out)
    named = parse_name(args.path)
    if args.output == "-" and not args.archive:
        raise HoldError("get", Kind.USAGE, "-o -", "only an archive goes to standard output", hint="hold cat")
    watch = Watch(out, "got")
    try:
        with agent(args, out) as found:
            files = found.files
            name = named.path[-1] if named.path else str(files.stat(args.path).cid)
            target = args.output or (f"{name}.tar" if args.archive else name)
            if args.archive:
                got = _archive(files, args.path, target, watch)
            else:
                got = files.get(args.path, OsPath(target), watch)
    finally:
        watch.close()
    tell_sender(args.path, out)
    if target == "-":
        return 0
    where = shown(target)
    out.result({"cid": str(got.cid), "path": where, "files": got.files, "bytes": watch.done}, where)
    return 0


def _own(args: argparse.Namespace, out: Output) -> int:
    """Get what is in the own tree."""
    if args.archive:
        why = "only what has a CID or capability is archived"
        raise HoldError("get", Kind.UNSUPPORTED, "--archive", why, hint=f"hold snapshot {args.path}, then get that")
    target = args.output or args.path.rstrip("/").rpartition("/")[2]
    watch = Watch(out, "got")
    try:
        with agent(args, out) as found:
            done = found.tree.get(OsPath(args.path), OsPath(target), watch)
    finally:
        watch.close()
    where = shown(target)
    out.result({"path": where, "files": done.files, "bytes": watch.done}, where)
    return 0


def _archive(files: "Files", what: str, target: str, watch: Watch) -> Got:
    if target == "-":
        with standard_output() as stdout:
            return files.archive(what, Open(stdout.fileno(), "standard output"), watch)
    with new_file("get", target) as sink:
        return files.archive(what, Open(sink.fileno(), shown(target)), watch)
