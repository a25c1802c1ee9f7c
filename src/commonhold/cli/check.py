"""Check how something that a grid keeps is: which of its shares are there, and at which servers.

The exit code is 0 if all of it is as it should be, 16 if shares are missing or damaged: `hold repair` makes them anew.
"""

import argparse
from typing import TYPE_CHECKING

from commonhold.cli.opening import agent
from commonhold.cli.output import Output, counted
from commonhold.cli.values import filled
from commonhold.errors import Kind
from commonhold.host.names import shown

if TYPE_CHECKING:
    from commonhold.calls import PackHealth, TreeHealth

EXAMPLES = """examples:
  hold check photos
  hold check holdr1… --deep"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """The words after `check`."""
    parser.add_argument("what", type=filled, metavar="NAME|CAPABILITY", help="as hold keep lists it, or a capability")
    parser.add_argument("--grid", metavar="NAME", help="the grid, where you have joined several")
    parser.add_argument("--deep", action="store_true", help="read every share, not only how each begins")


def run(args: argparse.Namespace, out: Output) -> int:
    """Check it."""
    with agent(args, out) as found:
        health = found.grids.check(args.what, args.grid, args.deep)
    tell(health, out)
    if health.readable and not health.whole:
        out.remark(f"note: hold repair {shown(health.name)} makes what is missing anew")
    return 0 if health.whole else Kind.CORRUPT.value.exit


def tell(health: "TreeHealth", out: Output) -> None:
    """Say how a kept tree is."""
    if out.json:
        out.result({**health._asdict(), "packs": [pack._asdict() for pack in health.packs]})
        return
    for number, pack in enumerate(health.packs):
        for line in _wrong("the list of packs" if number == 0 else f"pack {number}", pack):
            out.line(line)
    state = "whole" if health.whole else "readable, but shares are missing" if health.readable else "NOT readable"
    packs = counted(len(health.packs) - 1, "pack", "packs")
    out.line(f"{shown(health.name)} on {health.grid}: {state}; {health.shape}, {packs}")


def _wrong(name: str, pack: "PackHealth") -> list[str]:
    lines = [] if pack.whole else [f"{name}: {counted(len(pack.shares), 'share', 'shares')} of it found"]
    lines += [f"  {server}: {why}" for server, why in (*pack.damaged, *pack.failed)]
    leaving = [f"{name}: share {number} does not count: {server} is leaving" for server, number in pack.leaving]
    return (lines if len(lines) > 1 or not pack.whole else []) + leaving
