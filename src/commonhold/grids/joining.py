"""Joining a grid: the files of a membership out of an invitation. docs/spec/membership.md.

The membership's own file comes last, so that what was broken off can be begun again with the same code.
"""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from commonhold.authority import times
from commonhold.authority.derived import Secret
from commonhold.errors import HoldError, Kind, os_errors
from commonhold.formats.blessing import word
from commonhold.formats.invitation import Invitation
from commonhold.formats.keys import LENGTH
from commonhold.grids import holder, membership, standing
from commonhold.grids.holder import Unused
from commonhold.grids.membership import FILE, Membership, Mode
from commonhold.host import disk, private
from commonhold.transport.rules import Rules

_CACHES: Final = tuple(f"{standing.FILE}{end}" for end in ("", "-wal", "-shm"))


@dataclass(frozen=True, slots=True)
class Choice:
    """What the one who joins decides: how servers are dialled, and whether there is to be an account."""

    rules: Rules
    mode: Mode = Mode.ACCOUNT

    def check(self, name: str) -> None:
        """ANONYMITY if the two do not go together: before a code is used up."""
        if self.rules.anonymous and self.mode is Mode.ACCOUNT:
            raise membership.refused(name)


@dataclass(frozen=True, slots=True)
class Joined:
    """A membership, and the names of the files that were made now."""

    membership: Membership
    made: tuple[str, ...] = ()


def join(
    invitation: Invitation, directory: Path, choice: Choice, now: int, randomness: Callable[[int], bytes]
) -> Joined:
    """Write down a membership. EXISTS where there is another; the same code again goes on where it was broken off.

    USAGE for a code that has expired, or is for something else.
    """
    word("grid's name", directory.name)
    server = not invitation.account
    if not server:
        choice.check(directory.name)
    if now >= times.end(invitation.not_after):
        why = f"it was good until {times.shown(invitation.not_after)}"
        raise HoldError("join", Kind.USAGE, "code", why, hint="ask for another code")
    mode = Mode.NONE if server else choice.mode
    account = invitation.account if mode is not Mode.NONE else ""
    charter = replace(invitation.charter, name=directory.name)
    made = Membership(directory, charter, mode, account, choice.rules, serves=invitation.purposes)
    if _there(made):
        return Joined(made)
    with os_errors("join", str(directory)):
        disk.make_directory(directory.parent, 0o700)
        disk.make_directory(directory, 0o700)
    files = [FILE]
    if mode is not Mode.NONE and holder.place_secret(directory, Secret(randomness(LENGTH))):
        files.append(holder.SECRET)
    if mode is not Mode.NONE or server:
        holder.place_ticket(directory, Unused(invitation.by, invitation.ticket))
        files.append(holder.TICKET)
    private.place("join", directory / FILE, membership.text(made).encode())
    return Joined(made, tuple(files))


def undo(joined: Joined) -> None:
    """Take a membership back that was refused: what was made for it goes, and what was there before stays."""
    directory = joined.membership.directory
    with os_errors("join", str(directory)):
        for name in (*joined.made, *_CACHES) if FILE in joined.made else ():
            (directory / name).unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # somebody else keeps something there
            directory.rmdir()


def _there(wanted: Membership) -> bool:
    """Whether a membership is there already, and the same. EXISTS for another."""
    found = None
    with contextlib.suppress(FileNotFoundError):
        if (wanted.directory / FILE).exists():
            found = membership.load(wanted.directory)
    if found is None:
        return False
    same = (found.grid, found.account, found.serves) == (wanted.grid, wanted.account, wanted.serves)
    if not same or found.mode is not wanted.mode:
        why = f"grid {found.grid} is joined under that name" + (f", as {found.account}" if found.account else "")
        why += ", blinded" if found.mode is Mode.BLINDED else ""
        raise HoldError("join", Kind.EXISTS, wanted.name, why, hint="--name gives this one another name")
    return True
