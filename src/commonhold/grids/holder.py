"""A member's private files: the secret that its keys are made of, and a ticket that was not used yet."""

import os
from pathlib import Path
from typing import Final, NamedTuple

from commonhold.authority.derived import Secret
from commonhold.errors import HoldError, Kind
from commonhold.formats import pin
from commonhold.formats.keys import PublicKey
from commonhold.formats.malformed import Malformed
from commonhold.formats.pin import GridId
from commonhold.formats.request import Ticket
from commonhold.host.private import PrivateDirectory

SECRET: Final = "account.key"
TICKET: Final = "ticket"


class Unused(NamedTuple):
    """A ticket, and the blesser whose it is: nobody else sees it."""

    by: PublicKey
    ticket: Ticket


def place_secret(directory: Path, secret: Secret) -> bool:
    """Keep an account's secret, if there is none yet: one that is there is its owner's already. Whether it was kept."""
    files = _files(directory)
    if SECRET in files.names():
        return False
    files.place(SECRET, secret.raw.hex().encode() + b"\n")
    return True


def secret(directory: Path) -> Secret:
    """An account's secret. DENIED where others could have read it; CORRUPT for what is none."""
    try:
        return Secret(bytes.fromhex(_files(directory).read(SECRET).decode()))
    except ValueError as error:
        why = "not 32 bytes in hexadecimal"
        raise HoldError("open grid", Kind.CORRUPT, str(directory / SECRET), why) from error


def place_ticket(directory: Path, unused: Unused) -> None:
    """Keep a ticket until it is used, in place of one that was there."""
    drop_ticket(directory)
    _files(directory).place(TICKET, f"{GridId(unused.by)} {unused.ticket.hex()}\n".encode())


def ticket(directory: Path) -> Unused | None:
    """The ticket that was not used yet; None if there is none."""
    files = _files(directory)
    if TICKET not in files.names():
        return None
    by, _, raw = files.read(TICKET).decode(errors="replace").strip().partition(" ")
    try:
        found = Ticket(bytes.fromhex(raw))
        if len(found) != Ticket.LENGTH:
            raise Malformed("ticket", "of another length")
        return Unused(pin.parse_grid(by).blesser, found)
    except ValueError as error:
        raise HoldError("open grid", Kind.CORRUPT, str(directory / TICKET), "no ticket") from error


def drop_ticket(directory: Path) -> None:
    """Forget a ticket: it is used."""
    files = _files(directory)
    if TICKET in files.names():
        files.remove(TICKET)


def _files(directory: Path) -> PrivateDirectory:
    return PrivateDirectory("open grid", directory, os.geteuid())
