"""Keep graphs under names. What a pin keeps, `gc` leaves alone."""

import argparse
import time
from typing import TYPE_CHECKING

from commonhold.cli.opening import opened
from commonhold.cli.output import Output, counted, human
from commonhold.cli.values import filled

if TYPE_CHECKING:
    from commonhold.api import Pin
    from commonhold.cli.opening import Opened


def arguments(parser: argparse.ArgumentParser) -> None:
    """The words after `pin`."""
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="add|ls|rm|rename")
    add = verbs.add_parser("add", help="keep a graph that is here, whole")
    add.add_argument("path", metavar="CID[/path]", help="or a read or verify CAPABILITY")
    add.add_argument(
        "--name", type=filled, metavar="PINNAME", help="else its CID; of what is sealed, the sealed block's"
    )
    ls = verbs.add_parser("ls", help="list pins")
    ls.add_argument("names", nargs="*", metavar="PINNAME", help="these only, with each block's CID key")
    rm = verbs.add_parser("rm", help="let graphs go; gc deletes what nothing else keeps")
    rm.add_argument("names", nargs="+", metavar="PINNAME")
    rename = verbs.add_parser("rename", help="give a pin another name")
    rename.add_argument("old", metavar="OLD")
    rename.add_argument("new", metavar="NEW")


def run(args: argparse.Namespace, out: Output) -> int:
    """Do it."""
    from commonhold.blockstore.store import describe

    with opened(args, out) as repository:
        store = repository.store
        if args.verb == "add":
            pin = _add(args, repository)
            out.result({"name": pin.name, "cid": str(pin.root), "blocks": pin.blocks}, f"pinned {pin.name}")
        elif args.verb == "rm":
            for name in args.names:
                store.unpin(name)
                out.result({"unpinned": name}, f"unpinned {name}")
        elif args.verb == "rename":
            store.rename_pin(args.old, args.new)
            out.result({"name": args.new, "was": args.old}, f"renamed {args.old} to {args.new}")
        elif args.names:
            for name in args.names:
                for key in store.pin_keys(name):
                    out.result({"name": name, "block": describe(key)}, describe(key))
        else:
            for pin in store.pins():
                made = time.strftime("%Y-%m-%d %H:%M", time.localtime(pin.made))
                row = {
                    "name": pin.name,
                    "cid": str(pin.root),
                    "blocks": pin.blocks,
                    "bytes": pin.bytes,
                    "made": pin.made,
                }
                out.result(
                    row, f"{pin.root} {counted(pin.blocks, 'block'):>16} {human(pin.bytes):>10}  {made}  {pin.name}"
                )
    return 0


def _add(args: argparse.Namespace, repository: "Opened") -> "Pin":
    from commonhold.agent.naming import parse_name, unread

    named = parse_name(args.path)
    capability = unread(named, repository.store)
    if capability is not None:
        from commonhold.agent.unread import pin_unread

        return pin_unread(repository.store, capability, args.name or str(capability.cid))
    root = repository.find(named).cid
    return repository.blocks.pin(repository.store.session(), root, args.name or str(root))
