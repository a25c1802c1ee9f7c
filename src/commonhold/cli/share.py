"""Share what a grid keeps: print a link that opens it for whoever has it or, --with a receiving key, for one account.

Whoever has joined the grid reads it: `hold get`, `hold ls` and `hold cat` take the link, and with - they read it from
standard input, so that no list of processes shows it. Of a path in your own tree a snapshot is made and put on the
grid, as by `hold put`; anything else that the grid does not keep is put there only with --keep.

What is shared cannot be unshared: who has the link has the key. What can end is that the grid keeps it. A sealed link
opens for the account whose key it was made with, and does not say who made it: tell the other yourself. --me prints
your own key, for whoever is to share with you alone.
"""

import argparse
from typing import TYPE_CHECKING

from commonhold.calls import OsPath, Sharing, Shooting
from commonhold.cli.given import given
from commonhold.cli.opening import agent
from commonhold.cli.output import Output
from commonhold.cli.values import filled, is_own
from commonhold.cli.watching import Watch
from commonhold.errors import HoldError, Kind

if TYPE_CHECKING:
    from commonhold.calls import Agent, Shared

EXAMPLES = """examples:
  hold share /hold/me/photos
  hold share holdr1… --keep
  hold share --me
  hold share /hold/me/letter.txt --with holdk1…"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """The words after `share`."""
    parser.add_argument(
        "what",
        nargs="?",
        type=filled,
        metavar="WHAT",
        help="/hold/me/PATH; a name, as hold keep lists it; CAPABILITY[/path] or LINK[/path]; - reads it",
    )
    parser.add_argument("--with", dest="to", type=filled, metavar="KEY", help="for the account with this receiving key")
    parser.add_argument("--keep", action="store_true", help="put it on the grid first, if it is not there")
    parser.add_argument("--grid", metavar="NAME", help="the grid, where you have joined several")
    parser.add_argument("--me", action="store_true", help="print your own receiving key instead; it is no secret")


def run(args: argparse.Namespace, out: Output) -> int:
    """Do it."""
    if args.me:
        return _me(args, out)
    if args.what is None:
        raise HoldError("share", Kind.USAGE, "", "what is to be shared?", hint="hold share /hold/me/PATH")
    what = given(args.what)
    watch = Watch(out, "sent")
    try:
        with agent(args, out) as found:
            shared = _own(found, what, args, watch) if is_own(what) else _share(found, what, args, watch)
    finally:
        watch.close()
    watch.told_parts()
    who = "that account opens" if args.to else "whoever has it opens"
    put = "put" if shared.kept else "kept"
    out.remark(f"{put} on {shared.grid}; {who} the link, and that cannot be taken back")
    out.result(shared._asdict() | {"to": args.to}, shared.link)
    return 0


def _me(args: argparse.Namespace, out: Output) -> int:
    if args.what is not None or args.to is not None or args.keep:
        raise HoldError("share", Kind.USAGE, "--me", "goes with --grid alone", hint="hold share --me")
    with agent(args, out) as found:
        keys = found.grids.receiving(args.grid)
    for one in keys:
        out.result(one._asdict(), one.key if len(keys) == 1 else f"{one.key} {one.grid}")
    return 0


def _own(found: "Agent", path: str, args: argparse.Namespace, watch: Watch) -> "Shared":
    """Share a snapshot of what is in the own tree: once it is known that there is somewhere to put it."""
    grid = found.grids.meant(args.to, args.grid)
    made = found.history.take(OsPath(path), Shooting(), watch)
    return found.grids.share(made.root, Sharing(args.to, grid, True, made.name), watch)


def _share(found: "Agent", what: str, args: argparse.Namespace, watch: Watch) -> "Shared":
    return found.grids.share(what, Sharing(args.to, args.grid, args.keep), watch)
