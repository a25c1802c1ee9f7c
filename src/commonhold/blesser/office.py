"""A blesser at work: what `authority` decides is written down, then signed, then told. docs/spec/enrolment.md.

Safe from many threads; one decides at a time.
"""

import itertools
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final

from commonhold.authority import enrolling, times
from commonhold.authority.enrolling import Denied, Desk, Held, Terms
from commonhold.authority.ledger import (
    Account,
    AccountInvitation,
    Granted,
    Host,
    Ledger,
    ServerInvitation,
    digest,
)
from commonhold.blesser.book import Book, Waiting
from commonhold.blesser.config import Config
from commonhold.blesser.home import Keys
from commonhold.blesser.mints import Mints
from commonhold.crypto.statements import signed
from commonhold.errors import HoldError, Kind
from commonhold.formats import blinded
from commonhold.formats.blessing import Purpose
from commonhold.formats.blinded import Mint
from commonhold.formats.fields import MAX_NUMBER
from commonhold.formats.invitation import Invitation
from commonhold.formats.keys import PublicKey
from commonhold.formats.malformed import Malformed
from commonhold.formats.pin import SpkiPin, pin_of
from commonhold.formats.request import BlindRequest, Request, ServerRequest, Ticket
from commonhold.formats.statement import Kind as Said

WAITS_SECONDS: Final = 30 * 86_400  # after which who waits for a person is forgotten
MAX_INVITATIONS: Final = 10_000


class Office:
    """See the module. `now` gives seconds since 1970, `randomness(n)` n random bytes."""

    def __init__(
        self,
        book: Book,
        keys: Keys,
        config: Config,
        now: Callable[[], int],
        randomness: Callable[[int], bytes],
        mints: Mints | None = None,
    ) -> None:
        """`mints`: what it signs blindly with, if it does."""
        self.config = config
        self.keys = keys
        self._book = book
        self._mints = mints
        self._now = now
        self._randomness = randomness
        self._mutex = threading.RLock()
        self._ledger = book.ledger(config.charter.grid)
        self._newest = book.newest()

    # ── who asks ──

    def ask(self, data: bytes) -> tuple[bytes, ...] | None:
        """Answer a request: encoded statements, or None if it waits for a person.

        Malformed for what is none; BLESSING if it is refused, BUSY if too many wait. Asked again, the same is answered.
        """
        key, wish = enrolling.asked(data)
        if isinstance(wish, BlindRequest):
            raise Malformed("request", "to sign blindly is another call")
        with self._mutex:
            decision = self._decide(key, wish)
            if decision is None:
                return None
            if decision.account and self._mints and self._mints.holds(decision.account.name, self._now()):
                raise _either("it has blinded tokens")
            return self._grant(decision)

    def blind(self, data: bytes) -> tuple[blinded.Terms, tuple[bytes, ...]] | None:
        """Answer a blind request: terms, and a signature of each blank; None if it waits for a person.

        Malformed for what is none; BLESSING if it is refused, also if one of it is; BUSY if too many wait. Asked again,
        the same is answered, and counts once.
        """
        key, wish = enrolling.asked(data)
        if not isinstance(wish, BlindRequest):
            raise Malformed("request", "it asks for nothing that is signed blindly")
        with self._mutex:
            if self._mints is None:
                raise HoldError("enrol", Kind.BLESSING, "blesser", "it signs nothing blindly")
            decision = self._decide(key, wish)
            if decision is None or decision.account is None:
                return None
            if self._has_credentials(decision.account.name):
                raise _either("it has credentials")
            account = decision.account
            granted = self._mints.grant(account.name, account.quota, wish.orders, self._now())
            self._grant(decision)
        return granted.terms, granted.answers()

    def _decide(self, key: PublicKey, wish: Request) -> Granted | None:
        """What is granted; None if it waits. BLESSING if it is refused."""
        decision = enrolling.consider(self._desk(self.config.life), key, wish)
        if isinstance(decision, Denied):
            raise HoldError("enrol", Kind.BLESSING, "blesser", decision.why)
        if isinstance(decision, Held):
            self._book.wait(_waiting(key, wish, decision.why, self._now()))
            return None
        return decision

    def _has_credentials(self, account: str) -> bool:
        ledger, now = self._ledger, self._now()
        return any(
            one.account == account and one.said.serial not in ledger.revoked and now < times.end(one.said.not_after)
            for one in ledger.issued.values()
        )

    def _desk(self, life: int) -> Desk:
        terms = Terms(self.keys.public, self.keys.accounts, life)
        return Desk(self._ledger, terms, self._now(), self._serials())

    def _serials(self) -> Iterator[int]:
        return (int.from_bytes(self._randomness(8), "big") & MAX_NUMBER for _ in itertools.count())

    def _grant(self, granted: Granted) -> tuple[bytes, ...]:
        """Write down what is granted, then sign it."""
        if self._is_new(granted):
            self._book.enter(granted)
            self._ledger.enter(granted)
        return tuple(one.encoded for one in enrolling.statements(granted, self.keys.blesser))

    def _is_new(self, granted: Granted) -> bool:
        """Whether a ledger does not know all of it: what is given again costs nothing."""
        ledger = self._ledger
        return bool(
            granted.spent
            or (granted.host and ledger.hosts.get(granted.host.server) != granted.host)
            or (granted.account and ledger.accounts.get(granted.account.name) != granted.account)
            or any(one.said.serial not in ledger.issued for one in granted.issued)
        )

    # ── revocation lists ──

    def revocations(self) -> bytes:
        """The newest list."""
        with self._mutex:
            return self._newest if self._newest is not None else self.sign_list()

    def sign_list(self) -> bytes:
        """Sign the next list. Its number is on the disk before: no number is ever signed twice."""
        with self._mutex:
            now = self._now()
            mints = self._mints.listed(now) if self._mints else ()
            said = replace(self._ledger.next_list(now, self.config.list_life), mints=mints)
            self._book.number(said.sequence, self._ledger)
            found = signed(Said.REVOCATIONS, said.body, self.keys.blesser).encoded
            self._book.keep(said.sequence, found)
            self._book.expire(now - WAITS_SECONDS)
            self._newest = found
            return found

    # ── what its owner says ──

    def invite_account(self, name: str, quota: int, seconds: int) -> Invitation:
        """Make a ticket for an account of a name that nobody has. EXISTS."""
        with self._mutex:
            if name in self._ledger.accounts or name in self._invited():
                why = "there is such an account, or one is invited"
                raise HoldError("invite", Kind.EXISTS, name, why, hint="hold grid list; choose another name")
            ticket, until = self._ticket(), self._now() + seconds
            self._note(AccountInvitation(digest(ticket), name, quota, until))
        return Invitation(self.config.charter, self.keys.public, ticket, until, account=name)

    def invite_server(self, purposes: tuple[Purpose, ...], classes: tuple[str, ...], seconds: int) -> Invitation:
        """Make a ticket for a server that nobody knows yet."""
        with self._mutex:
            ticket, until = self._ticket(), self._now() + seconds
            self._note(ServerInvitation(digest(ticket), frozenset(purposes), classes, until))
        return Invitation(self.config.charter, self.keys.public, ticket, until, purposes=purposes)

    def withdraw(self, invitation: Invitation) -> None:
        """A ticket is good no more."""
        with self._mutex:
            self._book.withdraw(digest(invitation.ticket))
            self._ledger.invitations.pop(digest(invitation.ticket), None)

    def _ticket(self) -> Ticket:
        return Ticket(self._randomness(Ticket.LENGTH))

    def _invited(self) -> set[str]:
        now = self._now()
        return {
            one.account
            for one in self._ledger.invitations.values()
            if isinstance(one, AccountInvitation) and now < times.end(one.not_after)
        }

    def _note(self, invitation: AccountInvitation | ServerInvitation) -> None:
        if len(self._ledger.invitations) >= MAX_INVITATIONS:
            raise HoldError("invite", Kind.BUSY, "blesser", "too many invitations are out")
        self._book.invite(invitation)
        self._ledger.invite(invitation)

    def bless(
        self, server: SpkiPin, purposes: tuple[Purpose, ...], classes: tuple[str, ...], seconds: int
    ) -> tuple[bytes, ...]:
        """Bless a server for these purposes, beside those that it has, as of these classes: encoded blessings."""
        with self._mutex:
            known = self._ledger.hosts.get(server)
            host = Host(server, frozenset(purposes) | (known.purposes if known else frozenset()), classes)
            wish = ServerRequest(self._ledger.grid, self.keys.public, self._now(), server, purposes)
            return self._decided(enrolling.grant_server(self._desk(seconds), wish, host))

    def _decided(self, decision: Granted | Denied) -> tuple[bytes, ...]:
        if isinstance(decision, Denied):
            raise HoldError("bless", Kind.BLESSING, "blesser", decision.why)
        return self._grant(decision)

    def approve(self, number: int, quota: int, classes: tuple[str, ...]) -> Waiting:
        """Let in somebody who waits: when they ask again, they get what they ask for. NOT_FOUND.

        An account that has another key now loses what the old one has.
        """
        with self._mutex:
            one = self._waiting(number)
            if one.account:
                known = self._ledger.accounts.get(one.account)
                if known and known.key != one.key:
                    self.revoke_account(one.account)
                account = Account(one.account, one.key, quota)
                self._book.put(account=account)
                self._ledger.accounts[one.account] = account
            else:
                server = pin_of(one.key)
                there = self._ledger.hosts.get(server)
                had = there.purposes if there else frozenset[Purpose]()
                host = Host(server, had | frozenset(one.purposes), classes)
                self._book.put(host=host)
                self._ledger.hosts[server] = host
            self._book.done(number)
            return one

    def decline(self, number: int) -> Waiting:
        """Forget somebody who waits. NOT_FOUND."""
        with self._mutex:
            one = self._waiting(number)
            self._book.done(number)
            return one

    def _waiting(self, number: int) -> Waiting:
        for one in self._book.waiting():
            if one.id == number:
                return one
        raise HoldError("decide", Kind.NOT_FOUND, str(number), "nobody waits under that number", hint="hold grid list")

    def revoke_server(self, server: SpkiPin) -> frozenset[int]:
        """Take back all blessings of a server, and sign the next list. NOT_FOUND."""
        with self._mutex:
            if server not in self._ledger.hosts:
                raise _unknown(str(server))
            serials = self._ledger.revoke_server(server)
            self._book.revoke(serials, host=self._ledger.hosts[server])
            self.sign_list()
            return serials

    def revoke_account(self, name: str) -> frozenset[int]:
        """Take back all credentials of an account, and sign the next list. NOT_FOUND."""
        with self._mutex:
            if name not in self._ledger.accounts:
                raise _unknown(name)
            serials = self._ledger.revoke_account(name)
            self._book.revoke(serials, account=self._ledger.accounts[name])
            self.sign_list()
            return serials

    def remint(self, quota: int | None) -> int:
        """Withdraw the keys of a denomination, or all, and sign the next list, which has new ones. How many there were;
        NOT_FOUND if none."""
        with self._mutex:
            gone = self._mints.withdraw(quota) if self._mints else 0
            if not gone:
                why = "there is no key for it"
                raise HoldError("remint", Kind.NOT_FOUND, str(quota or "keys"), why, hint="hold grid list")
            self.sign_list()
            return gone

    def minted(self) -> list[tuple[Mint, int]]:
        """How many tokens were granted of each key that is signed with blindly."""
        with self._mutex:
            return self._mints.counts() if self._mints else []

    def restore(self, *, server: SpkiPin | None = None, account: str = "") -> None:
        """Let somebody who was revoked be granted anew, when they ask; what was taken back stays so. NOT_FOUND."""
        with self._mutex:
            if server is not None and server in self._ledger.hosts:
                host = replace(self._ledger.hosts[server], revoked=False)
                self._book.put(host=host)
                self._ledger.hosts[server] = host
            elif account in self._ledger.accounts:
                found = replace(self._ledger.accounts[account], revoked=False)
                self._book.put(account=found)
                self._ledger.accounts[account] = found
            else:
                raise _unknown(account or str(server))

    # ── to be looked at ──

    def state(self) -> tuple[Ledger, list[Waiting]]:
        """A copy of what is known, and who waits."""
        with self._mutex:
            old = self._ledger
            copy = Ledger(
                old.grid, dict(old.hosts), dict(old.accounts), dict(old.invitations), dict(old.issued),
                set(old.revoked), old.sequence,
            )  # fmt: skip
            return copy, self._book.waiting()


def _waiting(key: PublicKey, wish: Request, why: str, now: int) -> Waiting:
    if isinstance(wish, ServerRequest):
        return Waiting(0, key, "", wish.purposes, wish.addresses, why, now)
    return Waiting(0, key, wish.account, (), (), why, now)


def _either(has: str) -> HoldError:
    why = f"{has} that still hold, and an account has either credentials or blinded tokens"
    return HoldError("enrol", Kind.BLESSING, "blesser", why)


def _unknown(subject: str) -> HoldError:
    why = "no server or account of this grid"
    return HoldError("look up", Kind.NOT_FOUND, subject, why, hint="hold grid list")
