"""Nodes of graphs, whatever their codec."""

import argparse
import json

from commonhold.cli.opening import opened
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
    from commonhold.agent.blocks import parse_path
    from commonhold.agent.nodes import get_node
    from commonhold.formats import dagcbor

    if args.verb == "stat":
        return _stat(args, out)
    cid, path = parse_path(args.path)
    with opened(args, out) as repository:
        cid, below = repository.blocks.follow(cid, path)
        print_value = dagcbor.to_json(get_node(repository.blocks, cid, below))
    out.result({"cid": str(cid), "node": json.loads(print_value)}, print_value)
    return 0


def _stat(args: argparse.Namespace, out: Output) -> int:
    from commonhold.agent.naming import parse_name, unread
    from commonhold.agent.nodes import graph_size

    named = parse_name(args.path)
    with opened(args, out) as repository:
        capability = unread(named, repository.store)
        if capability is not None:
            from commonhold.agent.unread import sealed_size

            root = capability.cid
            blocks, size = sealed_size(repository.store, capability)
        else:
            root = repository.find(named).cid
            blocks, size = graph_size(repository.blocks, root)
    out.result(
        {"cid": str(root), "blocks": blocks, "bytes": size}, f"{root}: {counted(blocks, 'block')}, {human(size)}"
    )
    return 0
