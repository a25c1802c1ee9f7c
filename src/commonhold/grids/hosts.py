"""A server at its blessers: it asks to be blessed when it starts, and in time again. docs/spec/membership.md; B23, B32.

Its directory has the membership that `hold join --server` made, and may have blessings that a person brought: files
`blessings/*.blessing`, which are taken in when it starts.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from commonhold.crypto import sign
from commonhold.crypto.statements import signed
from commonhold.errors import HoldError, Kind, os_errors
from commonhold.formats import blessing
from commonhold.formats.blessing import Purpose
from commonhold.formats.keys import PublicKey, Seed
from commonhold.formats.malformed import Malformed
from commonhold.formats.pin import pin_of
from commonhold.formats.request import ServerRequest
from commonhold.formats.statement import Kind as Said
from commonhold.formats.statement import decode
from commonhold.grids import answers, holder
from commonhold.grids.asking import Counsel
from commonhold.grids.enrolling import Enrolment, Validity
from commonhold.grids.membership import Membership
from commonhold.grids.standing import Given, Standing
from commonhold.grids.surroundings import Surroundings

FILE: Final = "blessings.sqlite"
BROUGHT: Final = "blessings"
_MOST: Final = 64


class ServerAsker:
    """An `enrolling.Asker`: it asks every blesser that counts for one of its purposes."""

    def __init__(self, membership: Membership, seed: Seed, addresses: Callable[[], tuple[str, ...]]) -> None:
        self._membership = membership
        self._seed = seed
        self._server = pin_of(sign.public_key(seed))
        self._addresses = addresses
        self._ticket = holder.ticket(membership.directory)

    def counsel(self) -> Counsel:
        """For each purpose a blessing by all who count for it: how many a client needs is the client's to say."""
        rules = dict(self._membership.charter.purposes)
        wanted = {_about(one): rules[one].blessers for one in self._membership.serves if one in rules}
        return Counsel(wanted, needed=len(self._membership.charter.blessers))

    def request(self, blesser: PublicKey, about: Sequence[bytes], now: int) -> bytes:
        """Ask to be blessed for these purposes."""
        return self.made(blesser, tuple(map(_purpose, about)), now)

    def made(self, blesser: PublicKey, purposes: tuple[Purpose, ...], now: int) -> bytes:
        """An encoded, signed request: also one that a person takes to a blesser, as a file."""
        ticket = self._ticket.ticket if self._ticket and self._ticket.by == blesser else None
        grid = self._membership.grid
        wish = ServerRequest(grid, blesser, now, self._server, purposes, self._addresses(), ticket)
        return signed(Said.REQUEST, wish.body, self._seed).encoded

    def granted(
        self, blesser: PublicKey, about: Sequence[bytes], statements: Sequence[bytes], now: int
    ) -> list[Validity]:
        """The blessings that an answer has. With them the ticket is used."""
        purposes = tuple(map(_purpose, about))
        found = answers.blessings(statements, blesser, self._membership.grid, self._server, purposes, now)
        if self._ticket is not None and self._ticket.by == blesser:
            holder.drop_ticket(self._membership.directory)
            self._ticket = None
        encoded = {blessing.parse(decode(Said.BLESSING, data)).purpose: data for data in statements}
        return [
            Validity(_about(purpose), encoded[purpose], said.not_before, said.not_after)
            for purpose, said in found.items()
        ]

    def validity(self, given: Given) -> Validity | None:
        """From when until when a blessing holds that was kept, if it is this server's."""
        try:
            said = blessing.parse(decode(Said.BLESSING, given.statement))
        except Malformed:
            return None
        if said.server != self._server or _about(said.purpose) != given.about:
            return None
        return Validity(given.about, given.statement, said.not_before, said.not_after)


class ServerEnrolment(Enrolment):
    """A server's: `run`, `once`, `wake`, `lists`, `last`, `hear` of `Enrolment`, and its blessings to be announced."""

    def __init__(
        self,
        membership: Membership,
        seed: Seed,
        addresses: Callable[[], tuple[str, ...]],
        world: Surroundings,
        heard: Callable[[bytes], None] = lambda statement: None,
        granted: Callable[[], None] = lambda: None,
    ) -> None:
        """`seed` is the server's key, `addresses` what it announces at a time. `heard` is what its door is told."""
        self._membership = membership
        self._server = pin_of(sign.public_key(seed))
        self._now = world.now
        self.asker = ServerAsker(membership, seed, addresses)

        def asker(_kept: Standing) -> ServerAsker:
            self._take_brought(membership.directory / BROUGHT)
            return self.asker

        super().__init__(membership, membership.directory / FILE, asker, world, heard, granted)

    def blessings(self, purpose: Purpose) -> tuple[bytes, ...]:
        """All encoded blessings for a purpose, by whichever blessers."""
        return tuple(self._standing.about(_about(purpose)))

    def bring(self, data: bytes) -> Purpose:
        """Take in a blessing that a person brought. INVALID for what is none for this server, or of no use."""
        try:
            by = decode(Said.BLESSING, data).key
            said = blessing.parse(decode(Said.BLESSING, data))
            self._membership.charter.blesser(by)
        except Malformed as error:
            raise HoldError("bring blessing", Kind.INVALID, "blessing", str(error)) from error
        answers.blessings((data,), by, self._membership.grid, self._server, (said.purpose,), self._now())
        self._standing.put([Given(_about(said.purpose), by, data)])
        return said.purpose

    def _take_brought(self, directory: Path) -> None:
        """Take in files that hold, by blessers that count, and are not older than what is kept."""
        with os_errors("bring blessing", str(directory)):
            files = sorted(directory.glob("*.blessing"))[:_MOST] if directory.is_dir() else []
            for path in files:
                with path.open("rb") as file:
                    data = file.read(Said.BLESSING.most + 1)
                try:
                    by, said = decode(Said.BLESSING, data).key, blessing.parse(decode(Said.BLESSING, data))
                except Malformed as error:
                    raise HoldError("bring blessing", Kind.INVALID, str(path), error.why) from error
                if said.not_after > max(self._now(), self._kept_until(said.purpose, by)) and self._counts(by):
                    self.bring(data)

    def _counts(self, blesser: PublicKey) -> bool:
        return any(one.key == blesser for one in self._membership.charter.blessers)

    def _kept_until(self, purpose: Purpose, blesser: PublicKey) -> int:
        """Until when what is kept of a blesser holds; 0 if there is none."""
        found = [decode(Said.BLESSING, data) for data in self.blessings(purpose)]
        return max((blessing.parse(one).not_after for one in found if one.key == blesser), default=0)


def _about(purpose: Purpose) -> bytes:
    return purpose.encode()


def _purpose(about: bytes) -> Purpose:
    return Purpose(about.decode())
