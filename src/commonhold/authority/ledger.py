"""What a blesser knows: servers and accounts it serves, invitations, and all that it signed and took back. Pure.

Plain values, to be listed, and kept by whoever has a disk. docs/spec/authority.md; REQUIREMENTS B8, B23, B24, B26.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple, TypeAlias

from commonhold.authority import times
from commonhold.formats.blessing import Blessing, Purpose
from commonhold.formats.credential import Credential
from commonhold.formats.keys import PublicKey
from commonhold.formats.pin import GridId, SpkiPin
from commonhold.formats.request import Ticket
from commonhold.formats.revocations import MAX_SERIALS, Revocations

MAX_ISSUED: Final = MAX_SERIALS  # that hold at a time: all of them can be taken back with one list


@dataclass(frozen=True, slots=True)
class Host:
    """A server that is blessed for these purposes, as of these classes. `revoked`: and never again by itself."""

    server: SpkiPin
    purposes: frozenset[Purpose]
    classes: tuple[str, ...] = ()
    revoked: bool = False


@dataclass(frozen=True, slots=True)
class Account:
    """An account: the key by which it asks, and how many bytes it may have at each server."""

    name: str
    key: PublicKey
    quota: int
    revoked: bool = False


@dataclass(frozen=True, slots=True)
class ServerInvitation:
    """Whoever brings the ticket of this digest first is such a server."""

    digest: bytes
    purposes: frozenset[Purpose]
    classes: tuple[str, ...]
    not_after: int


@dataclass(frozen=True, slots=True)
class AccountInvitation:
    """Whoever brings the ticket of this digest first has this account."""

    digest: bytes
    account: str
    quota: int
    not_after: int


Invitation: TypeAlias = ServerInvitation | AccountInvitation


def digest(ticket: Ticket) -> bytes:
    """Return what is kept of a ticket: who reads a ledger cannot use those that are out."""
    return hashlib.sha256(b"commonhold ticket v1\0" + ticket).digest()


class Issued(NamedTuple):
    """What was signed; `account` is the name of a credential's, which the servers do not know."""

    said: Blessing | Credential
    account: str | None = None


@dataclass(frozen=True, slots=True)
class Granted:
    """What is to be signed, and what a ledger has to know before that leaves: write it down, then sign."""

    issued: tuple[Issued, ...]
    host: Host | None = None
    account: Account | None = None
    spent: bytes | None = None  # an invitation's digest


@dataclass(slots=True)
class Ledger:
    """All of one blesser's in one grid. `issued` and `revoked` are by serial; `sequence` is of its last list."""

    grid: GridId
    hosts: dict[SpkiPin, Host] = field(default_factory=dict)
    accounts: dict[str, Account] = field(default_factory=dict)
    invitations: dict[bytes, Invitation] = field(default_factory=dict)
    issued: dict[int, Issued] = field(default_factory=dict)
    revoked: set[int] = field(default_factory=set)
    sequence: int = 0

    def invite(self, invitation: Invitation) -> None:
        """Let a ticket be good once."""
        self.invitations[invitation.digest] = invitation

    def enter(self, granted: Granted) -> None:
        """Write down what is granted."""
        if granted.host:
            self.hosts[granted.host.server] = granted.host
        if granted.account:
            self.accounts[granted.account.name] = granted.account
        if granted.spent:
            self.invitations.pop(granted.spent, None)
        for one in granted.issued:
            self.issued[one.said.serial] = one

    def revoke_server(self, server: SpkiPin) -> frozenset[int]:
        """Take back all blessings of a server, and renew none by itself. Returns their serials."""
        if server in self.hosts:
            self.hosts[server] = replace(self.hosts[server], revoked=True)
        return self._revoke(lambda one: isinstance(one.said, Blessing) and one.said.server == server)

    def revoke_account(self, name: str) -> frozenset[int]:
        """Take back all credentials of an account, and renew none by itself. Returns their serials."""
        if name in self.accounts:
            self.accounts[name] = replace(self.accounts[name], revoked=True)
        return self._revoke(lambda one: one.account == name)

    def revoke(self, serial: int) -> frozenset[int]:
        """Take back one thing that was signed; what it is about may be renewed."""
        return self._revoke(lambda one: one.said.serial == serial)

    def next_list(self, now: int, fresh_for: int) -> Revocations:
        """Return the next revocation list: of what was taken back and would hold still. To be made in good time before
        the last one is stale, also where nothing was revoked."""
        self.forget(now)
        self.sequence += 1
        return Revocations(self.grid, self.sequence, now, now + fresh_for, tuple(sorted(self.revoked)))

    def forget(self, now: int) -> None:
        """Let go of what has expired by anybody's clock, and of invitations that nobody used."""
        self.issued = {serial: one for serial, one in self.issued.items() if not _over(one.said.not_after, now)}
        self.revoked &= self.issued.keys()
        self.invitations = {one.digest: one for one in self.invitations.values() if not _over(one.not_after, now)}

    def _revoke(self, whether: Callable[[Issued], bool]) -> frozenset[int]:
        serials = frozenset(serial for serial, one in self.issued.items() if whether(one))
        self.revoked |= serials
        return serials


def _over(not_after: int, now: int) -> bool:
    """Whether something has ended for everybody whose clock is up to SKEW behind this one."""
    return now >= times.end(times.end(not_after))
