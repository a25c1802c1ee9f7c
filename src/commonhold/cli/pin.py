"""Keep graphs under names. What a pin keeps, `gc` leaves alone."""

import argparse
import time
from typing import TYPE_CHECKING

from commonhold.cli.opening import opened
from commonhold.cli.output import Output, counted, human
from commonhold.cli.values import filled, reader_options, readers_of

if TYPE_CHECKING:
    from commonhold.api import Pin
    from commonhold.cli.opening import Opened

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
    from commonhold.formats.multihash import describe

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
                    "readers": [_reader(one) for one in pin.readers],
                }
                shared = f"  for {', '.join(map(_reader, pin.readers))}" if pin.readers else ""
                size = f"{counted(pin.blocks, 'block'):>16} {human(pin.bytes):>10}"
                out.result(row, f"{pin.root} {size}  {made}  {pin.name}{shared}")
    return 0


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


def _add(args: argparse.Namespace, repository: "Opened") -> "Pin":
    from commonhold.agent.naming import parse_name, unread

    named = parse_name(args.path)
    capability = unread(named, repository.store)
    if capability is not None:
        from commonhold.agent.unread import pin_unread

        return pin_unread(repository.store, capability, args.name or str(capability.cid), readers_of(args))
    root = repository.find(named).cid
    return repository.blocks.pin(repository.store.session(readers_of(args)), root, args.name or str(root))
