"""Keep graphs under names. What a pin keeps, `gc` leaves alone."""

import argparse
import time
from typing import TYPE_CHECKING

from commonhold.cli.opening import agent
from commonhold.cli.output import Output, counted, human
from commonhold.cli.values import filled, reader_options, readers_of

if TYPE_CHECKING:
    from commonhold.api import Pin
    from commonhold.calls import Pins

EXAMPLES = """examples:
  hold pin ls
  hold pin add CID/sub --name sub
  hold pin rm documents && hold gc"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """The words after `pin`."""
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="add|ls|rm|rename")
    add = verbs.add_parser(
        "add", help="keep a graph, all of which has to be here already, under a name; it replaces the pin of that name"
    )
    add.add_argument(
        "path", metavar="CID[/path]", help="the root to keep; of a sealed tree its read or verify CAPABILITY"
    )
    add.add_argument("--name", type=filled, metavar="PINNAME", help="the pin's name (default: the root's CID)")
    reader_options(add)
    ls = verbs.add_parser("ls", help="list pins: root, blocks, bytes, when made, name, and who else may read")
    ls.add_argument("names", nargs="*", metavar="PINNAME", help="list the blocks that these keep, by their hashes")
    rm = verbs.add_parser(
        "rm", help="let graphs go: nothing is deleted before the next gc, and then only what no other pin keeps"
    )
    rm.add_argument(
        "names", nargs="+", metavar="PINNAME", help="as pin ls lists them: a pin without a --name has its CID's"
    )
    rename = verbs.add_parser("rename", help="give a pin another name, which no pin has yet")
    rename.add_argument("old", metavar="OLD", help="the pin's name")
    rename.add_argument("new", metavar="NEW", help="what to call it")


def run(args: argparse.Namespace, out: Output) -> int:
    """Do it."""
    with agent(args, out) as found:
        pins = found.pins
        if args.verb == "add":
            pin = pins.add(args.path, args.name, readers_of(args))
            out.result({"name": pin.name, "cid": str(pin.root), "blocks": pin.blocks}, f"pinned {pin.name}")
        elif args.verb == "rm":
            for name in args.names:
                pins.remove(name)
                out.result({"unpinned": name}, f"unpinned {name}")
        elif args.verb == "rename":
            pins.rename(args.old, args.new)
            out.result({"name": args.new, "was": args.old}, f"renamed {args.old} to {args.new}")
        elif args.names:
            _blocks(args.names, pins, out)
        else:
            for pin in pins.all():
                _tell(pin, out)
    return 0


def _blocks(names: list[str], pins: "Pins", out: Output) -> None:
    from commonhold.formats.multihash import describe

    for name in names:
        for key in pins.keys(name):
            out.result({"name": name, "block": describe(key)}, describe(key))


def _tell(pin: "Pin", out: Output) -> None:
    made = time.strftime("%Y-%m-%d %H:%M", time.localtime(pin.made))
    row = {
        "name": pin.name,
        "cid": str(pin.root),
        "blocks": pin.blocks,
        "bytes": pin.bytes,
        "made": pin.made,
        "readers": [_reader(one) for one in pin.readers],
    }
    shared = f"  for {', '.join(map(_reader, pin.readers))}" if pin.readers else ""
    size = f"{counted(pin.blocks, 'block'):>16} {human(pin.bytes):>10}"
    out.result(row, f"{pin.root} {size}  {made}  {pin.name}{shared}")


def _reader(uid: int) -> str:
    """Somebody who may read, as people call them."""
    import pwd

    from commonhold.api import PUBLIC

    if uid == PUBLIC:
        return "everybody"
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
