"""Taking part in a grid as a program does it: what its user shows at each server's door, and whom to believe now.

Credentials and revocation lists are what blessers gave; they are asked where a server comes up that has none.
"""

import contextlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from commonhold.authority.derived import Secret
from commonhold.authority.lists import Lists
from commonhold.authority.trust import Trust
from commonhold.errors import HoldError, Kind
from commonhold.exchange.badge import Badge
from commonhold.formats.malformed import Malformed
from commonhold.formats.pin import SpkiPin
from commonhold.grids import accounts, files, holder
from commonhold.grids.accounts import AccountEnrolment
from commonhold.grids.blinded import BlindedEnrolment, Purse
from commonhold.grids.membership import Membership, Mode
from commonhold.grids.places import Membership as Taking
from commonhold.grids.standing import FILE, Standing
from commonhold.grids.subscribing import Subscriber
from commonhold.grids.surroundings import Surroundings, real
from commonhold.transport.rules import Rules


class Member:
    """See the module. Close it."""

    def __init__(self, membership: Membership, owner: int) -> None:
        self._membership = membership
        self._owner = owner
        self._standing = Standing(membership.directory / FILE)
        self._secret = holder.secret(membership.directory) if membership.mode is not Mode.NONE else None

    @property
    def name(self) -> str:
        """What the grid is called here."""
        return self._membership.name

    @property
    def directory(self) -> Path:
        """Where its files are."""
        return self._membership.directory

    @property
    def trust(self) -> Trust:
        """Whom to believe about servers."""
        return self._membership.trust

    @property
    def rules(self) -> Rules:
        """How to dial."""
        return self._membership.rules

    @property
    def secret(self) -> Secret:
        """The account's. DENIED for a member without one."""
        if self._secret is None:
            why = "it was joined without an account: what is there can be read, and nothing stored"
            raise HoldError("store", Kind.DENIED, self.name, why, hint="ask for an invitation, and join again")
        return self._secret

    def lists(self) -> Lists:
        """The newest revocation lists, whether blessers gave them or introducers."""
        return _lists(self._membership, self._owner, self._standing)

    def badge(self, server: SpkiPin) -> Badge | None:
        """What lets the user in at a server; None where there is no credential yet, or no account."""
        if self._secret is None:
            return None
        if self._membership.mode is Mode.BLINDED:
            return self._purse(self._secret).badge(server, real().now())
        return accounts.badge(self._membership, self._secret, self._standing, server)

    def standing_at(self, server: SpkiPin) -> str:
        """How the user stands at a server, in words."""
        if self._secret is None or self._membership.mode is not Mode.BLINDED:
            return "let in" if self.badge(server) else "there is no credential for it yet"
        return self._purse(self._secret).told(server, real().now())

    def _purse(self, secret: Secret) -> Purse:
        return purse(self._membership, secret, self._standing, self._owner)

    async def enrol(self, servers: Sequence[SpkiPin]) -> list[HoldError]:
        """Ask blessers for what is missing: credentials for these servers, newer revocation lists. What went wrong."""
        if self._secret is None:
            return []
        enrolment = enrolment_of(self._membership, lambda: servers, real())
        try:
            await enrolment.once()
        finally:
            enrolment.close()
        return [last.error for last in enrolment.last.values() if last.error is not None]

    async def listen(self, seconds: float) -> int:
        """Ask introducers which servers there are, for so long at most; how many introducers answered."""
        lists = files.read_lists(self.directory, self.trust, self._owner)  # not those that blessers gave: see Purse

        def heard(statement: bytes) -> None:
            lists.take(statement)
            files.write_lists(self.directory, lists)

        return await Subscriber(self._membership, self._owner, heard).refresh(seconds)

    def close(self) -> None:
        """Close what is kept."""
        self._standing.close()


def enrolment_of(
    membership: Membership, wanted: Callable[[], Iterable[SpkiPin]], world: Surroundings
) -> AccountEnrolment | BlindedEnrolment:
    """What asks blessers for an account, in the mode that it has. USAGE for a member without one."""
    of_mode = BlindedEnrolment if membership.mode is Mode.BLINDED else AccountEnrolment
    return of_mode(membership, wanted, world)


def purse(membership: Membership, secret: Secret, standing: Standing, owner: int) -> Purse:
    """What a blinded member has kept."""
    given = Lists((one.key, membership.grid) for one in membership.charter.blessers)
    for statement in standing.lists():
        with contextlib.suppress(Malformed):
            given.take(statement)
    introduced = files.read_lists(membership.directory, membership.trust, owner)
    return Purse(membership, secret, standing, (given, introduced))


def lists_of(membership: Taking, owner: int) -> Lists:
    """The newest revocation lists that a member has."""
    with contextlib.closing(Standing(membership.directory / FILE)) as standing:
        return _lists(membership, owner, standing)


def _lists(membership: Taking, owner: int, standing: Standing) -> Lists:
    found = files.read_lists(membership.directory, membership.trust, owner)
    for statement in standing.lists():
        with contextlib.suppress(Malformed):
            found.take(statement)
    return found
