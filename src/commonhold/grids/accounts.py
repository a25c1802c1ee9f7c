"""An account at its blessers and servers: what it asks for, what it shows. docs/spec/membership.md; B20, B24, D18.

It has another key at each of them, so that two that compare theirs find nothing in common.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from commonhold.authority.derived import Secret, client_seed
from commonhold.crypto import sign
from commonhold.crypto.statements import signed
from commonhold.exchange.badge import Badge
from commonhold.formats import credential
from commonhold.formats.credential import AccountId
from commonhold.formats.keys import PublicKey
from commonhold.formats.malformed import Malformed
from commonhold.formats.pin import SpkiPin, pin_of
from commonhold.formats.request import AccountRequest, Seat
from commonhold.formats.statement import Kind as Said
from commonhold.formats.statement import decode
from commonhold.formats.storagewords import MAX_CREDENTIALS
from commonhold.grids import answers, holder
from commonhold.grids.asking import Counsel
from commonhold.grids.enrolling import Enrolment, Validity
from commonhold.grids.membership import Membership, Mode, no_account
from commonhold.grids.standing import FILE, Given, Standing
from commonhold.grids.surroundings import Surroundings

_NOBODY: Final[dict[AccountId, SpkiPin]] = {}


class AccountAsker:
    """An `enrolling.Asker`. `wanted` says at which servers the account is to have a place."""

    def __init__(
        self, membership: Membership, secret: Secret, standing: Standing, wanted: Callable[[], Iterable[SpkiPin]]
    ) -> None:
        self._membership = membership
        self._secret = secret
        self._wanted = wanted
        self._ticket = holder.ticket(membership.directory)
        self._numbers: dict[PublicKey, dict[AccountId, SpkiPin]] = {}
        for given in standing.all():
            self._know(given.blesser, given.statement)

    def counsel(self) -> Counsel:
        """A place at each server; and, while there is a ticket, one at its blesser: the name is taken by that, though
        no server is known yet."""
        rule = self._membership.charter.accounts
        wanted: dict[bytes, Sequence[PublicKey]] = {}
        if self._ticket is not None:
            wanted[pin_of(self._ticket.by)] = (self._ticket.by,)
        wanted.update(dict.fromkeys(self._wanted(), rule.blessers))
        return Counsel(wanted, rule.needed)

    def request(self, blesser: PublicKey, about: Sequence[bytes], now: int) -> bytes:
        """Ask for a credential at each of these servers."""
        ticket = self._ticket.ticket if self._ticket and self._ticket.by == blesser else None
        seats = tuple(Seat(server, self._client(server)) for server in map(SpkiPin, about))
        wish = AccountRequest(self._membership.grid, blesser, now, self._membership.account, seats, ticket)
        return signed(Said.REQUEST, wish.body, client_seed(self._secret, pin_of(blesser))).encoded

    def granted(
        self, blesser: PublicKey, about: Sequence[bytes], statements: Sequence[bytes], now: int
    ) -> list[Validity]:
        """The credentials that an answer has. With the first the ticket is used."""
        seats = {server: self._client(server) for server in map(SpkiPin, about)}
        numbers = self._numbers.get(blesser, _NOBODY)
        found = answers.credentials(statements, blesser, self._membership.grid, seats, numbers, now)
        for data in statements:
            self._know(blesser, data)
        if self._ticket is not None and self._ticket.by == blesser:
            holder.drop_ticket(self._membership.directory)
            self._ticket = None
        by_server = {credential.parse(decode(Said.CREDENTIAL, data)).server: data for data in statements}
        own = pin_of(blesser)
        return [
            Validity(server, by_server[server], said.not_before, said.not_after, keep=server != own)
            for server, said in found.items()
        ]

    def validity(self, given: Given) -> Validity | None:
        """From when until when a credential holds that was kept, if it is for the key that the account has."""
        try:
            said = credential.parse(decode(Said.CREDENTIAL, given.statement))
        except Malformed:
            return None
        if said.client != self._client(said.server) or said.server != given.about:
            return None
        return Validity(given.about, given.statement, said.not_before, said.not_after)

    def _client(self, server: SpkiPin) -> PublicKey:
        return sign.public_key(client_seed(self._secret, server))

    def _know(self, blesser: PublicKey, data: bytes) -> None:
        said = credential.parse(decode(Said.CREDENTIAL, data))
        self._numbers.setdefault(blesser, {})[said.account] = said.server


class AccountEnrolment(Enrolment):
    """An account's: `run`, `once`, `wake`, `lists`, `last` of `Enrolment`, and badges for servers."""

    def __init__(
        self,
        membership: Membership,
        wanted: Callable[[], Iterable[SpkiPin]],
        world: Surroundings,
        heard: Callable[[bytes], None] = lambda statement: None,
    ) -> None:
        """Open what is kept beside the membership. USAGE for one that has no account."""
        if membership.mode is not Mode.ACCOUNT:
            raise no_account("enrol", membership.name)
        self._membership = membership
        self._secret = holder.secret(membership.directory)

        def asker(kept: Standing) -> AccountAsker:
            return AccountAsker(membership, self._secret, kept, wanted)

        super().__init__(membership, membership.directory / FILE, asker, world, heard)

    def badge(self, server: SpkiPin) -> Badge | None:
        """What lets the account into a server; None if it has no credential for that yet."""
        return badge(self._membership, self._secret, self._standing, server)


def badge(membership: Membership, secret: Secret, standing: Standing, server: SpkiPin) -> Badge | None:
    """Return what lets an account into a server; None if it has no credential for that yet."""
    found = standing.about(server)
    found.sort(key=lambda data: credential.parse(decode(Said.CREDENTIAL, data)).not_after, reverse=True)
    if not found or membership.mode is not Mode.ACCOUNT:
        return None
    return Badge(membership.grid, tuple(found[:MAX_CREDENTIALS]), client_seed(secret, server))
