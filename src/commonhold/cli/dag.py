"""Nodes of graphs, whatever their codec."""

import argparse
import json

from commonhold.cli.opening import agent
from commonhold.cli.output import Output, counted, human


def arguments(parser: argparse.ArgumentParser) -> None:
    """The words after `dag`."""
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="get|stat")
    get = verbs.add_parser("get", help="a node as dag-json")
    get.add_argument(
        "path",
        metavar="CID[/path]",
        help="the node; a path follows map keys, list positions and links, as in CID/Links/0/Hash",
    )
    stat = verbs.add_parser("stat", help="how many blocks a graph has, and their bytes")
    stat.add_argument("path", metavar="CID[/path]", help="or a CAPABILITY: sealed blocks are checked, not read")


def run(args: argparse.Namespace, out: Output) -> int:
    """Do it."""
    with agent(args, out) as found:
        if args.verb == "get":
            cid, text = found.graphs.node(args.path)
            out.result({"cid": str(cid), "node": json.loads(text)}, text)
        else:
            root, blocks, size = found.graphs.measure(args.path)
            row = {"cid": str(root), "blocks": blocks, "bytes": size}
            out.result(row, f"{root}: {counted(blocks, 'block')}, {human(size)}")
    return 0
