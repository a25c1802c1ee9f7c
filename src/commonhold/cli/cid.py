"""Look at CIDs, and convert them: version, base, codec. Needs no repository."""

import argparse

from commonhold.cli.output import Output
from commonhold.cli.values import filled
from commonhold.errors import HoldError, Kind

EXAMPLES = """examples:
  hold cid format -v 1 QmT78zSuBmuS4z925WZfrqQ1qHaJ56DQaTfyMUF7F8ff5o
  hold cid inspect bafkreifjjcie6lypi6ny7amxnfftagclbuxndqonfipmb64f2km2devei4"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """The words after `cid`."""
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="format|inspect|bases|codecs|hashes")
    form = verbs.add_parser("format", help="convert CIDs")
    form.add_argument("cids", nargs="+", metavar="CID", help="what to convert")
    form.add_argument("-v", "--cid-version", type=int, choices=[0, 1], help="the version (default: as it is)")
    form.add_argument(
        "-b",
        "--base",
        type=filled,
        metavar="BASE",
        help="base32, base58btc, base36, … (default: the version's usual one; hold cid bases)",
    )
    form.add_argument("--codec", type=filled, metavar="CODEC", help="say that the block means something else")
    inspect = verbs.add_parser("inspect", help="take CIDs apart: version, base, codec, hash, digest")
    inspect.add_argument("cids", nargs="+", metavar="CID", help="what to look at")
    for verb in ("bases", "codecs", "hashes"):
        verbs.add_parser(verb, help=f"list the {verb} known")


def run(args: argparse.Namespace, out: Output) -> int:
    """Do it."""
    from commonhold.formats import cid as cids
    from commonhold.formats import multihash

    if args.verb == "bases":
        for name, letter in cids.BASES.items():
            out.result({"name": name, "prefix": letter}, f"{letter} {name}")
        return 0
    if args.verb == "codecs":
        for code, name in cids.CODECS.items():
            out.result({"name": name, "code": code}, f"{code:#06x} {name}")
        return 0
    if args.verb == "hashes":
        for code, function in multihash.FUNCTIONS.items():
            row = {"name": function.name, "code": code, "supported": function.compute is not None}
            out.result(row, f"{code:#06x} {function.name}" + ("" if function.compute else " (named only)"))
        return 0
    for text in args.cids:
        _one(args, out, text)
    return 0


def _one(args: argparse.Namespace, out: Output, text: str) -> None:
    from commonhold.formats import cid as cids
    from commonhold.formats.malformed import Malformed

    try:
        found, base = cids.parse_text_base(text)
        if args.verb == "inspect":
            hashed = found.multihash
            row = {
                "cid": text, "version": found.version, "base": base, "codec": cids.codec_name(found.codec),
                "hash": hashed.function, "digest": hashed.digest.hex(),
            }  # fmt: skip
            out.result(row, "\n".join(f"{key + ':':9}{value}" for key, value in row.items()))
            return
        if args.codec:
            found = cids.make_v1(cids.codec_of(args.codec), found.multihash)
        if args.cid_version is not None:
            found = cids.to_version(found, args.cid_version)
        elif args.base and args.base != "base58btc":
            found = cids.to_version(found, 1)
        shown = cids.format_text(found, args.base) if args.base else str(found)
    except Malformed as error:
        hint = "hold cid bases, hold cid codecs and hold cid hashes list what is known"
        raise HoldError("cid", Kind.USAGE, repr(text)[:120], str(error), hint=hint) from error
    out.result({"cid": text, "formatted": shown}, shown)
