"""List a directory: kind, size, CID and name of each entry."""

import argparse
from typing import TYPE_CHECKING

from commonhold.cli.opening import agent
from commonhold.cli.output import Output
from commonhold.host.names import shown

if TYPE_CHECKING:
    from commonhold.calls import Listed


def arguments(parser: argparse.ArgumentParser) -> None:
    """The words after `ls`."""
    parser.add_argument("path", metavar="CID[/path]", help="the directory, or a file; sealed: CAPABILITY[/path]")
    parser.add_argument(
        "-n", "--names", action="store_true", help="names only, one a line: faster, for nothing below is opened"
    )


_LETTERS = {"DIRECTORY": "d", "HAMT": "d", "SYMLINK": "l"}


def run(args: argparse.Namespace, out: Output) -> int:
    """List it."""
    with agent(args, out) as found:
        for entry in found.files.listing(args.path, args.names):
            row: dict[str, object] = {"name": entry.name, "cid": str(entry.cid)}
            text = shown(entry.name) if args.names else _described(row, entry)
            out.result(row, text)
    return 0


def _described(row: dict[str, object], entry: "Listed") -> str:
    name = shown(entry.name)
    stat = entry.stat
    if stat is None:
        row["missing"] = True
        return f"?            - {entry.cid} {name}"
    kind = stat.type if stat.type in ("directory", "symlink") else "file"
    row |= {"type": kind, "size": stat.size}
    if stat.target is not None:
        row["target"] = stat.target
        name += f" -> {shown(stat.target)}"
    letter = {"directory": "d", "symlink": "l"}.get(kind, "-")
    return f"{letter} {stat.size if letter != 'd' else '-':>12} {entry.cid} {name}"
