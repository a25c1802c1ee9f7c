"""Repair something that a grid keeps: shares that are missing or damaged are made anew, at servers that have none.

It takes k sound shares of each pack, and no key: nothing is opened. Leases are renewed, too.
"""

import argparse

from commonhold.cli import check
from commonhold.cli.opening import agent
from commonhold.cli.output import Output
from commonhold.cli.values import filled
from commonhold.cli.watching import Watch
from commonhold.errors import Kind

EXAMPLES = """examples:
  hold repair photos"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """The words after `repair`."""
    parser.add_argument("what", type=filled, metavar="NAME|CAPABILITY", help="as hold keep lists it, or a capability")
    parser.add_argument("--grid", metavar="NAME", help="the grid, where you have joined several")


def run(args: argparse.Namespace, out: Output) -> int:
    """Repair it, and say how it is then."""
    watch = Watch(out, "read")
    try:
        with agent(args, out) as found:
            health = found.grids.repair(args.what, args.grid, watch)
    finally:
        watch.close()
    check.tell(health, out)
    return 0 if health.whole else Kind.CORRUPT.value.exit
