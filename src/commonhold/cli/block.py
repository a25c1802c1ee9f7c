"""Single blocks."""

import argparse
import sys

from commonhold.cli.opening import opened
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
    from commonhold.agent.blocks import malformed, parse_path
    from commonhold.formats import cid as cids
    from commonhold.formats.cid import Cid

    if args.verb == "put":
        return _put(args, out)
    cid, path = parse_path(args.cid)
    if path or cid.codec == cids.LIBP2P_KEY:
        raise HoldError(
            f"block {args.verb}", Kind.USAGE, args.cid, "a CID alone, without a path", hint="hold dag get takes paths"
        )
    with opened(args, out) as repository, malformed(f"block {args.verb}", cid):
        if args.verb == "get":
            with standard_output() as stdout:
                stdout.write(repository.blocks.block(cid))
            return 0
        inline = cid.inline
        if args.verb == "stat":
            size = len(inline) if inline is not None else repository.store.size(cid.multihash)
            out.result({"cid": str(Cid(cid)), "size": size}, f"{cid} {size}")
        elif inline is not None:
            why = "carries its content in its name: nothing is stored"
            raise HoldError("block rm", Kind.USAGE, str(cid), why, hint="there is nothing to remove")
        else:
            size = repository.store.delete(cid.multihash)
            out.result({"deleted": str(cid), "size": size}, f"deleted {cid}")
    return 0


def _put(args: argparse.Namespace, out: Output) -> int:
    from commonhold.formats import cid as cids
    from commonhold.formats import multihash
    from commonhold.formats.malformed import Malformed
    from commonhold.unixfs.nodes import children

    data = _read(args.file)
    try:
        cid = cids.make_v1(cids.codec_of(args.codec), multihash.compute(multihash.code_of(args.hash), data))
        if cid.codec in (cids.DAG_PB, cids.DAG_CBOR, cids.DAG_JSON):
            children(cid, data)  # refuse what is not of its codec
    except Malformed as error:
        raise HoldError("block put", Kind.INVALID, args.file, str(error), hint="--codec raw takes any bytes") from error
    with opened(args, out) as repository:
        if cid.inline is None:
            session = repository.store.session()
            try:
                session.put(cid.multihash, data)
                session.flush()
            finally:
                session.close()
        if args.name:
            repository.blocks.pin(repository.store.session(), cid, args.name)
    out.result({"cid": str(cid), "size": len(data)}, str(cid))
    return 0
