"""Names that point at content, and can be made to point elsewhere by whoever has their key: /ipns/k51…

A record says what a name points at, until when, and how often that has changed. Records are kept in the repository.
"""

import argparse
import time
from typing import TYPE_CHECKING

from commonhold.cli.opening import agent
from commonhold.cli.output import Output
from commonhold.cli.values import duration
from commonhold.errors import HoldError, Kind, os_errors

if TYPE_CHECKING:
    from commonhold.formats.ipns import Name, Record

EXAMPLES = """examples:
  hold name publish CID --key blog --lifetime 365d
  hold name resolve k51…/some/file"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """The words after `name`."""
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="publish|resolve|inspect|ls|rm")
    publish = verbs.add_parser("publish", help="let a key's name point at something; the last line is the name")
    publish.add_argument("path", metavar="CID[/path]", help="or /ipns/NAME[/path]")
    publish.add_argument("--key", metavar="KEY", help="by this key; not needed if there is one only")
    publish.add_argument(
        "--lifetime",
        type=duration,
        metavar="TIME",
        help="how long it is valid, such as 90s, 5m, 48h or 365d (default 48h)",
    )
    publish.add_argument(
        "--ttl", type=duration, metavar="TIME", help="how long others may rely on it without asking again (default 5m)"
    )
    resolve = verbs.add_parser("resolve", help="say what a name points at")
    resolve.add_argument("name", metavar="NAME[/path]", help="k51…, 12D3Koo… or /ipns/…")
    inspect = verbs.add_parser("inspect", help="say all that a record says; fails if it is not valid now")
    inspect.add_argument("what", metavar="FILE|NAME", help="a record's file, or a name whose record is here")
    inspect.add_argument("--name", metavar="NAME", help="whose the record in FILE should be")
    verbs.add_parser("ls", help="list what you have published here: name, key, until when, and what it points at")
    rm = verbs.add_parser("rm", help="take back what you have published here; copies of it elsewhere stay")
    rm.add_argument("names", nargs="+", metavar="NAME", help="as name ls lists them")


def run(args: argparse.Namespace, out: Output) -> int:
    """Do it."""
    if args.verb == "publish":
        return _publish(args, out)
    if args.verb == "ls":
        return _list(args, out)
    if args.verb == "rm":
        return _remove(args, out)
    return _resolve(args, out) if args.verb == "resolve" else _inspect(args, out)


def _list(args: argparse.Namespace, out: Output) -> int:
    from commonhold.host.names import shown

    with agent(args, out) as found:
        for one in found.names.all():
            until = "expired" if one.expired else f"until {one.validity}"
            out.result(one._asdict(), f"{one.name} {one.key or '-'} {until} {shown(one.value)}")
    return 0


def _remove(args: argparse.Namespace, out: Output) -> int:
    paths = [_path_of(name) for name in args.names]
    for path in paths:
        _parse(path)
    with agent(args, out) as found:
        for name, path in zip(args.names, paths, strict=True):
            found.names.remove(path)
            out.result({"removed": name}, f"removed {name}")
    return 0


def _publish(args: argparse.Namespace, out: Output) -> int:
    with agent(args, out) as found:
        done = found.names.publish(args.path, args.key, args.lifetime, args.ttl)
    if done.absent is not None:
        out.remark(f"note: {done.value} cannot be read here: {done.absent}")
    row = {
        "name": done.key.name,
        "key": done.key.label,
        "value": done.value,
        "sequence": done.sequence,
        "validity": done.validity,
    }
    out.result(row, done.key.name)
    out.remark(f"points at {done.value} until {done.validity}, sequence {done.sequence}")
    return 0


def _resolve(args: argparse.Namespace, out: Output) -> int:
    from commonhold.host.names import shown

    path = _path_of(args.name)
    _parse(path)  # a slip of the pen needs no repository
    with agent(args, out) as found:
        name, value = found.names.resolve(path)
    out.result({"name": name, "value": value}, shown(value))
    return 0


def _path_of(text: str) -> str:
    return text if text.startswith(("/ipns/", "ipns://")) else f"/ipns/{text}"


def _parse(path: str) -> "Name":
    from commonhold.agent.blocks import parse_path
    from commonhold.formats import ipns

    return ipns.name_of_cid(parse_path(path)[0])


def _inspect(args: argparse.Namespace, out: Output) -> int:
    from commonhold.agent.names import judge
    from commonhold.formats import ipns

    name, record = _found(args, out)
    if name is None and record.public is not None:
        name = ipns.name_of(record.public)
    now = time.time_ns()
    row = _describe(record, now)
    verdict = judge(record, name, now) if name else None
    row |= {
        "name": str(name) if name else None,
        "signed": verdict.signed if verdict else None,
        "valid": verdict.valid if verdict else None,
    }
    if verdict is None:
        out.remark("note: whose record this is does not stand in it; --name NAME checks whether it is that name's")
    out.result(row, "\n".join(f"{key.replace('_', ' ') + ':':13}{_word(value)}" for key, value in row.items()))
    return 1 if verdict and not verdict.valid else 0


def _found(args: argparse.Namespace, out: Output) -> "tuple[Name | None, Record]":
    """The record that is meant, and whose it should be."""
    from commonhold.formats import ipns
    from commonhold.formats.malformed import Malformed

    try:
        name = ipns.parse_name(args.what)
    except Malformed:
        return _parse(_path_of(args.name)) if args.name else None, _read(args.what)
    with agent(args, out) as found:
        return name, ipns.decode(found.names.record(f"/ipns/{name}"))


def _read(path: str) -> "Record":
    from commonhold.formats import ipns
    from commonhold.formats.malformed import Malformed

    with os_errors("name inspect", path), open(path, "rb") as source:
        raw = source.read(ipns.MAX_RECORD + 1)
    try:
        return ipns.decode(raw)
    except Malformed as error:
        raise HoldError("name inspect", Kind.INVALID, path, str(error)) from error


def _describe(record: "Record", now: int) -> dict[str, object]:
    """What a record says of itself."""
    claims = record.claims
    return {
        "value": claims.value.decode("utf-8", "backslashreplace"),
        "sequence": claims.sequence,
        "validity": record.validity,
        "expired": claims.eol <= now,
        "ttl_seconds": claims.ttl / 1e9,
        "versions": "1 and 2" if record.legacy else "2",
        "public_key": "in the record" if record.public else "in the name",
        "other": list(record.extra),
        "bytes": len(record.raw),
    }


def _word(value: object) -> str:
    from commonhold.host.names import shown

    if isinstance(value, list):
        return ", ".join(shown(str(item)) for item in value) or "nothing"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "unknown" if value is None else shown(str(value))
