"""A relay: hands connections on to servers that nobody can dial, such as those behind NAT. It can read none of them.

`init` makes its directory with a config to look at, `run` serves in the foreground. It serves the servers that its
config names, and nobody else: each has a port of its own, the same one each time. The address that `init` and `show`
print goes into such a server's config, or to `hold server init --relay`.
"""

import argparse
import os
from pathlib import Path

from commonhold.cli.output import Output

EXAMPLES = """examples:
  hold relay init /srv/relay --listen tcp:0.0.0.0:7375 --announce tcp:relay.example:7375 --ports 7376-7399 --server p4…
  hold relay run /srv/relay
  hold server init /srv/hold --grid gmfzwc… --relay p7…@tcp:relay.example:7375"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """The words after `relay`."""
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="init|run|show")
    init = verbs.add_parser("init", help="make its directory, key and config; the last line is its address")
    init.add_argument("state", metavar="DIR", type=Path, help="its directory, which is made")
    init.add_argument("--listen", action="append", default=[], metavar="ADDRESS", help="tcp:NUMBER:PORT, for servers")
    init.add_argument(
        "--announce", action="append", default=[], metavar="ADDRESS", help="tcp:HOST:PORT, as it is reached"
    )
    init.add_argument("--ports", required=True, metavar="FIRST-LAST", help="one for all servers' answers, then theirs")
    init.add_argument("--server", action="append", default=[], metavar="PIN", help="a server that gets a port")
    for verb, said in (("run", "hand on, in the foreground"), ("show", "its address, and its servers' ports")):
        verbs.add_parser(verb, help=said).add_argument("state", metavar="DIR", type=Path, help="its directory")


def run(args: argparse.Namespace, out: Output) -> int:
    """Do it."""
    state: Path = args.state.absolute()
    if args.verb == "init":
        return _init(args, state, out)
    return _serve(state) if args.verb == "run" else _show(state, out)


def _serve(state: Path) -> int:
    from commonhold.relay import config, main

    main.run(config.read(main.home(state).config), os.environ)
    return 0


def _init(args: argparse.Namespace, state: Path, out: Output) -> int:
    from commonhold.host import configs
    from commonhold.relay import config, main

    values = {
        "state": str(state), "listen": args.listen, "announce": args.announce, "ports": args.ports,
        "servers": args.server,
    }  # fmt: skip
    config.parse(values)
    main.home(state).make(configs.text("A relay: man commonhold, docs/spec/relay.md", values))
    return _show(state, out)


def _show(state: Path, out: Output) -> int:
    from commonhold.relay import config, main

    home = main.home(state)
    told = config.read(home.config)
    ports = main.assigned(told)
    for server in told.servers:
        out.result({"server": str(server), "port": ports[server]}, f"{server} {ports[server]}")
    pin = str(home.pin())
    address = f"{pin}@{','.join(told.announce)}" if told.announce else pin
    out.result({"pin": pin, "address": address, "config": str(home.config)}, address)
    return 0
