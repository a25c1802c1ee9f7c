"""Make a directory in your own tree."""

import argparse

from commonhold.calls import OsPath
from commonhold.cli.opening import agent
from commonhold.cli.output import Output
from commonhold.cli.values import filled

EXAMPLES = """examples:
  hold mkdir -p /hold/me/letters/2026"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """The words after `mkdir`."""
    parser.add_argument("paths", nargs="+", type=filled, metavar="/hold/me/PATH", help="the directories")
    parser.add_argument(
        "-p", "--parents", action="store_true", help="also those above, and no error if it is there already"
    )


def run(args: argparse.Namespace, out: Output) -> int:
    """Make them."""
    with agent(args, out) as found:
        for path in args.paths:
            found.tree.make_directory(OsPath(path), args.parents)
    return 0
