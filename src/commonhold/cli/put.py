"""Put files and directories into your own tree, where a mount shows them, too; and onto your grid, if you have one.

Into a directory that is there they go under their own names; one alone may be given another. A file takes the place of
the one that had its name in one step, and directories take in what comes. Modes, times, symbolic and hard links, holes
and extended attributes of users are kept; what is put is yours.

Whoever has joined a grid has what was put kept there, too: sealed, in shares on several servers, of which some may be
lost. The last line is then the read capability: `hold get` takes it on any machine of the grid. --local does not.
"""

import argparse
import os
from typing import TYPE_CHECKING

from commonhold.calls import Open, OsPath, Shooting
from commonhold.cli.opening import agent
from commonhold.cli.output import Output, counted, human
from commonhold.cli.values import OWN, filled, is_own
from commonhold.cli.watching import Watch
from commonhold.errors import HoldError, Kind
from commonhold.host.names import shown

if TYPE_CHECKING:
    from commonhold.calls import Agent, KeptTree

EXAMPLES = """examples:
  hold put ~/Documents
  hold put ~/Documents /hold/me --local
  hold put letter.txt /hold/me/letters/today.txt
  tar c src | hold put - /hold/me/src.tar"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """The words after `put`."""
    parser.add_argument(
        "words",
        nargs="+",
        type=filled,
        metavar="LOCAL… [/hold/me/PATH]",
        help="files and directories, - for standard input; then where to: a directory or new name (default: /hold/me)",
    )
    parser.add_argument("--grid", metavar="NAME", help="the grid that is to keep it, where you have joined several")
    parser.add_argument("--local", action="store_true", help="into your own tree only")


def run(args: argparse.Namespace, out: Output) -> int:
    """Put them."""
    sources, path = _places(args.words)
    watch = Watch(out, "put")
    source = Open(0, "standard input") if "-" in sources else None
    try:
        with agent(args, out) as found:
            done = found.tree.put([OsPath(one) for one in sources], OsPath(path), source, watch)
            try:
                kept = None if args.local else _keep(found, args.grid, sources, path, out)
            except HoldError:
                out.remark(f"note: it is in {shown(path)}, and not on a grid; the same command puts it there, too")
                raise
    finally:
        watch.close()
    where = shown(path)
    row: dict[str, object] = {"path": where, "files": done.files, "bytes": watch.done}
    out.remark(f"{counted(done.files, 'file or directory', 'files and directories')}, {human(watch.done)} read")
    if kept is None:
        out.result(row, where)
        return 0
    tree, root, what = kept
    said = {"grid": tree.grid, "shape": tree.shape, "capability": root}
    out.result(row | said, f"{what}: kept {tree.shape} on {tree.grid} as {shown(tree.name)}")
    if not out.json:
        out.line(root)
    return 0


def _places(words: list[str]) -> tuple[list[str], str]:
    """What is to be put, and where to."""
    if not is_own(words[-1]):
        return words, OWN
    if len(words) == 1:
        raise HoldError("put", Kind.USAGE, words[0], "what is to be put there?", hint="hold put LOCAL /hold/me")
    return words[:-1], words[-1]


def _keep(
    found: "Agent", grid: str | None, sources: list[str], path: str, out: Output
) -> "tuple[KeptTree, str, str] | None":
    """Have what was put kept on a grid, by a snapshot of it: how, its capability, and its path. None where no grid was
    joined."""
    if grid is None and not found.grids.names():
        return None
    watch = Watch(out, "sent")
    try:
        what = _put_as(found, sources, path)
        made = found.history.take(OsPath(what), Shooting(), watch)
        kept = found.grids.keep(made.root, made.name, grid, watch)
    finally:
        watch.close()
    watch.told_parts()
    return kept, made.root, shown(what)


def _put_as(found: "Agent", sources: list[str], path: str) -> str:
    """What a snapshot is made of: the one thing that was put, or the directory into which several were."""
    name = os.path.basename(sources[0].rstrip("/"))
    below = f"{path.rstrip('/')}/{name}"
    if len(sources) > 1 or sources[0] == "-" or not name:
        return path
    try:
        found.tree.stat(OsPath(below))
    except HoldError:
        return path
    return below
