"""A ward: one user's sets on one grid, as that user's agent has handed them over. A directory of the tender's own.

It is laid out as a member's is, so that whatever reads that reads this: `grid.toml` without an account, the override,
caches, revocation lists, a book. What lets the tender in at servers is in the charge. docs/spec/tender.md.
"""

import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from commonhold.authority.derived import Secret
from commonhold.authority.lists import Lists
from commonhold.authority.trust import Trust
from commonhold.errors import HoldError, Kind, os_errors
from commonhold.exchange.badge import Badge
from commonhold.exchange.book import Book, KeptSet
from commonhold.exchange.visiting import Kept
from commonhold.formats import charge
from commonhold.formats.charge import Charge, Seat
from commonhold.formats.malformed import Malformed
from commonhold.formats.pin import GridId, SpkiPin
from commonhold.grids import files, membership
from commonhold.grids.client import GridClient
from commonhold.grids.membership import Membership
from commonhold.grids.rounds import Setting
from commonhold.grids.subscribing import Subscriber
from commonhold.tender.keys import holder_seed
from commonhold.transport.rules import Rules

CHARGE: Final = "charge"
HERE: Final = "here"  # when its user's agent was heard last
UNTIL: Final = "until"  # a file of what a charge says, too, which is looked at often


@dataclass(frozen=True, slots=True)
class Ward:
    """See the module; a `rounds.Home`. `secret` is the tender's, `owner` its user id."""

    directory: Path
    uid: int
    secret: Secret
    owner: int
    setting: Setting

    def charge(self) -> Charge:
        """What was handed over. NOT_FOUND; CORRUPT."""
        path = self.directory / CHARGE
        with os_errors("read", str(path)):
            data = path.read_bytes()
        try:
            return charge.decode(data)
        except Malformed as error:
            raise HoldError("read", Kind.CORRUPT, str(path), str(error)) from error

    def kept(self, book: Book, kept: KeptSet) -> Kept:
        """See `rounds.Home`. An inventory is a pack like the others."""
        return Kept(tuple(book.packs(kept.name)), None)

    @contextlib.asynccontextmanager
    async def client(self) -> AsyncIterator[GridClient]:
        """See `rounds.Home`. Who was given no warrant for a server does not store there."""
        of, handed = membership.load(self.directory), self.charge()
        acting = _Acting(of, self.owner, self, {one.server: one for one in handed.seats})
        client = GridClient(acting, self.owner, self.setting.now, self.setting.randomness)
        try:
            await client.refresh()
            client.forget()
            yield client
        finally:
            await client.close()


@dataclass(frozen=True, slots=True)
class _Acting:
    """The tender in place of a ward's owner: a `client.Taking`."""

    of: Membership
    owner: int
    ward: Ward
    seats: Mapping[SpkiPin, Seat]

    @property
    def directory(self) -> Path:
        return self.of.directory

    @property
    def trust(self) -> Trust:
        return self.of.trust

    @property
    def rules(self) -> Rules:
        return self.of.rules

    def lists(self) -> Lists:
        return files.read_lists(self.directory, self.trust, self.owner)

    def badge(self, server: SpkiPin) -> Badge | None:
        seat = self.seats.get(server)
        if seat is None:
            return None
        key = holder_seed(self.ward.secret, self.ward.uid, self.of.grid, server)
        return Badge(self.of.grid, seat.credentials, key, seat.warrant)

    def standing_at(self, server: SpkiPin) -> str:
        """See `Taking`."""
        return "let in" if self.badge(server) else "nothing was handed over that lets anybody in there"

    async def listen(self, seconds: float) -> int:
        lists = self.lists()

        def heard(statement: bytes) -> None:
            lists.take(statement)
            files.write_lists(self.directory, lists)

        return await Subscriber(self.of, self.owner, heard).refresh(seconds)


def called(grid: GridId) -> str:
    """What a grid's directory is called: enough of its id, as a grid's name may be."""
    return str(grid)[:32]
