"""Keys that names are published with: Ed25519, a file each in the repository, readable by you alone.

Whoever has a key speaks for its name, and a key that is lost is lost: `export` it to a safe place.
"""

import argparse

from commonhold.calls import KeyName, OsPath
from commonhold.cli.opening import keys
from commonhold.cli.output import Output
from commonhold.errors import HoldError, Kind

EXAMPLES = """examples:
  hold key new blog
  hold key export blog blog.pem"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """The words after `key`."""
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="new|ls|rename|rm|export|import")
    new = verbs.add_parser("new", help="make a key; the last line is its name")
    new.add_argument("label", metavar="KEY", help="what to call it here; others never see that")
    verbs.add_parser("ls", help="list keys: name and label")
    rename = verbs.add_parser("rename", help="give a key another label; its name stays")
    rename.add_argument("old", metavar="OLD", help="its label")
    rename.add_argument("new", metavar="NEW", help="its label from now on")
    rm = verbs.add_parser("rm", help="delete keys for good: without an export their names never change again")
    rm.add_argument("labels", nargs="+", metavar="KEY", help="as key ls lists them")
    export = verbs.add_parser("export", help="write a key to a new file that you alone can read (PKCS#8 PEM)")
    export.add_argument("label", metavar="KEY", help="as key ls lists it")
    export.add_argument("file", metavar="FILE", help="where to, there being nothing yet")
    take = verbs.add_parser("import", help="take a key in from a file: PKCS#8 PEM, or libp2p's protobuf")
    take.add_argument("label", metavar="KEY", help="what to call it here")
    take.add_argument("file", metavar="FILE", help="the key, readable by you alone")


def run(args: argparse.Namespace, out: Output) -> int:
    """Do it."""
    if args.verb in ("export", "import") and args.file == "-":
        why = "a key goes to and comes from a file, never a terminal or pipe"
        raise HoldError(f"key {args.verb}", Kind.USAGE, "-", why)
    with keys(args, out) as ring:
        if args.verb == "new":
            _tell(out, ring.make(args.label))
        elif args.verb == "ls":
            for key in ring.all():
                _tell(out, key, f"{key.name} {key.label}")
        elif args.verb == "rename":
            _tell(out, ring.rename(args.old, args.new), f"renamed {args.old} to {args.new}")
        elif args.verb == "rm":
            for label in args.labels:
                ring.remove(label)
                out.result({"deleted": label}, f"deleted {label}")
        elif args.verb == "export":
            _tell(out, ring.export(args.label, OsPath(args.file)), f"exported {args.label} to {args.file}")
        else:
            _tell(out, ring.take(args.label, OsPath(args.file)))
    return 0


def _tell(out: Output, key: KeyName, text: str | None = None) -> None:
    out.result({"key": key.label, "name": key.name}, text or key.name)
