"""Remove names from your own tree. What a snapshot has stays in it."""

import argparse

from commonhold.calls import OsPath
from commonhold.cli.opening import agent
from commonhold.cli.output import Output
from commonhold.cli.values import filled

EXAMPLES = """examples:
  hold rm /hold/me/letter.txt
  hold rm -r /hold/me/Documents"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """The words after `rm`."""
    parser.add_argument("paths", nargs="+", type=filled, metavar="/hold/me/PATH", help="what to remove")
    parser.add_argument("-r", "--recursive", action="store_true", help="directories with all that is in them")


def run(args: argparse.Namespace, out: Output) -> int:
    """Remove them."""
    with agent(args, out) as found:
        for path in args.paths:
            found.tree.remove(OsPath(path), args.recursive)
    return 0
