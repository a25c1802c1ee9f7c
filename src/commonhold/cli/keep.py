"""Have a sealed tree kept on a grid: in shares on several servers, of which some may be lost. Without one: list those.

What servers get is sealed before, and looks different at each. `hold get` and `hold ls` take the read capability on any
machine that has joined the grid, whether or not the blocks are there.
"""

import argparse
from typing import TYPE_CHECKING

from commonhold.cli.opening import agent
from commonhold.cli.output import Output, counted
from commonhold.cli.values import filled
from commonhold.cli.watching import Watch
from commonhold.host.names import shown

if TYPE_CHECKING:
    from commonhold.calls import KeptTree

EXAMPLES = """examples:
  hold add -r --sealed photos       # the last line is a capability
  hold keep holdr1… --name photos
  hold keep"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """The words after `keep`."""
    parser.add_argument("what", nargs="?", type=filled, metavar="CAPABILITY", help="a sealed tree that is here")
    parser.add_argument("--name", type=filled, metavar="NAME", help="what to call it (default: its CID)")
    parser.add_argument("--grid", metavar="NAME", help="the grid, where you have joined several")


def run(args: argparse.Namespace, out: Output) -> int:
    """Do it."""
    with agent(args, out) as found:
        if args.what is None:
            for one in found.grids.all():
                _tell(one, out)
            return 0
        watch = Watch(out, "sent")
        try:
            kept = found.grids.keep(args.what, args.name, args.grid, watch)
        finally:
            watch.close()
    _tell(kept, out)
    return 0


def _tell(kept: "KeptTree", out: Output) -> None:
    text = f"{shown(kept.name)}: kept {kept.shape} on {kept.grid}, {counted(kept.packs, 'pack', 'packs')}"
    out.result(kept._asdict(), text)
