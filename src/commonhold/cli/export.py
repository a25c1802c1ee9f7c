"""Write a graph as a CARv1 archive, parents first, each block once."""

import argparse

from commonhold.cli.opening import opened
from commonhold.cli.output import Output, counted, standard_output
from commonhold.cli.values import filled

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
    from commonhold.agent.archiving import export_car
    from commonhold.agent.blocks import parse_path
    from commonhold.host.names import shown
    from commonhold.host.placing import new_file

    cid, path = parse_path(args.path)
    progress = out.progress("exported")
    with opened(args, out) as repository:
        root = repository.blocks.resolve(cid, path)
        if args.output is None or args.output == "-":
            with standard_output() as stdout:
                count = export_car(repository.blocks, root, stdout, progress.bytes)
            progress.close()
            out.remark(f"exported {counted(count, 'block')}")
            return 0
        with new_file("export", args.output) as sink:
            count = export_car(repository.blocks, root, sink, progress.bytes)
    progress.close()
    where = shown(args.output)
    out.result({"cid": str(root), "path": where, "blocks": count}, f"exported {counted(count, 'block')} to {where}")
    return 0
