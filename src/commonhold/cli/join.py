"""Join a grid by a code that somebody gave you: `hold invite` prints them.

Makes `grids/NAME` in your repository, with the keys that you have at the grid's servers: they never leave it. With
--server it is a storage server of yours that joins: its directory gets what it enrols with when it runs.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from commonhold.cli import gridhomes
from commonhold.cli.gridhomes import grid_name
from commonhold.cli.output import Output
from commonhold.errors import HoldError, Kind

if TYPE_CHECKING:
    from commonhold.formats.invitation import Invitation
    from commonhold.grids.joining import Choice, Joined
    from commonhold.grids.membership import Membership
    from commonhold.transport.rules import Rules

EXAMPLES = """examples:
  hold join 7-quiet-harbour-lantern@attic.example
  hold join hold-join1mzxw6ytboi… --name family
  hold join hold-join1mzxw6ytboi… --anonymous --tor tcp:127.0.0.1:9050 --no-account
  hold join hold-join1mzxw6ytboi… --server /srv/hold"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """The words after `join`."""
    parser.add_argument("code", metavar="CODE", help="the code, short or long")
    parser.add_argument("--name", metavar="NAME", type=grid_name, help="what to call the grid here")
    parser.add_argument("--anonymous", action="store_true", help="dial nothing directly, and have no account")
    parser.add_argument("--tor", metavar="ADDR", default="", help="where Tor's SOCKS proxy listens: tcp:127.0.0.1:9050")
    parser.add_argument("--no-account", action="store_true", help="only read: the code's account is not used")
    parser.add_argument("--server", metavar="DIR", type=Path, help="a storage server's directory, for a server's code")


def run(args: argparse.Namespace, out: Output) -> int:
    """Do it."""
    from commonhold.grids import joining

    choice = _choice(args)
    if args.server is None:
        choice.check(args.name or "grid")
    place = gridhomes.directory(args) if args.server is None else None
    found = _invitation(args.code, choice)
    try:
        joined = _join(found, args, place, choice)
    except HoldError as error:
        if _is_long(args.code):
            raise
        hint = f"{error.hint}; the short code is used up, in its place there is {found.text}"
        raise HoldError(error.op, error.kind, error.subject, error.why, hint=hint) from error
    made = joined.membership
    row = {"grid": str(made.grid), "name": made.name, "account": made.account or None, "directory": str(made.directory)}
    if not made.account:
        of_server = f"joined {found.charter.name}: it enrols when it runs"
        text = of_server if found.purposes else f"joined {made.name}, without an account"
        out.result(row | {"state": "joined"}, text)
        return 0
    try:
        state, text = _enrol(made, found, out)
    except HoldError:
        joining.undo(joined)
        raise
    out.result(row | {"state": state}, text)
    return 0


def _join(found: "Invitation", args: argparse.Namespace, place: Path | None, choice: "Choice") -> "Joined":
    """Write down what a code says, in a server's directory or at `place`."""
    import secrets
    import time

    from commonhold.grids import joining

    if (args.server is not None) != bool(found.purposes):
        why = "the code is a server's" if found.purposes else "the code is no server's"
        raise HoldError("join", Kind.USAGE, "code", why, hint="hold join CODE --server DIR is for a server's")
    directory = args.server.absolute() if place is None else place / (args.name or found.charter.name)
    return joining.join(found, directory, choice, int(time.time()), secrets.token_bytes)


def _is_long(code: str) -> bool:
    from commonhold.formats import invitation

    return invitation.looks_like(code)


def _choice(args: argparse.Namespace) -> "Choice":
    from commonhold.formats.malformed import Malformed
    from commonhold.grids import membership
    from commonhold.grids.joining import Choice
    from commonhold.grids.membership import Mode
    from commonhold.transport.rules import Rules, Way

    try:
        tor = membership.proxy(args.tor)
    except Malformed as error:
        raise HoldError("join", Kind.USAGE, "--tor", error.why) from error
    mode = Mode.NONE if args.no_account else Mode.ACCOUNT
    own = _rules_of(args.server)
    if own.anonymous or (own != Rules() and not (args.anonymous or args.tor)):
        return Choice(own, mode)
    if args.anonymous and tor is None:
        raise HoldError("join", Kind.USAGE, "--anonymous", "by which proxy?", hint="--tor tcp:127.0.0.1:9050")
    rules = Rules(anonymous=args.anonymous, tcp=Way.TOR if args.anonymous else Way.DIRECT, tor=tor)
    return Choice(rules, mode)


def _rules_of(server: Path | None) -> "Rules":
    """By which way a server's config has it dial, its blesser's first meeting too. Where there is none yet, as ever."""
    from commonhold.storage import config, places
    from commonhold.transport.rules import Rules

    if server is None:
        return Rules()
    try:
        path = places.home(server.absolute()).config
    except HoldError as error:
        if error.kind is not Kind.NOT_FOUND:
            raise
        return Rules()
    return config.read(path).tor.rules


def _invitation(text: str, choice: "Choice") -> "Invitation":
    """What a code says, or stands for. USAGE for what is none."""
    import asyncio
    import secrets

    from commonhold.formats import invitation, shortcode
    from commonhold.formats.malformed import Malformed
    from commonhold.grids import meeting

    try:
        if invitation.looks_like(text):
            return invitation.parse(text)
        code = shortcode.parse(text)
    except Malformed as error:
        why = f"{error.why}"
        raise HoldError(
            "join", Kind.USAGE, "code", why, hint="copy the whole of it, as hold invite printed it"
        ) from error
    return asyncio.run(meeting.meet(code, choice.rules, secrets.token_bytes))


def _enrol(made: "Membership", found: "Invitation", out: Output) -> tuple[str, str]:
    """Take the account's name at its blesser; how that went, and in words. What it refuses is raised."""
    import asyncio

    from commonhold.grids.accounts import AccountEnrolment
    from commonhold.grids.surroundings import real

    async def once() -> AccountEnrolment:
        enrolment = AccountEnrolment(made, tuple, real())
        try:
            await enrolment.once()
        finally:
            enrolment.close()
        return enrolment

    last = asyncio.run(once()).last.get(found.by)
    if last is None or (last.error is None and not last.waits):
        return "joined", f"joined {made.name} as {made.account}"
    if last.waits:
        return "waiting", f"joined {made.name} as {made.account}: it waits there for a person's word"
    assert last.error is not None
    if last.error.kind in (Kind.UNREACHABLE, Kind.BUSY):
        out.remark(f"note: {last.error}")
        return "pending", f"joined {made.name} as {made.account}: its blesser is away now; the same command goes on"
    raise last.error
