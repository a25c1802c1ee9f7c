"""An introducer: passes announcements on, and stores nothing for anybody. Any machine can be one; none has to be.

`init` makes its directory with a config to look at, `run` serves in the foreground. The address that `init` and `show`
print is what others are told: one of them is enough to find all introducers of a grid.
"""

import argparse
import os
from pathlib import Path

from commonhold.cli.output import Output

EXAMPLES = """examples:
  hold introducer init /srv/introducer --grid gmfzwc… --listen tcp:0.0.0.0:7374 --announce tcp:attic.example:7374
  hold introducer init /srv/introducer --grid gmfzwc… --listen tcp:0.0.0.0:7374 --introducer p4tqx…@tcp:cellar:7374
  hold introducer run /srv/introducer"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """The words after `introducer`."""
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="init|run|show")
    init = verbs.add_parser("init", help="make its directory, key and config; the last line is its address")
    init.add_argument("state", metavar="DIR", type=Path, help="its directory, which is made")
    init.add_argument("--grid", action="append", default=[], metavar="GRID", help="the id of a grid that it serves: g…")
    init.add_argument("--listen", action="append", default=[], metavar="ADDRESS", help="tcp:NUMBER:PORT or unix:PATH")
    init.add_argument("--announce", action="append", default=[], metavar="ADDRESS", help="by which others reach it")
    init.add_argument(
        "--introducer", action="append", default=[], metavar="PIN@ADDRESS,…", help="another to begin with"
    )
    init.add_argument("--name", default="", metavar="NAME", help="how it is called; it proves nothing")
    for verb, said in (("run", "pass announcements on, in the foreground"), ("show", "its address; it need not run")):
        verbs.add_parser(verb, help=said).add_argument("state", metavar="DIR", type=Path, help="its directory")


def run(args: argparse.Namespace, out: Output) -> int:
    """Do it."""
    state: Path = args.state.absolute()
    if args.verb == "init":
        return _init(args, state, out)
    return _serve(state) if args.verb == "run" else _show(state, out)


def _serve(state: Path) -> int:
    from commonhold.introducer import config, main

    main.run(config.read(main.home(state).config), os.environ)
    return 0


def _init(args: argparse.Namespace, state: Path, out: Output) -> int:
    from commonhold.host import configs
    from commonhold.introducer import config, main

    several = len(args.grid) > 1
    values = {
        "state": str(state), "grids" if several else "grid": args.grid if several else "".join(args.grid),
        "listen": args.listen, "announce": args.announce, "introducers": args.introducer, "name": args.name,
    }  # fmt: skip
    config.parse(values)
    main.home(state).make(configs.text("An introducer: man commonhold, docs/spec/gossip.md", values))
    return _show(state, out)


def _show(state: Path, out: Output) -> int:
    from commonhold.introducer import config, main
    from commonhold.transport import torconfig

    home = main.home(state)
    pin, told = str(home.pin()), config.read(home.config)
    announced = torconfig.addresses(told.announce, told.tor.onion(state))
    address = f"{pin}@{','.join(announced)}" if announced else pin
    out.result({"pin": pin, "address": address, "config": str(home.config)}, address)
    return 0
