"""Take CAR archives in (v1 and v2). Every block is checked; each root is pinned unless --no-pin."""

import argparse
import sys

from commonhold.cli.opening import opened
from commonhold.cli.output import Output, human
from commonhold.errors import HoldError, Kind, os_errors


def arguments(parser: argparse.ArgumentParser) -> None:
    """The words after `import`."""
    parser.add_argument("files", nargs="+", metavar="FILE", help="archives; - is standard input")
    parser.add_argument("--name", metavar="PINNAME", help="the pin's name, for one archive of one root")
    parser.add_argument("--no-pin", action="store_true", help="pin nothing: gc may delete what was imported")


def run(args: argparse.Namespace, out: Output) -> int:
    """Import them."""
    from commonhold.agent.archiving import import_car

    if args.name and len(args.files) > 1:
        raise HoldError("import", Kind.USAGE, "--name", "names one root, and there are several FILEs")
    with opened(args, out) as repository:
        for name in args.files:
            progress = out.progress("imported")
            session = repository.store.session()
            try:
                if name == "-":
                    found = import_car(session, sys.stdin.buffer, "standard input", progress.bytes)
                else:
                    with os_errors("import", name), open(name, "rb", buffering=1 << 20) as source:
                        found = import_car(session, source, name, progress.bytes)
                if args.name and len(found.roots) != 1:
                    raise HoldError("import", Kind.USAGE, name, f"has {len(found.roots)} roots, --name names one")
                for root in [] if args.no_pin else found.roots:
                    repository.blocks.pin(repository.store.session(), root, args.name or str(root))
            finally:
                session.close()
                progress.close()
            row = {"roots": [str(root) for root in found.roots], "blocks": found.blocks, "bytes": found.bytes}
            out.result(row, "\n".join(str(root) for root in found.roots))
            out.remark(f"{found.blocks} blocks of {human(found.bytes)} from {name}")
    return 0
