"""Write a graph as a CARv1 archive, parents first, each block once."""

import argparse

from commonhold.calls import Open
from commonhold.cli.opening import agent
from commonhold.cli.output import Output, counted, standard_output
from commonhold.cli.values import filled
from commonhold.cli.watching import Watch
from commonhold.host.names import shown
from commonhold.host.placing import new_file

EXAMPLES = """examples:
  hold export CID -o docs.car
  hold export CID | ssh host hold import -"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """The words after `export`."""
    parser.add_argument("path", metavar="CID[/path]", help="the graph's root")
    parser.add_argument(
        "-o",
        "--output",
        type=filled,
        metavar="FILE",
        help="where to, there being nothing yet (default: standard output)",
    )


def run(args: argparse.Namespace, out: Output) -> int:
    """Export it."""
    watch = Watch(out, "exported")
    to_stdout = args.output is None or args.output == "-"
    try:
        with agent(args, out) as found, standard_output() if to_stdout else new_file("export", args.output) as sink:
            said = "standard output" if to_stdout else shown(args.output)
            done = found.graphs.export(args.path, Open(sink.fileno(), said), watch)
    finally:
        watch.close()
    if to_stdout:
        out.remark(f"exported {counted(done.blocks, 'block')}")
        return 0
    where = shown(args.output)
    row = {"cid": str(done.cid), "path": where, "blocks": done.blocks}
    out.result(row, f"exported {counted(done.blocks, 'block')} to {where}")
    return 0
