"""Delete what no pin keeps, and give the disk space back."""

import argparse

from commonhold.cli.opening import agent
from commonhold.cli.output import Output, counted, human


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `gc`."""
    parser.add_argument(
        "--despite-doubt",
        action="store_true",
        help="delete what no pin keeps although pins may be missing, because the catalogue was damaged",
    )


def run(args: argparse.Namespace, out: Output) -> int:
    """Collect."""
    with agent(args, out) as found:
        done = found.keeping.collect(args.despite_doubt)
    row = {
        "blocks": done.blocks, "bytes": done.bytes, "moved": done.moved, "segments": done.segments, "disk": done.disk,
    }  # fmt: skip
    out.result(
        row, f"deleted {counted(done.blocks, 'block')} of {human(done.bytes)}; {human(done.disk)} of disk given back"
    )
    return 0
