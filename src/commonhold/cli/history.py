"""List the snapshots of your own tree, or the versions of a path in it that differ; and let snapshots go.

A line has the time, the name, the CID of what keeps it, the size and the path. What opens it is in --json, as `root`.
"""

import argparse
import time

from commonhold.calls import OsPath
from commonhold.cli.opening import agent
from commonhold.cli.output import Output, human
from commonhold.cli.values import OWN, filled, told_snapshot
from commonhold.host.names import shown

EXAMPLES = """examples:
  hold history
  hold history /hold/me/letters/today.txt
  hold history rm letters-of-may && hold gc"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """The words after `history`."""
    parser.add_argument(
        "words", nargs="*", type=filled, metavar="PATH | rm NAME", help=f"of what (default: {OWN}); or which to let go"
    )


def run(args: argparse.Namespace, out: Output) -> int:
    """List them, or let some go."""
    with agent(args, out) as found:
        if args.words[:1] == ["rm"] and len(args.words) > 1:
            for name in args.words[1:]:
                found.history.remove(name)
                out.result({"removed": name}, f"removed {shown(name)}")
            return 0
        for path in args.words or [OWN]:
            for one in found.history.all(OsPath(path)):
                made = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(one.made))
                line = f"{made}  {one.name:24} {one.cid} {human(one.size):>10}  {shown(one.path)}"
                out.result(told_snapshot(one), line)
    return 0
