"""Put files and directories into your own tree, where a mount shows them, too.

Into a directory that is there they go under their own names; one alone may be given another. A file takes the place of
the one that had its name in one step, and directories take in what comes. Modes, times, symbolic and hard links, holes
and extended attributes of users are kept; what is put is yours.
"""

import argparse

from commonhold.calls import Open, OsPath
from commonhold.cli.opening import agent
from commonhold.cli.output import Output, counted, human
from commonhold.cli.values import filled
from commonhold.cli.watching import Watch
from commonhold.host.names import shown

EXAMPLES = """examples:
  hold put ~/Documents /hold/me
  hold put letter.txt /hold/me/letters/today.txt
  tar c src | hold put - /hold/me/src.tar"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """The words after `put`."""
    parser.add_argument(
        "sources", nargs="+", type=filled, metavar="LOCAL", help="files and directories; - is standard input"
    )
    parser.add_argument("path", type=filled, metavar="/hold/me/PATH", help="where to: a directory, or a new name")


def run(args: argparse.Namespace, out: Output) -> int:
    """Put them."""
    watch = Watch(out, "put")
    source = Open(0, "standard input") if "-" in args.sources else None
    try:
        with agent(args, out) as found:
            done = found.tree.put([OsPath(one) for one in args.sources], OsPath(args.path), source, watch)
    finally:
        watch.close()
    where = shown(args.path)
    out.result({"path": where, "files": done.files, "bytes": watch.done}, where)
    out.remark(f"{counted(done.files, 'file or directory', 'files and directories')}, {human(watch.done)} read")
    return 0
