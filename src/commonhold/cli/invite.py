"""Invite somebody into a grid that you bless for: print a code that `hold join` takes, once.

While `hold grid serve` runs it is a short one, to be read out: it is good for a quarter of an hour and one guess.
Otherwise, or with --long, it is a long line to be sent by a way that others do not read: whoever has it has the place.
"""

import argparse
import time
from typing import Any

from commonhold.cli import gridhomes
from commonhold.cli.gridhomes import grid_name
from commonhold.cli.output import Output
from commonhold.cli.values import duration, size
from commonhold.errors import HoldError, Kind

EXAMPLES = """examples:
  hold invite alice --quota 100G
  hold invite alice --quota 100G --long --expires 2d
  hold invite --server --purpose storage --class attic"""

_SECOND = 1_000_000_000
_POLL_SECONDS = 0.5


def arguments(parser: argparse.ArgumentParser) -> None:
    """The words after `invite`."""
    parser.add_argument("account", metavar="NAME", nargs="?", help="what the account is to be called")
    parser.add_argument("--quota", type=size, metavar="SIZE", help="bytes that it may keep at each server")
    parser.add_argument("--server", action="store_true", help="invite a server, not an account")
    parser.add_argument("--purpose", action="append", default=[], metavar="WORD", help="of a server; else storage")
    parser.add_argument(
        "--class",
        dest="classes",
        action="append",
        default=[],
        metavar="WORD",
        help="of a server, as clients may ask for",
    )
    parser.add_argument("--grid", metavar="GRID", type=grid_name, help="the grid's name; else the only one")
    parser.add_argument("--long", action="store_true", help="a long code, though a short one could be had")
    parser.add_argument(
        "--expires", type=duration, default=7 * 86_400 * _SECOND, metavar="TIME", help="of a long code: after this (7d)"
    )
    parser.add_argument("--wait", action="store_true", help="with a short code: until it is used, burnt or has expired")


def run(args: argparse.Namespace, out: Output) -> int:
    """Do it."""
    _check(args)
    path = gridhomes.home(args, args.grid)
    short = not args.long and gridhomes.runs(path)
    if not short and not args.long:
        out.remark(f"note: a long code, as hold grid serve {path.name} does not run; it is of use only while that does")
    if args.wait and not short:
        raise HoldError(
            "invite", Kind.USAGE, "--wait", "waits for a short code only", hint=f"hold grid serve {path.name}"
        )
    said = {
        "do": "invite", "short": short, "server": args.server, "account": args.account, "quota": args.quota or 0,
        "purposes": args.purpose or ["storage"], "classes": args.classes, "seconds": args.expires // _SECOND,
    }  # fmt: skip
    told = gridhomes.order(path, said, "invite")
    from commonhold.authority.times import shown

    words = "hold join CODE --server DIR" if args.server else "hold join CODE"
    out.remark(f"note: good until {shown(told['until'])}, once; they type: {words}")
    out.result(told, told["code"])
    if args.wait:
        out.flush()
        return _wait(told, lambda: gridhomes.order(path, {"do": "outcome", "number": told["number"]}, "invite"), out)
    return 0


def _check(args: argparse.Namespace) -> None:
    """USAGE for words that do not go together."""
    if args.server and (args.account or args.quota is not None):
        raise HoldError("invite", Kind.USAGE, "--server", "a server has no name and no quota here")
    if not args.server and (args.account is None or args.quota is None):
        raise HoldError("invite", Kind.USAGE, "", "whom, and how much?", hint="hold invite NAME --quota 100G")
    if not args.server and (args.purpose or args.classes):
        raise HoldError(
            "invite", Kind.USAGE, "--purpose", "is of a server", hint="hold invite --server --purpose storage"
        )


def _wait(told: dict[str, Any], look: Any, out: Output) -> int:
    """Wait for what becomes of a short code. DENIED if it was burnt."""
    while True:
        outcome = look()
        if outcome["outcome"] == "taken":
            out.remark("taken: the code was handed over")
            return 0
        if outcome["outcome"] not in ("open", "met"):
            why = f"the code {outcome['said']}" if outcome["said"] else "the code is not known any more"
            raise HoldError("invite", Kind.DENIED, str(told["number"]), why, hint="hold invite makes another")
        time.sleep(_POLL_SECONDS)
