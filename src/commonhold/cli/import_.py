"""Take CAR archives in (v1 and v2). Every block is checked; each root is pinned unless --no-pin."""

import argparse
import sys
from contextlib import AbstractContextManager, ExitStack, nullcontext
from typing import TYPE_CHECKING, BinaryIO

from commonhold.cli.opening import opened
from commonhold.cli.output import Output, counted, human
from commonhold.cli.values import filled
from commonhold.errors import HoldError, Kind, os_errors

if TYPE_CHECKING:
    from commonhold.cli.opening import Opened

EXAMPLES = """examples:
  hold import docs.car --name documents"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """The words after `import`."""
    parser.add_argument("files", nargs="+", metavar="FILE", help="archives; - is standard input")
    parser.add_argument("--name", type=filled, metavar="PINNAME", help="the pin's name, for one archive of one root")
    parser.add_argument("--no-pin", action="store_true", help="pin nothing: gc may delete what was imported")


def run(args: argparse.Namespace, out: Output) -> int:
    """Import them."""
    if args.name and len(args.files) > 1:
        why = "names one root, and there are several FILEs"
        raise HoldError("import", Kind.USAGE, "--name", why, hint="import them one by one")
    with ExitStack() as sources:
        # Before the repository is ours: to open a pipe is to wait for its writer.
        archives = [(name, sources.enter_context(_source(name))) for name in args.files]
        with opened(args, out) as repository:
            for name, source in archives:
                _import(args, out, repository, name, source)
    return 0


def _source(name: str) -> AbstractContextManager[BinaryIO]:
    if name == "-":
        return nullcontext(sys.stdin.buffer)
    with os_errors("import", name):
        return open(name, "rb", buffering=1 << 20)


def _import(args: argparse.Namespace, out: Output, repository: "Opened", name: str, source: BinaryIO) -> None:
    from commonhold.agent.archiving import import_car

    progress = out.progress("imported")
    session = repository.store.session()
    try:
        with os_errors("import", name):
            found = import_car(session, source, "standard input" if name == "-" else name, progress.bytes)
        if args.name and len(found.roots) != 1:
            why = f"has {len(found.roots)} roots, --name names one"
            raise HoldError("import", Kind.USAGE, name, why, hint="leave out --name")
        for root in [] if args.no_pin else found.roots:
            repository.blocks.pin(repository.store.session(), root, args.name or str(root))
    finally:
        session.close()
        progress.close()
    row = {"roots": [str(root) for root in found.roots], "blocks": found.blocks, "bytes": found.bytes}
    out.result(row, "\n".join(str(root) for root in found.roots) or None)
    if not found.roots and not args.no_pin:
        out.remark(f"note: {name} names no root, so nothing is pinned: gc may delete what was imported")
    out.remark(f"{counted(found.blocks, 'block')} of {human(found.bytes)} from {name}")
