"""Make a snapshot of your own tree, or of a part of it: what it is now, kept whatever is done to it from now on.

Programs may go on writing: a snapshot has all that was done until a point in time, and nothing after. It is sealed,
and the last line is the read capability: `hold get` and `hold ls` take it, on any machine that has the blocks. With
--plain it is the CID instead, and whoever may read the blocks reads them.
"""

import argparse

from commonhold.calls import OsPath, Shooting
from commonhold.cli.opening import agent
from commonhold.cli.output import Output, counted, human
from commonhold.cli.values import OWN, filled, reader_options, readers_of, told_snapshot
from commonhold.cli.watching import Watch
from commonhold.host.names import shown

EXAMPLES = """examples:
  hold snapshot
  hold snapshot /hold/me/letters --name letters-of-may
  hold snapshot /hold/me/recipes --plain --public"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """The words after `snapshot`."""
    parser.add_argument("path", nargs="?", type=filled, default=OWN, metavar="PATH", help=f"of what (default: {OWN})")
    parser.add_argument("--name", type=filled, metavar="NAME", help="what to call it (default: the time)")
    parser.add_argument("--plain", action="store_true", help="not encrypted: the last line is the CID")
    reader_options(parser)


def run(args: argparse.Namespace, out: Output) -> int:
    """Make it."""
    watch = Watch(out, "looked at")
    try:
        with agent(args, out) as found:
            made = found.history.take(OsPath(args.path), Shooting(args.name, args.plain, readers_of(args)), watch)
    finally:
        watch.close()
    what = counted(made.files, "file or directory", "files and directories")
    out.result(told_snapshot(made), f"snapshot {made.name} of {shown(made.path)}: {what}, {human(made.size)}")
    if not out.json:
        out.line(made.root)
    return 0
