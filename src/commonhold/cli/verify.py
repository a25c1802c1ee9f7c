"""Read and check everything. Names what is damaged and the pins it touches; exit code 16 if anything is.

Adding the same content again, or importing it, mends a damaged block.
"""

import argparse

from commonhold.cli.opening import agent
from commonhold.cli.output import Output, counted, human
from commonhold.cli.watching import Watch
from commonhold.errors import Kind


def arguments(parser: argparse.ArgumentParser) -> None:
    """The words after `verify`."""
    parser.add_argument(
        "--rebuild-index",
        action="store_true",
        help="first make the index anew from the segments and the catalogue, which are the truth",
    )


def run(args: argparse.Namespace, out: Output) -> int:
    """Check."""
    from commonhold.blockstore.store import discard_index

    with agent(args, out, before=discard_index if args.rebuild_index else None) as found:
        watch = Watch(out, "checked", found.keeping.usage().bytes)
        try:
            report = found.keeping.verify(watch)
        finally:
            watch.close()
    for damage in report.damage:
        touched = f"; touches pin {', '.join(damage.pins)}" if damage.pins else ""
        out.result({"damage": damage.what, "pins": list(damage.pins)}, f"damaged: {damage.what}{touched}")
    row = {"blocks": report.blocks, "bytes": report.bytes, "damaged": len(report.damage)}
    verdict = f"{len(report.damage)} damaged" if report.damage else "all sound"
    out.result(row, f"checked {counted(report.blocks, 'block')} of {human(report.bytes)}: {verdict}")
    return Kind.CORRUPT.value.exit if report.damage else 0
