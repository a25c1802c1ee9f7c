"""Have a sealed tree kept on a grid: in shares on several servers, of which some may be lost. Without one: list those.

What servers get is sealed before, and looks different at each. `hold get` and `hold ls` take the read capability on any
machine that has joined the grid, whether or not the blocks are there.

Your agent looks at what is kept about once a day, has leases renewed and missing shares made anew. The list says when
it last did and how it was then, and until when servers keep it without hearing of you. While you are away the tender of
this host does it, if there is one, for as long as your credentials last; alone = true under [keep] in a grid.toml keeps
it out.

With --every, a path of your own tree is kept again and again: your agent takes a snapshot when it is due, has it kept
if something has changed, and lets the oldest go when the new one is whole. What did not change is not sent again. To
say it again changes how often, and how many generations stay. The last line is the capability of the newest generation:
each has its own, so keep it where the loss of this machine does not reach; hold keep --json has the newest, too. Where
no agent runs, hold keep --due does what is due, for cron.

--end lets something go again, a policy with all its generations: servers drop the shares, but for those that something
else you keep needs. What is here of it stays here.
"""

import argparse
import time
from typing import TYPE_CHECKING

from commonhold.calls import OsPath, Regular
from commonhold.cli.opening import agent
from commonhold.cli.output import Output, counted
from commonhold.cli.values import duration, filled, is_own, natural
from commonhold.cli.watching import Watch
from commonhold.errors import HoldError, Kind
from commonhold.host.names import shown

if TYPE_CHECKING:
    from commonhold.calls import EndedTree, Grids, KeptPath, KeptTree

EXAMPLES = """examples:
  hold add -r --sealed photos       # the last line is a capability
  hold keep holdr1… --name photos
  hold keep /hold/me/Documents --every 1d
  hold keep
  hold keep --end photos"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """The words after `keep`."""
    parser.add_argument(
        "what",
        nargs="?",
        type=filled,
        metavar="CAPABILITY|PATH",
        help="a sealed tree that is here, or with --every /hold/me or a path below",
    )
    parser.add_argument(
        "--name", type=filled, metavar="NAME", help="what to call it (default: its CID, or the path's last part)"
    )
    parser.add_argument("--every", type=duration, metavar="TIME", help="keep it again so often, such as 12h or 1d")
    parser.add_argument("--generations", type=natural, metavar="N", help="how many of a policy are kept (default: 2)")
    parser.add_argument("--due", action="store_true", help="do now what is due of what is kept with --every")
    parser.add_argument("--end", type=filled, metavar="NAME", help="keep it no longer: as hold keep lists it")
    parser.add_argument("--grid", metavar="NAME", help="the grid, where you have joined several")


def run(args: argparse.Namespace, out: Output) -> int:
    """Do it."""
    _check(args)
    with agent(args, out) as found:
        if args.end is not None:
            _tell_end(found.grids.end(args.end, args.grid), out)
            return 0
        if args.what is None and not args.due:
            for policy in found.grids.paths():
                _tell_policy(policy, out)
            for one in found.grids.all():
                _tell(one, out)
            return 0
        watch = Watch(out, "looked at and sent" if args.what is None or args.every is not None else "sent")
        try:
            kept, done = _kept(args, found.grids, watch)
        finally:
            watch.close()
        watch.told_parts()
    if kept is not None:
        _tell(kept, out)
    for policy in done:
        _tell_policy(policy, out)
        if policy.root is not None and not out.json:
            out.line(policy.root)
    return Kind.FAILED.value.exit if any(policy.said for policy in done) else 0


def _check(args: argparse.Namespace) -> None:
    """USAGE for words that do not go together."""
    if (args.what is not None) + (args.end is not None) + args.due > 1:
        why = "keep something, do what is due, or end to keep something: one of these"
        raise HoldError("keep", Kind.USAGE, "--due" if args.due else "--end", why)
    own = args.what is not None and is_own(args.what)
    if own and args.every is None:
        why = "how often is it to be kept?"
        raise HoldError("keep", Kind.USAGE, shown(args.what), why, hint=f"hold keep {shown(args.what)} --every 1d")
    if not own and (args.every is not None or args.generations is not None):
        what = "--every" if args.every is not None else "--generations"
        raise HoldError(
            "keep", Kind.USAGE, what, "is for a path of your own tree", hint="hold keep /hold/me --every 1d"
        )


def _kept(args: argparse.Namespace, grids: "Grids", watch: Watch) -> "tuple[KeptTree | None, list[KeptPath]]":
    """Have it kept; how that is then: a tree, or policies."""
    if args.due:
        return None, grids.keep_due(watch)
    if args.every is None:
        return grids.keep(args.what, args.name, args.grid, watch), []
    how = Regular(args.name, args.grid, args.every // 1_000_000_000, args.generations)
    return None, [grids.keep_path(OsPath(args.what), how, watch)]


def _tell_policy(one: "KeptPath", out: Output) -> None:
    often = f"{one.every // 86_400} d" if one.every % 86_400 == 0 else f"{one.every // 60} min"
    text = f"{shown(one.name)}: {shown(one.path)} kept on {one.grid} every {often}, {one.kept} of "
    text += counted(one.generations, "generation", "generations")
    text += f"; last on {_time(one.done)}" if one.done is not None else "; not yet"
    text += f", next on {_time(one.next)}" + (f"\n  {shown(one.said)}" if one.said else "")
    out.result(one._asdict() | {"path": shown(one.path)}, text)


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
