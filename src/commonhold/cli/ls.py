"""List a directory: kind, size, CID and name of each entry; of your own tree modes, owners and times."""

import argparse
import stat
import time
from typing import TYPE_CHECKING

from commonhold.calls import OsPath
from commonhold.cli.given import given, tell_sender
from commonhold.cli.opening import agent
from commonhold.cli.output import Output
from commonhold.cli.values import held_row, is_own
from commonhold.host.names import shown

if TYPE_CHECKING:
    from commonhold.calls import HeldEntry, Listed


def arguments(parser: argparse.ArgumentParser) -> None:
    """The words after `ls`."""
    parser.add_argument(
        "path",
        metavar="CID[/path]",
        help="the directory, or a file; sealed: CAPABILITY[/path] or LINK[/path]; /hold/me/path; - reads it",
    )
    parser.add_argument(
        "-n", "--names", action="store_true", help="names only, one a line: faster, for nothing below is opened"
    )


_LETTERS = {"DIRECTORY": "d", "HAMT": "d", "SYMLINK": "l"}


def run(args: argparse.Namespace, out: Output) -> int:
    """List it."""
    args.path = given(args.path)
    with agent(args, out) as found:
        if is_own(args.path):
            for held in found.tree.listing(OsPath(args.path), args.names):
                out.result(*_own(held))
            return 0
        for entry in found.files.listing(args.path, args.names):
            row: dict[str, object] = {"name": entry.name, "cid": str(entry.cid)}
            text = shown(entry.name) if args.names else _described(row, entry)
            out.result(row, text)
    tell_sender(args.path, out)
    return 0


def _own(entry: "HeldEntry") -> tuple[dict[str, object], str]:
    """An entry of the own tree, for programs and for people."""
    name, held = shown(entry.name), entry.held
    if held is None:
        return {"name": name}, name
    row = {"name": name, **held_row(held)}
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(held.modified / 1e9))
    line = f"{stat.filemode(held.mode)} {held.links:>3} {held.owner} {held.group} {held.size:>12} {when} {name}"
    return row, line if held.target is None else f"{line} -> {shown(held.target)}"


def _described(row: dict[str, object], entry: "Listed") -> str:
    name = shown(entry.name)
    said = entry.stat
    if said is None:
        row["missing"] = True
        return f"?            - {entry.cid} {name}"
    kind = said.type if said.type in ("directory", "symlink") else "file"
    row |= {"type": kind, "size": said.size}
    if said.target is not None:
        row["target"] = said.target
        name += f" -> {shown(said.target)}"
    letter = {"directory": "d", "symlink": "l"}.get(kind, "-")
    return f"{letter} {said.size if letter != 'd' else '-':>12} {entry.cid} {name}"
