"""An agent's rounds over all that its user keeps on grids. docs/spec/keeping.md, "Tending"."""

import contextlib
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from commonhold.errors import HoldError
from commonhold.exchange.book import Book, KeptSet
from commonhold.exchange.visiting import Kept
from commonhold.grids import membership, places
from commonhold.grids.client import GridClient
from commonhold.grids.member import Member
from commonhold.grids.rounds import BOOK, Rounds, Setting


def rounds(state: Path, uid: int, setting: Setting) -> Rounds:
    """Rounds for a user; `state` is where that one's own things are."""
    return Rounds(lambda: [Own(one, uid, setting) for one in directories(state, uid)], setting)


def directories(state: Path, uid: int) -> list[Path]:
    """The grids that a user keeps something on. `hold doctor` says what is wrong where one is left out."""
    try:
        return [one for one in places.joined(state, uid, Path) if (one / BOOK).exists()]
    except HoldError:
        return []


@dataclass(frozen=True, slots=True)
class Own:
    """A grid that the agent's user has joined: a `rounds.Home`."""

    directory: Path
    uid: int
    setting: Setting

    def kept(self, book: Book, kept: KeptSet) -> Kept:
        """See `rounds.Home`."""
        return Kept(tuple(book.packs(kept.name)), book.inventory(kept))

    @contextlib.asynccontextmanager
    async def client(self) -> AsyncIterator[GridClient]:
        """See `rounds.Home`. Credentials are as new as blessers give them."""
        member = Member(membership.load(self.directory), self.uid)
        client = GridClient(member, self.uid, self.setting.now, os.urandom)
        try:
            await client.refresh()
            await member.enrol([one.pin for one in client.known() if one.read.allowed])
            client.forget()
            yield client
        finally:
            await client.close()
            member.close()
