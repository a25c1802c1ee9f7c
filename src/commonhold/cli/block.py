"""Single blocks."""

import argparse
import sys

from commonhold.cli.opening import agent
from commonhold.cli.output import Output, standard_output
from commonhold.cli.values import filled
from commonhold.errors import HoldError, Kind, os_errors


def arguments(parser: argparse.ArgumentParser) -> None:
    """The words after `block`."""
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="put|get|stat|rm")
    put = verbs.add_parser("put", help="store bytes as one block; the CID is the last line")
    put.add_argument(
        "file", nargs="?", default="-", metavar="FILE", help="what to store, at most 2 MiB (default: standard input)"
    )
    put.add_argument(
        "--codec",
        default="raw",
        metavar="CODEC",
        help="what the bytes mean: raw (default), dag-pb, dag-cbor, … (hold cid codecs)",
    )
    put.add_argument(
        "--hash", default="sha2-256", metavar="HASH", help="the hash function: sha2-256 (default), … (hold cid hashes)"
    )
    put.add_argument("--name", type=filled, metavar="PINNAME", help="pin it, so that gc leaves it")
    for verb, text in (
        ("get", "write a block's bytes to standard output"),
        ("stat", "say a block's size in bytes"),
        ("rm", "delete a block that no pin keeps"),
    ):
        one = verbs.add_parser(verb, help=text)
        one.add_argument("cid", metavar="CID", help="the block's name")


def _read(name: str) -> bytes:
    from commonhold.api import MAX_BLOCK

    if name == "-":
        data = sys.stdin.buffer.read(MAX_BLOCK + 1)
    else:
        with os_errors("block put", name), open(name, "rb") as source:
            data = source.read(MAX_BLOCK + 1)
    if len(data) > MAX_BLOCK:
        raise HoldError("block put", Kind.TOO_LARGE, name, f"over {MAX_BLOCK} bytes", hint="hold add")
    return data


def run(args: argparse.Namespace, out: Output) -> int:
    """Do it."""
    data = _read(args.file) if args.verb == "put" else b""
    with agent(args, out) as found:
        graphs = found.graphs
        if args.verb == "put":
            cid = graphs.put_block(data, args.codec, args.hash, args.name)
            out.result({"cid": str(cid), "size": len(data)}, str(cid))
        elif args.verb == "get":
            block = graphs.block(args.cid)
            with standard_output() as stdout:
                stdout.write(block)
        elif args.verb == "stat":
            size = graphs.block_size(args.cid)
            out.result({"cid": args.cid, "size": size}, f"{args.cid} {size}")
        else:
            size = graphs.delete_block(args.cid)
            out.result({"deleted": args.cid, "size": size}, f"deleted {args.cid}")
    return 0
