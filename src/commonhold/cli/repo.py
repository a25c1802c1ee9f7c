"""The repository."""

import argparse

from commonhold.cli.opening import agent, choose
from commonhold.cli.output import Output, human


def arguments(parser: argparse.ArgumentParser) -> None:
    """The words after `repo`."""
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="stat")
    verbs.add_parser("stat", help="how much it holds")


def run(args: argparse.Namespace, out: Output) -> int:
    """Say it."""
    with agent(args, out) as found:
        usage = found.keeping.usage()
    path = choose(args).path
    row = {"repository": str(path), **usage._asdict()}
    out.result(
        row,
        f"repository: {path}\nblocks:     {usage.blocks} of {human(usage.bytes)}\npins:       {usage.pins}\n"
        f"segments:   {usage.segments} of {human(usage.disk)} on disk",
    )
    return 0
