"""Restore a snapshot, or a part of one, into your own tree: where it was, or with --to somewhere else.

All of it takes its place in one step. What was there is in a snapshot of its own then, whose name is said: the way
back. Of a snapshot of this tree everything comes back: owners, modes, times, links, attributes, holes. Of a CID or
capability of another tree what UnixFS can say does.
"""

import argparse

from commonhold.calls import OsPath
from commonhold.cli.opening import agent
from commonhold.cli.output import Output, counted
from commonhold.cli.values import filled
from commonhold.cli.watching import Watch
from commonhold.host.names import shown

EXAMPLES = """examples:
  hold restore letters-of-may
  hold restore letters-of-may 2026/today.txt --to /hold/me/yesterday.txt
  hold restore CAPABILITY --to /hold/me/from-elsewhere"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """The words after `restore`."""
    parser.add_argument(
        "snapshot", type=filled, metavar="SNAPSHOT", help="its name, its capability or CID, or those of any tree"
    )
    parser.add_argument("path", nargs="?", default="", metavar="PATH", help="a part of it (default: all)")
    parser.add_argument("--to", type=filled, metavar="/hold/me/PATH", help="where to (default: where it was)")


def run(args: argparse.Namespace, out: Output) -> int:
    """Restore it."""
    watch = Watch(out, "restored")
    to = OsPath(args.to) if args.to else None
    try:
        with agent(args, out) as found:
            done = found.history.restore(args.snapshot, OsPath(args.path), to, watch)
    finally:
        watch.close()
    where = shown(done.path)
    row = {"path": where, "files": done.files, "bytes": watch.done, "before": done.before}
    out.result(row, f"restored {where}: {counted(done.files, 'file or directory', 'files and directories')}")
    if done.before is not None:
        out.remark(f"what was there: hold restore {done.before}")
    return 0
