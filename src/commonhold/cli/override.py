"""Say by your own word how a server is reached: at these addresses, in place of the announced ones.

It is a clause in the grid's override.yaml, which may be edited by hand, too: comments and all other clauses stay as
they are. An override changes how a server is reached, never who it is: what it may be used for is a blessing's word.
"""

import argparse
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from commonhold.cli.output import Output
from commonhold.errors import HoldError, Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from commonhold.cli.joined import Grid
    from commonhold.formats.hint import Hint
    from commonhold.formats.pin import SpkiPin
    from commonhold.grids.known import Known, KnownServer

EXAMPLES = """examples:
  hold override attic tcp:192.168.1.5:4444
  hold override attic tcp:192.168.1.5:4444 --direct
  hold override attic --clear"""

_OP = "override"


def arguments(parser: argparse.ArgumentParser) -> None:
    """The words after `override`."""
    from commonhold.cli.joined import grid_option

    parser.add_argument("server", metavar="SERVER", help="its name, its pin, or the first 8 characters of that or more")
    parser.add_argument(
        "hints", nargs="*", metavar="ADDRESS", help="such as tcp:HOST:PORT, tor:NAME.onion:PORT or unix:PATH, in order"
    )
    parser.add_argument(
        "--direct",
        action="store_true",
        help="these addresses may be dialled directly, whatever the grid's rules say: the server sees where you are",
    )
    parser.add_argument("--clear", action="store_true", help="take all of the server's clause away")
    grid_option(parser)


def run(args: argparse.Namespace, out: Output) -> int:
    """Do it."""
    from commonhold.cli import joined

    hints = _parsed(args.hints)
    if args.clear == bool(hints or args.direct):
        raise HoldError(
            _OP, Kind.USAGE, "", "takes addresses, or --direct, or else --clear", hint="hold override --help"
        )
    found = list(joined.grids(args))
    return _clear(args, found, out) if args.clear else _set(args, found, hints, out)


def _parsed(texts: list[str]) -> "tuple[Hint, ...]":
    """Addresses of kinds that are known, none twice."""
    from commonhold.formats import hint
    from commonhold.formats.hint import UnknownHint
    from commonhold.formats.malformed import Malformed
    from commonhold.grids.clauses import MAX_HINTS

    found: list[Hint] = []
    for text in texts:
        try:
            one = hint.parse(text)
        except Malformed as error:
            raise HoldError(_OP, Kind.USAGE, text[:80], error.why, hint="write it like tcp:192.168.1.5:4444") from error
        if isinstance(one, UnknownHint) or one in found:
            why = "stands there twice" if one in found else "is of a kind that is not known"
            raise HoldError(_OP, Kind.USAGE, text[:80], why, hint="tcp:, tor:, i2p: and unix: are known")
        found.append(one)
    if len(found) > MAX_HINTS:
        raise HoldError(_OP, Kind.USAGE, "", f"{len(found)} addresses, the limit is {MAX_HINTS}")
    return tuple(found)


def _set(args: argparse.Namespace, found: "list[Grid]", hints: "tuple[Hint, ...]", out: Output) -> int:
    from commonhold.cli import joined
    from commonhold.grids import editing

    grid, servers = joined.meant(found, args.server)
    pin = servers[0].pin
    with _refusing(grid):
        after = editing.changed(grid.files.override_data, pin, servers[0].name, hints or None, args.direct)
    known = grid.with_override(after)
    _refuse_useless(next(server for server in known.servers if server.pin == pin), hints, args.direct)
    _replace(grid, after)
    if args.direct and grid.membership.rules.anonymous:
        out.remark("note: this server sees where you are, though you are anonymous at the others")
    _tell(grid, pin, after, known, out)
    return 0


def _refuse_useless(server: "KnownServer", hints: "tuple[Hint, ...]", direct: bool) -> None:
    """The error of dialling, where none of the addresses would lead anywhere."""
    from commonhold.transport.rules import route

    errors: list[HoldError] = []
    for one in hints or server.hints:
        try:
            route(server.rules, server.pin, one)
            return
        except HoldError as error:
            errors.append(error)
    if errors:
        first = errors[0]
        mended = first.kind in (Kind.ANONYMITY, Kind.DENIED) and not direct
        hint = "the same with --direct, if this server may see where you are" if mended else first.hint
        raise HoldError(_OP, first.kind, first.subject, first.why, hint=hint)


def _clear(args: argparse.Namespace, found: "list[Grid]", out: Output) -> int:
    from commonhold.grids import editing

    grid, pin = _cleared(args.server, found)
    with _refusing(grid):
        after = editing.cleared(grid.files.override_data, pin)
    _replace(grid, after)
    _tell(grid, pin, after, grid.with_override(after), out)
    return 0


def _cleared(text: str, found: "list[Grid]") -> "tuple[Grid, SpkiPin]":
    """The clause that is meant: it may be of a server that nobody knows, and it may be wrong."""
    from commonhold.cli import joined
    from commonhold.grids import editing
    from commonhold.grids.choosing import SHORTEST

    there: list[tuple[Grid, SpkiPin]] = []
    for grid in found:
        with _refusing(grid):
            there += [(grid, pin) for pin in dict.fromkeys(editing.named(grid.files.override_data))]
    mine = [one for one in there if len(text) >= SHORTEST and str(one[1]).startswith(text)]
    if len(mine) == 1:
        return mine[0]
    grid, servers = joined.meant(found, text)
    if not any(pin == servers[0].pin and one is grid for one, pin in there):
        raise HoldError(_OP, Kind.NOT_FOUND, f"server {text}", "has no clause", hint=f"hold why {text}")
    return grid, servers[0].pin


@contextmanager
def _refusing(grid: "Grid") -> "Iterator[None]":
    """Run a block that edits a file, whose refusals are about a place in it."""
    from commonhold.grids.marked import Wrong

    try:
        yield
    except Wrong as error:
        place, field, why = error.problem
        path = grid.membership.directory / place.file
        said = f"{field}: {why}" if field else why
        where = f"{path}:{place.line}:{place.column}"
        raise HoldError(_OP, Kind.INVALID, where, said, hint=f"edit {path} by hand") from error


def _replace(grid: "Grid", after: bytes) -> None:
    from commonhold.grids import files

    if after != grid.files.override_data:
        files.replace_override(grid.membership.directory, grid.files.override_data, after, os.geteuid())


def _tell(grid: "Grid", pin: "SpkiPin", after: bytes, known: "Known", out: Output) -> None:
    """Say what was changed, and what would be dialled now."""
    path = grid.membership.directory / "override.yaml"
    changed = after != grid.files.override_data
    now = [server for server in known.servers if server.pin == pin]
    addresses = list({(one.text, one.said): one for server in now for one in server.addresses}.values())
    row = {
        "grid": grid.membership.name,
        "pin": str(pin),
        "file": str(path),
        "changed": changed,
        "addresses": [
            {"address": one.text, "dialled": one.hint is not None, "reached": one.reached, "how": one.said}
            for one in addresses
        ],
    }
    lines = [f"{path}: {'changed' if changed else 'as it was'}", *_difference(grid.files.override_data, after)]
    lines += [f"{one.text}: {one.said}" for one in addresses] or ["nothing is known of this server any more"]
    out.result(row, "\n".join(lines))


def _difference(before: bytes, after: bytes) -> list[str]:
    """The lines that came and went."""
    import difflib

    lines = difflib.unified_diff(before.decode().splitlines(), after.decode().splitlines(), lineterm="", n=0)
    return [line for line in lines if not line.startswith(("---", "+++", "@@"))]
