"""Say what a CID or path is: kind, size, links, mode and time."""

import argparse

from commonhold.calls import OsPath
from commonhold.cli.given import given
from commonhold.cli.opening import agent
from commonhold.cli.output import Output
from commonhold.cli.values import held_row, is_own
from commonhold.host.names import shown


def arguments(parser: argparse.ArgumentParser) -> None:
    """The words after `stat`."""
    parser.add_argument(
        "path",
        metavar="CID[/path]",
        help="what to look at; sealed: CAPABILITY[/path] or LINK[/path]; /hold/me/path; - reads it",
    )


def run(args: argparse.Namespace, out: Output) -> int:
    """Say it."""
    args.path = given(args.path)
    with agent(args, out) as found:
        if is_own(args.path):
            own = held_row(found.tree.stat(OsPath(args.path)))
            out.result(own, "\n".join(f"{key + ':':10}{value}" for key, value in own.items()))
            return 0
        stat = found.files.stat(args.path)
    row: dict[str, object] = stat._asdict() | {"cid": str(stat.cid)}
    if stat.mode is not None:
        row["mode"] = f"{stat.mode:04o}"
    row = {key: value for key, value in row.items() if value is not None}
    out.result(row, "\n".join(f"{key + ':':9}{shown(str(value))}" for key, value in row.items()))
    return 0
