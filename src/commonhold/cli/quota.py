"""Show what you use on a grid and what you may use, server by server.

Each server counts for itself what your account there keeps, and promises room before it takes a byte.
"""

import argparse

from commonhold.cli.opening import agent
from commonhold.cli.output import Output, human

EXAMPLES = """examples:
  hold quota
  hold quota --grid family --json"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """The words after `quota`."""
    parser.add_argument("--grid", metavar="NAME", help="the grid, where you have joined several")


def run(args: argparse.Namespace, out: Output) -> int:
    """Show it."""
    with agent(args, out) as found:
        rows = found.grids.use(args.grid)
    for row in rows:
        name = row.name or row.server[:12]
        if row.quota is None or row.used is None:
            out.result(row._asdict(), f"{name}: not known: {row.why}")
        else:
            out.result(row._asdict(), f"{name}: {human(row.used)} of {human(row.quota)}, {row.shares} shares")
    if not rows:
        out.remark("no server is known yet: hold servers --ask asks introducers, who tell of them")
    return 0
