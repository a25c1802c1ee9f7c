"""Bless: say which servers and accounts are of a grid, for how long, and when no more.

A grid is a key: whoever has it says who is in. `create` makes one that is yours, `serve` runs what others enrol with;
with or without that, `bless`, `revoke` and the others decide. A server is named by its pin, p…, an account by its name.
"""

import argparse
import os
from pathlib import Path
from typing import Any

from commonhold.cli import gridhomes
from commonhold.cli.gridhomes import grid_name
from commonhold.cli.output import Output, counted, human
from commonhold.cli.values import size
from commonhold.errors import HoldError, Kind

EXAMPLES = """examples:
  hold grid create family --listen tcp:0.0.0.0:4653 --announce tcp:attic.example:4653
  hold grid serve family
  hold grid list family
  hold grid bless p7xq… --purpose storage --class attic --days 90 -o attic.blessing
  hold grid approve 3 --quota 100G
  hold grid revoke alice"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """The words after `grid`."""
    verbs = parser.add_subparsers(
        dest="verb", required=True, metavar="create|show|list|bless|approve|decline|revoke|restore|serve"
    )
    create = verbs.add_parser("create", help="make a grid, or another blesser of one; the last line is the grid's id")
    create.add_argument("name", metavar="NAME", type=grid_name, help="what to call it")
    create.add_argument("--listen", action="append", default=[], metavar="ADDR", help="tcp:NUMBER:PORT or unix:PATH")
    create.add_argument("--announce", action="append", default=[], metavar="HINT", help="by which others reach it")
    create.add_argument("--grid", metavar="GRID", help="bless for this grid, g…, beside its first blesser")
    create.add_argument(
        "--accounts", metavar="FILE", type=Path, help="another blesser's accounts.key: one number for both"
    )
    show = verbs.add_parser("show", help="a blesser's keys and rules, to be put into another's blesser.toml")
    show.add_argument("name", metavar="NAME", type=grid_name, nargs="?", help="the grid; else the only one")
    listing = verbs.add_parser("list", help="your grids, or all that one has issued, revoked and holds for you")
    listing.add_argument("name", metavar="NAME", type=grid_name, nargs="?", help="the grid")
    bless = verbs.add_parser("bless", help="bless a server, though it did not ask")
    bless.add_argument("server", metavar="SERVER", help="its pin, p…, or a file with its request")
    bless.add_argument("--purpose", action="append", default=[], metavar="WORD", help="what for; else storage")
    _classes(bless)
    bless.add_argument("--days", type=int, default=30, metavar="N", help="for how long (30)")
    bless.add_argument(
        "-o", dest="file", metavar="FILE", type=Path, help="where to write the blessing, with one purpose"
    )
    approve = verbs.add_parser("approve", help="let in somebody who waits: they get it when they ask again")
    approve.add_argument("number", metavar="NUMBER", type=int, help="as grid list has it")
    approve.add_argument("--quota", type=size, default=0, metavar="SIZE", help="of an account, at each server")
    _classes(approve)
    decline = verbs.add_parser("decline", help="forget somebody who waits")
    decline.add_argument("number", metavar="NUMBER", type=int, help="as grid list has it")
    for name, text in (
        ("revoke", "take back all that a server or an account has, at once, and renew it no more"),
        ("restore", "let one that was revoked be granted anew; what was taken back stays so"),
    ):
        verb = verbs.add_parser(name, help=text)
        verb.add_argument("who", metavar="SERVER|ACCOUNT", help="a pin, p…, or an account's name")
    serve = verbs.add_parser("serve", help="answer those who enrol, in the foreground")
    serve.add_argument("name", metavar="NAME", type=grid_name, help="the grid")
    for name in ("bless", "approve", "decline", "revoke", "restore"):
        verbs.choices[name].add_argument("--grid", metavar="NAME", type=grid_name, help="the grid; else the only one")


def _classes(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "--class",
        dest="classes",
        action="append",
        default=[],
        metavar="WORD",
        help="of a server, as clients may ask for",
    )


def run(args: argparse.Namespace, out: Output) -> int:
    """Do it."""
    return int(_VERBS[args.verb](args, out))


def _create(args: argparse.Namespace, out: Output) -> int:
    import secrets

    from commonhold.blesser import config, home
    from commonhold.formats import charter, hint, pin
    from commonhold.formats.blessing import BLESSER, INTRODUCER, STORAGE
    from commonhold.formats.charter import Blesser
    from commonhold.formats.malformed import Malformed
    from commonhold.formats.pin import GridId
    from commonhold.host import private

    path = gridhomes.directory(args) / args.name
    try:
        heard = [config.listening(text) for text in args.listen]
        announced = [hint.parse(text) for text in args.announce] or [one for one in heard if hint.may_be_announced(one)]
        grid = pin.parse_grid(args.grid) if args.grid else None
        shared = home.secret(private.read("create grid", args.accounts, os.geteuid())) if args.accounts else None
    except Malformed as error:
        raise HoldError("create grid", Kind.USAGE, error.what, error.why) from error

    def first(keys: home.Keys) -> str:
        own = Blesser(keys.public, keys.pin, tuple(map(str, announced)))
        made = charter.of_one(grid or GridId(keys.public), args.name, own, (STORAGE, INTRODUCER, BLESSER))
        return config.first(made, tuple(map(str, heard)))

    keys = home.create(path, shared, first, secrets.token_bytes)
    row = {"grid": str(grid or GridId(keys.public)), "blesser": str(GridId(keys.public)), "pin": str(keys.pin)}
    if grid is not None:
        out.remark(
            f"note: the others have to name {row['blesser']} in their blesser.toml, and you them: hold grid show"
        )
    out.result(row | {"directory": str(path)}, row["grid"])
    return 0


def _show(args: argparse.Namespace, out: Output) -> int:
    from commonhold.blesser import main
    from commonhold.formats import chartertext
    from commonhold.formats.pin import GridId

    path = gridhomes.home(args, args.name)
    config, keys = main.read(path)
    text = chartertext.text(config.charter)
    row = {
        "name": path.name, "grid": str(config.charter.grid), "blesser": str(GridId(keys.public)),
        "pin": str(keys.pin), "addresses": list(config.own.addresses), "serves": gridhomes.runs(path), "rules": text,
    }  # fmt: skip
    out.result(row, text.rstrip())
    return 0


def _list(args: argparse.Namespace, out: Output) -> int:
    if args.name is None:
        for path in gridhomes.blessers(gridhomes.directory(args)):
            state = "served" if gridhomes.runs(path) else "not served"
            out.result({"name": path.name, "serves": state == "served"}, f"{path.name}: {state}")
        return 0
    told = gridhomes.order(gridhomes.home(args, args.name), {"do": "list"}, "grid list")
    out.result(told, "\n".join(_listed(told)))
    return 0


def _listed(told: dict[str, Any]) -> list[str]:
    """What a blesser knows, in lines."""
    from commonhold.authority.times import shown

    lines = [f"grid {told['grid']}"]
    until: dict[str, int] = {}
    for one in told["issued"]:
        if not one["revoked"]:
            who = one["account"] or one["server"]
            until[who] = max(until.get(who, 0), one["until"])
    for host in told["servers"]:
        known = f", until {shown(until[host['server']])}" if host["server"] in until else ""
        classes = f" as {', '.join(host['classes'])}" if host["classes"] else ""
        state = ", revoked" if host["revoked"] else known
        lines.append(f"server {host['server']}: {', '.join(host['purposes'])}{classes}{state}")
    for one in told["accounts"]:
        known = f", until {shown(until[one['account']])}" if one["account"] in until else ""
        lines.append(f"account {one['account']}: {human(one['quota'])}{', revoked' if one['revoked'] else known}")
    for one in told["invitations"]:
        whom = one["account"] or f"a server for {', '.join(one['purposes'])}"
        lines.append(f"invited {whom}, until {shown(one['until'])}")
    for one in told["waiting"]:
        lines.append(
            f"waiting {one['number']}: {one['account'] or one['server']}, since {shown(one['since'])}: {one['why']}"
        )
    revoked = sum(one["revoked"] for one in told["issued"])
    lines.append(f"{counted(len(told['issued']), 'statement')} out, {revoked} revoked; list {told['sequence']}")
    return lines


def _bless(args: argparse.Namespace, out: Output) -> int:
    from commonhold.host import private

    purposes = args.purpose or ["storage"]
    if args.file and len(purposes) > 1:
        raise HoldError("bless", Kind.USAGE, str(args.file), "one file takes one purpose", hint="bless twice")
    if args.file and args.file.exists():
        raise HoldError("bless", Kind.EXISTS, str(args.file), "there is a file already")
    if not 1 <= args.days <= 3650:
        raise HoldError("bless", Kind.USAGE, "--days", "not 1 to 3650")
    said = {
        "do": "bless", "server": _server(args.server), "purposes": purposes, "classes": args.classes,
        "seconds": args.days * 86_400,
    }  # fmt: skip
    told = gridhomes.order(gridhomes.home(args, args.grid), said, "grid bless")
    if args.file:
        private.place("bless", args.file.absolute(), bytes.fromhex(told["blessings"][0]))
    out.result(told, f"blessed {told['server']} for {', '.join(purposes)}")
    return 0


def _server(text: str) -> str:
    """The pin of a server, or of who signed a request that is in a file."""
    from commonhold.authority import enrolling
    from commonhold.formats import pin
    from commonhold.formats.malformed import Malformed
    from commonhold.formats.request import ServerRequest
    from commonhold.formats.statement import Kind as Said

    try:
        return str(pin.parse_pin(text))
    except Malformed as error:
        path = Path(text)
        if not path.is_file():
            raise HoldError("bless", Kind.USAGE, text[:80], f"{error}, and no file with a request") from error
    with path.open("rb") as file:
        data = file.read(Said.REQUEST.most + 1)
    try:
        _, wish = enrolling.asked(data)
    except Malformed as error:
        raise HoldError("bless", Kind.INVALID, text[:80], str(error)) from error
    if not isinstance(wish, ServerRequest):
        raise HoldError("bless", Kind.USAGE, text[:80], "a request by an account", hint="hold invite")
    return str(wish.server)


def _approve(args: argparse.Namespace, out: Output) -> int:
    said = {"do": "approve", "number": args.number, "quota": args.quota, "classes": args.classes}
    told = gridhomes.order(gridhomes.home(args, args.grid), said, "grid approve")
    out.result(told, f"approved {told['account'] or told['server']}: when they ask again, they get it")
    return 0


def _decline(args: argparse.Namespace, out: Output) -> int:
    told = gridhomes.order(gridhomes.home(args, args.grid), {"do": "decline", "number": args.number}, "grid decline")
    out.result(told, f"declined {told['account'] or told['server']}")
    return 0


def _who(text: str) -> dict[str, str]:
    from commonhold.formats import pin
    from commonhold.formats.malformed import Malformed

    try:
        return {"server": str(pin.parse_pin(text))}
    except Malformed:
        return {"account": text}


def _revoke(args: argparse.Namespace, out: Output) -> int:
    path = gridhomes.home(args, args.grid)
    told = gridhomes.order(path, {"do": "revoke", **_who(args.who)}, "grid revoke")
    if not gridhomes.runs(path):
        out.remark(f"note: nobody hears of it until hold grid serve {path.name} runs")
    text = f"revoked {args.who}: {counted(len(told['serials']), 'statement')} taken back"
    out.result(told | _who(args.who), text)
    return 0


def _restore(args: argparse.Namespace, out: Output) -> int:
    gridhomes.order(gridhomes.home(args, args.grid), {"do": "restore", **_who(args.who)}, "grid restore")
    out.result(_who(args.who), f"restored {args.who}: it is granted anew when it asks")
    return 0


def _serve(args: argparse.Namespace, out: Output) -> int:
    from commonhold.blesser import main

    main.run(gridhomes.home(args, args.name), os.environ)
    return 0


_VERBS = {
    "create": _create, "show": _show, "list": _list, "bless": _bless, "approve": _approve, "decline": _decline,
    "revoke": _revoke, "restore": _restore, "serve": _serve,
}  # fmt: skip
