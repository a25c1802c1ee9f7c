"""Have a sealed tree kept on a grid: in shares on several servers, of which some may be lost. Without one: list those.

What servers get is sealed before, and looks different at each. `hold get` and `hold ls` take the read capability on any
machine that has joined the grid, whether or not the blocks are there.

Your agent looks at what is kept about once a day, has leases renewed and missing shares made anew. The list says when
it last did and how it was then, and until when servers keep it without hearing of you. While you are away the tender of
this host does it, if there is one, for as long as your credentials last; alone = true under [keep] in a grid.toml keeps
it out.

--end lets something go again: servers drop its shares, but for those that something else you keep needs. What is here
of it stays here.
"""

import argparse
import time
from typing import TYPE_CHECKING

from commonhold.cli.opening import agent
from commonhold.cli.output import Output, counted
from commonhold.cli.values import filled
from commonhold.cli.watching import Watch
from commonhold.errors import HoldError, Kind
from commonhold.host.names import shown

if TYPE_CHECKING:
    from commonhold.calls import EndedTree, KeptTree

EXAMPLES = """examples:
  hold add -r --sealed photos       # the last line is a capability
  hold keep holdr1… --name photos
  hold keep
  hold keep --end photos"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """The words after `keep`."""
    parser.add_argument("what", nargs="?", type=filled, metavar="CAPABILITY", help="a sealed tree that is here")
    parser.add_argument("--name", type=filled, metavar="NAME", help="what to call it (default: its CID)")
    parser.add_argument("--end", type=filled, metavar="NAME", help="keep it no longer: as hold keep lists it")
    parser.add_argument("--grid", metavar="NAME", help="the grid, where you have joined several")


def run(args: argparse.Namespace, out: Output) -> int:
    """Do it."""
    if args.end is not None and args.what is not None:
        raise HoldError("keep", Kind.USAGE, "--end", "keep something, or end to keep something: one of the two")
    with agent(args, out) as found:
        if args.end is not None:
            _tell_end(found.grids.end(args.end, args.grid), out)
            return 0
        if args.what is None:
            for one in found.grids.all():
                _tell(one, out)
            return 0
        watch = Watch(out, "sent")
        try:
            kept = found.grids.keep(args.what, args.name, args.grid, watch)
        finally:
            watch.close()
        watch.told_parts()
    _tell(kept, out)
    return 0


def _tell(kept: "KeptTree", out: Output) -> None:
    text = f"{shown(kept.name)}: kept {kept.shape} on {kept.grid}, {counted(kept.packs, 'pack', 'packs')}; "
    if kept.state is not None and kept.looked is not None:
        text += f"{kept.state} when looked at on {_time(kept.looked)}; "
    out.result(kept._asdict(), f"{text}leases until {_day(kept.until)}" + (f"\n  {kept.said}" if kept.said else ""))


def _time(seconds: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))


def _day(seconds: int) -> str:
    return time.strftime("%Y-%m-%d", time.localtime(seconds))


def _tell_end(ended: "EndedTree", out: Output) -> None:
    lines = [f"{shown(ended.name)}: no longer kept on {ended.grid}; {counted(ended.told, 'server', 'servers')} told"]
    lines += [
        f"  {shown(name) or pin[:12]} was not told: {why}; what it has of it goes by itself by {_day(ended.gone)}"
        for pin, name, why in ended.untold
    ]
    untold = [{"server": pin, "name": name, "why": why} for pin, name, why in ended.untold]
    out.result({**ended._asdict(), "untold": untold}, "\n".join(lines))
