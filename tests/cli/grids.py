"""Grids that were joined and of which nobody answers: enough for what a command does by itself."""

import hashlib
import os
import time
from contextlib import closing
from pathlib import Path

from commonhold.authority import derived
from commonhold.exchange.book import Book, KeptSet
from commonhold.exchange.keeping import set_seed
from commonhold.formats import capability as capabilities
from commonhold.formats import charter as charters
from commonhold.formats.blessing import STORAGE
from commonhold.formats.capability import ReadCapability
from commonhold.formats.charter import Blesser
from commonhold.formats.invitation import Invitation
from commonhold.formats.keys import PublicKey
from commonhold.formats.pin import GridId, SpkiPin
from commonhold.formats.request import Ticket
from commonhold.grids import holder, joining
from commonhold.grids.joining import Choice
from commonhold.grids.membership import Membership, Mode
from commonhold.sealing import sharing
from commonhold.sealing.seal import verify_capability
from commonhold.transport.rules import Rules

DAY = 86_400


def grid(name: str) -> GridId:
    """A grid's id."""
    return GridId(hashlib.sha256(name.encode()).digest())


def join(repository: Path, name: str, account: str = "", of: str | None = None) -> Membership:
    """Take part in a grid, which may have another name than it has here; without an account unless one is given."""
    key = PublicKey(grid(of or name))
    blesser = Blesser(key, SpkiPin(key), ("tcp:127.0.0.1:1",))
    charter = charters.of_one(GridId(key), of or name, blesser, (STORAGE,))
    invited = Invitation(charter, key, Ticket(bytes(32)), int(time.time()) + DAY, account or "nobody")
    mode = Mode.ACCOUNT if account else Mode.NONE
    place = repository / "grids" / name
    return joining.join(invited, place, Choice(Rules(), mode), int(time.time()), os.urandom).membership


def receiving(membership: Membership) -> str:
    """The receiving key of an account."""
    receiver = derived.receiver(holder.secret(membership.directory), membership.grid)
    return str(sharing.receiving_key(receiver, membership.grid))


def note(membership: Membership, capability: str, name: str, until: int | None = None) -> None:
    """Have the grid's book say that a tree is kept there."""
    read = capabilities.parse_text(capability)
    assert isinstance(read, ReadCapability)
    verify = verify_capability(read)
    now = int(time.time())
    with closing(Book(membership.directory / "kept.sqlite")) as book:
        book.put_set(KeptSet(name, set_seed(verify.key, verify), 3, 5, now, until or now + DAY), ())
