"""Write a file's bytes, or a range of them, to standard output."""

import argparse

from commonhold.calls import Open, OsPath
from commonhold.cli.given import given
from commonhold.cli.opening import agent
from commonhold.cli.output import Output, writing
from commonhold.cli.values import is_own, natural

EXAMPLES = """examples:
  hold cat CID/notes.txt
  hold cat /hold/me/notes.txt
  hold cat CID --offset 1048576 --length 4096 | xxd"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """The words after `cat`."""
    parser.add_argument(
        "path",
        metavar="CID[/path]",
        help="the file; sealed: CAPABILITY[/path] or LINK[/path]; /hold/me/path; - reads it from standard input",
    )
    parser.add_argument(
        "--offset", type=natural, default=0, metavar="N", help="leave out the first N bytes (default 0)"
    )
    parser.add_argument("--length", type=natural, metavar="N", help="at most N bytes (default: to the end)")


def run(args: argparse.Namespace, out: Output) -> int:
    """Write them."""
    args.path = given(args.path)
    stop = None if args.length is None else args.offset + args.length
    with agent(args, out) as found, writing():
        into = Open(1, "standard output")
        if is_own(args.path):
            found.tree.read(OsPath(args.path), args.offset, stop, into)
        else:
            found.files.read(args.path, args.offset, stop, into)
    return 0
