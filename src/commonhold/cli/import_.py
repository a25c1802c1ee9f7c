"""Take CAR archives in (v1 and v2). Every block is checked; each root is pinned unless --no-pin."""

import argparse
import sys
from contextlib import AbstractContextManager, ExitStack, nullcontext
from typing import TYPE_CHECKING, BinaryIO

from commonhold.calls import Open
from commonhold.cli.opening import agent
from commonhold.cli.output import Output, counted, human
from commonhold.cli.values import filled
from commonhold.cli.watching import Watch
from commonhold.errors import HoldError, Kind, os_errors
from commonhold.host.names import shown

if TYPE_CHECKING:
    from commonhold.calls import Graphs

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
        with agent(args, out) as found:
            for name, source in archives:
                _import(args, out, found.graphs, name, source)
    return 0


def _source(name: str) -> AbstractContextManager[BinaryIO]:
    if name == "-":
        return nullcontext(sys.stdin.buffer)
    with os_errors("import", name):
        return open(name, "rb")


def _import(args: argparse.Namespace, out: Output, graphs: "Graphs", name: str, source: BinaryIO) -> None:
    watch = Watch(out, "imported")
    said = "standard input" if name == "-" else shown(name)
    try:
        found = graphs.take(Open(source.fileno(), said), args.name, not args.no_pin, watch)
    finally:
        watch.close()
    row = {"roots": [str(root) for root in found.roots], "blocks": found.blocks, "bytes": found.bytes}
    out.result(row, "\n".join(str(root) for root in found.roots) or None)
    if not found.roots and not args.no_pin:
        out.remark(f"note: {name} names no root, so nothing is pinned: gc may delete what was imported")
    out.remark(f"{counted(found.blocks, 'block')} of {human(found.bytes)} from {name}")
