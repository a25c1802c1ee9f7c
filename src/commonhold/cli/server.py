"""A storage server: keeps other machines' shares, for accounts that its grid's blessers vouch for. It can read none.

`init` makes its directory with a config to look at, `run` serves in the foreground. Who it is is the key in its
directory: a server that is moved takes that along.
"""

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from commonhold.cli.output import Output
from commonhold.cli.values import size
from commonhold.errors import HoldError, Kind

if TYPE_CHECKING:
    from commonhold.storage.ledger import Shelf

EXAMPLES = """examples:
  hold server init /srv/hold --grid gmfzwc… --listen tcp:0.0.0.0:7373 --announce tcp:attic.example:7373
  hold server run /srv/hold
  hold server add /srv/hold /mnt/disk2 --limit 500G"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """The words after `server`."""
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="init|run|show|add")
    init = verbs.add_parser("init", help="make a server's directory, its key and its config; the last line is its pin")
    init.add_argument("state", metavar="DIR", type=Path, help="its directory, which is made")
    init.add_argument("--grid", required=True, metavar="GRID", help="the id of the grid that it serves: g…")
    init.add_argument("--listen", action="append", default=[], metavar="ADDRESS", help="tcp:NUMBER:PORT or unix:PATH")
    init.add_argument("--announce", action="append", default=[], metavar="ADDRESS", help="by which others reach it")
    init.add_argument("--introducer", action="append", default=[], metavar="PIN@ADDRESS,…", help="who is told of it")
    init.add_argument(
        "--relay", action="append", default=[], metavar="PIN@ADDRESS,…", help="which hands clients on to it"
    )
    init.add_argument("--name", default="", metavar="NAME", help="how it is called; it proves nothing")
    init.add_argument("--limit", type=size, metavar="SIZE", help="bytes of shares that its directory takes")
    run = verbs.add_parser("run", help="serve, in the foreground")
    run.add_argument("state", metavar="DIR", type=Path, help="its directory")
    show = verbs.add_parser("show", help="its pin; its shelves and what is on them, while it does not run")
    show.add_argument("state", metavar="DIR", type=Path, help="its directory")
    add = verbs.add_parser("add", help="have another directory take shares, or change how many, while it does not run")
    add.add_argument("state", metavar="DIR", type=Path, help="the server's directory")
    add.add_argument("path", metavar="PATH", type=Path, help="on the disk that is to take shares")
    add.add_argument("--limit", type=size, metavar="SIZE", help="bytes of shares that it takes; else what its disk has")


def run(args: argparse.Namespace, out: Output) -> int:
    """Do it."""
    state: Path = args.state.absolute()
    if args.verb == "init":
        return _init(args, state, out)
    if args.verb == "run":
        return _serve(state)
    return _add(args, state, out) if args.verb == "add" else _show(state, out)


def _serve(state: Path) -> int:
    from commonhold.storage import config, main, places

    main.run(config.read(places.home(state).config), os.environ)
    return 0


def _init(args: argparse.Namespace, state: Path, out: Output) -> int:
    from commonhold.host import configs
    from commonhold.storage import config, places

    values = {
        "state": str(state), "grid": args.grid, "listen": args.listen, "announce": args.announce,
        "introducers": args.introducer, "relay": args.relay, "name": args.name,
    }  # fmt: skip
    config.parse(values)
    home = places.home(state)
    pin = str(home.make(configs.text("A storage server: man commonhold, docs/spec/storage.md", values)))
    with places.opened(state, "server init") as book:
        places.add_shelf(book, state / places.SHARES, args.limit)
    out.result({"pin": pin, "config": str(home.config)}, pin)
    return 0


def _add(args: argparse.Namespace, state: Path, out: Output) -> int:
    from commonhold.storage import places

    with places.opened(state, "server add") as book:
        _tell(places.add_shelf(book, args.path.absolute(), args.limit), out)
    return 0


def _show(state: Path, out: Output) -> int:
    from commonhold.storage import places

    pin = str(places.home(state).pin())
    out.result({"pin": pin}, pin)
    try:
        with places.opened(state, "server show") as book:
            shelves = book.shelves()
    except HoldError as error:
        if error.kind is not Kind.BUSY:
            raise
        out.remark("note: it runs; what is on its shelves is told while it does not")
        return 0
    for shelf in shelves:
        _tell(shelf, out)
    return 0


def _tell(shelf: "Shelf", out: Output) -> None:
    from commonhold.storage.places import bounded

    limit = bounded(shelf)
    said = "what its disk has" if limit is None else f"{limit} bytes"
    out.result(
        {"path": str(shelf.path), "bytes": shelf.used, "limit": limit}, f"{shelf.path}: {shelf.used} bytes of {said}"
    )
