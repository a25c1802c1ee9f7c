"""List a directory: kind, size, CID and name of each entry."""

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING

from commonhold.cli.opening import opened
from commonhold.cli.output import Output
from commonhold.errors import HoldError, Kind

if TYPE_CHECKING:
    from commonhold.formats.cid import Cid
    from commonhold.unixfs.read import Entry, Info


def arguments(parser: argparse.ArgumentParser) -> None:
    """The words after `ls`."""
    parser.add_argument("path", metavar="CID[/path]", help="the directory, or a file; sealed: CAPABILITY[/path]")
    parser.add_argument(
        "-n", "--names", action="store_true", help="names only, one a line: faster, for nothing below is opened"
    )


_LETTERS = {"DIRECTORY": "d", "HAMT": "d", "SYMLINK": "l"}


def run(args: argparse.Namespace, out: Output) -> int:
    """List it."""
    from commonhold.agent.blocks import malformed
    from commonhold.agent.naming import parse_name
    from commonhold.host.names import shown
    from commonhold.unixfs import read
    from commonhold.unixfs.run import items

    named = parse_name(args.path)
    with opened(args, out) as repository:
        blocks, root = repository.find(named)
        if blocks.stat(root).type.name not in ("DIRECTORY", "HAMT"):
            name = named.path[-1] if named.path else str(root)
            listed = iter([read.Entry(name, root, 0)])
        else:
            listed = items(read.listing(root), blocks.fetch)
        with malformed("ls", root):
            for entry in listed:
                row: dict[str, object] = {"name": entry.name, "cid": str(entry.cid)}
                text = shown(entry.name)
                if not args.names:
                    text = _described(row, entry, blocks.stat, text)
                out.result(row, text)
    return 0


def _described(row: dict[str, object], entry: "Entry", stat: "Callable[[Cid], Info]", text: str) -> str:
    from commonhold.host.names import shown

    try:
        info = stat(entry.cid)
    except HoldError as error:
        if error.kind is not Kind.NOT_FOUND:
            raise
        row["missing"] = True
        return f"?            - {entry.cid} {text}"
    letter = _LETTERS.get(info.type.name, "-")
    row |= {"type": {"d": "directory", "l": "symlink"}.get(letter, "file"), "size": info.size}
    if info.target is not None:
        row["target"] = info.target
        text += f" -> {shown(info.target)}"
    return f"{letter} {info.size if letter != 'd' else '-':>12} {entry.cid} {text}"
