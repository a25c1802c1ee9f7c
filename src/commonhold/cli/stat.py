"""Say what a CID or path is: kind, size, links, mode and time."""

import argparse

from commonhold.cli.opening import opened
from commonhold.cli.output import Output


def arguments(parser: argparse.ArgumentParser) -> None:
    """The words after `stat`."""
    parser.add_argument("path", metavar="CID[/path]", help="what to look at; sealed: CAPABILITY[/path]")


def run(args: argparse.Namespace, out: Output) -> int:
    """Say it."""
    from commonhold.agent.naming import parse_name
    from commonhold.host.names import shown

    named = parse_name(args.path)
    with opened(args, out) as repository:
        blocks, root = repository.find(named)
        info = blocks.stat(root)
    row: dict[str, object] = {
        "cid": str(root),
        "type": {"HAMT": "directory"}.get(info.type.name, info.type.name.lower()),
        "sharded": info.type.name == "HAMT",
        "size": info.size,
        "links": info.links,
    }
    if info.mode is not None:
        row["mode"] = f"{info.mode:04o}"
    if info.mtime is not None:
        row["mtime"] = info.mtime.seconds + info.mtime.nanos / 1e9
    if info.target is not None:
        row["target"] = info.target
    out.result(row, "\n".join(f"{key + ':':9}{shown(str(value))}" for key, value in row.items()))
    return 0
