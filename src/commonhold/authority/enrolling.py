"""The blesser's side: what is granted at once to who asks, what waits for a person, and what is refused. Pure.

A ticket lets in whoever brings it; who is known and not revoked is renewed; all others wait. docs/spec/authority.md,
"Enrolment"; REQUIREMENTS B23, B24, B26.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from commonhold.authority import times
from commonhold.authority.derived import Secret, account_number
from commonhold.authority.ledger import (
    MAX_ISSUED,
    Account,
    AccountInvitation,
    Granted,
    Host,
    Invitation,
    Issued,
    Ledger,
    ServerInvitation,
    digest,
)
from commonhold.crypto.derive import derive
from commonhold.crypto.statements import signed, verified
from commonhold.formats import request
from commonhold.formats.blessing import Blessing
from commonhold.formats.credential import Credential
from commonhold.formats.fields import MAX_NUMBER
from commonhold.formats.keys import PublicKey, Seed
from commonhold.formats.malformed import Malformed
from commonhold.formats.request import AccountRequest, BlindRequest, Request, Seat, ServerRequest
from commonhold.formats.statement import Kind, Statement

DAY: Final = 86_400
EARLIER: Final = 30  # of its life a credential may have had this part when it is given
_BEGINNING: Final = b"commonhold credential begins v1\0"
MAX_OF_ONE: Final = 4096  # statements that one server or one account has at a time


@dataclass(frozen=True, slots=True)
class Terms:
    """A blesser's: its key, the secret that its accounts' numbers come of, for how long it signs (seconds), and whether
    it renews by itself what it knows."""

    blesser: PublicKey
    secret: Secret
    life: int = 30 * DAY
    renews: bool = True


@dataclass(frozen=True, slots=True)
class Desk:
    """By what is decided: what is known, on which terms, the time, and random numbers of 63 bits for serials."""

    ledger: Ledger
    terms: Terms
    now: int
    draw: Iterator[int]


@dataclass(frozen=True, slots=True)
class Held:
    """It waits for a person, who is told why. Who asked is told only that it waits."""

    why: str


@dataclass(frozen=True, slots=True)
class Denied:
    """It is refused, and asking again in the same way changes nothing."""

    why: str


Decision: TypeAlias = Granted | Held | Denied
_BAD_TICKET = Denied("its ticket is none of this blesser's, was used, has expired, or is not for this")
_FULL = Denied("there are as many statements out as may be: some have to expire first")


def asked(data: bytes) -> tuple[PublicKey, Request]:
    """Return who asks, and what. Malformed for what is no request, or not its signer's."""
    statement = verified(Kind.REQUEST, data)
    return statement.key, request.parse(statement)


def consider(desk: Desk, key: PublicKey, wish: Request) -> Decision:
    """Decide on what `asked` gave. Nothing is changed: what is granted is to be entered in the ledger, then signed."""
    if wish.grid != desk.ledger.grid or wish.blesser != desk.terms.blesser:
        return Denied("it is for another blesser, or another grid")
    if abs(desk.now - wish.time) > times.SKEW:
        return Denied(f"signed at {times.shown(wish.time)}, while it is {times.shown(desk.now)} here")
    invitation = desk.ledger.invitations.get(digest(wish.ticket)) if wish.ticket is not None else None
    if invitation and desk.now >= times.end(invitation.not_after):
        invitation = None
    if isinstance(wish, ServerRequest):
        return _server(desk, wish, invitation)
    return _account(desk, key, wish, invitation)


def _server(desk: Desk, wish: ServerRequest, invitation: Invitation | None) -> Decision:
    known, purposes = desk.ledger.hosts.get(wish.server), frozenset(wish.purposes)
    if known and known.revoked:
        return Denied("this server is revoked")
    if known and purposes <= known.purposes:
        return grant_server(desk, wish, known) if desk.terms.renews else Held("a server that is known")
    if isinstance(invitation, ServerInvitation) and purposes <= invitation.purposes:
        host = Host(wish.server, invitation.purposes | (known.purposes if known else frozenset()), invitation.classes)
        return _spending(invitation, grant_server(desk, wish, host))
    if wish.ticket is not None:
        return _BAD_TICKET
    return Held("a server that is known asks for more" if known else "a server that is not known")


def _account(
    desk: Desk, key: PublicKey, wish: AccountRequest | BlindRequest, invitation: Invitation | None
) -> Decision:
    known = desk.ledger.accounts.get(wish.account)
    if known and known.key == key:
        if known.revoked:
            return Denied("this account is revoked")
        return _granted(desk, wish, known) if desk.terms.renews else Held("an account that is known")
    if isinstance(invitation, AccountInvitation) and invitation.account == wish.account and known is None:
        account = Account(wish.account, key, invitation.quota)
        return _spending(invitation, _granted(desk, wish, account))
    if wish.ticket is not None:
        return _BAD_TICKET
    return Held("an account that is known, by another key" if known else "an account that is not known")


def _granted(desk: Desk, wish: AccountRequest | BlindRequest, account: Account) -> Granted | Denied:
    """Whom blanks are signed for is an account; how many, `minting` says."""
    return grant_account(desk, wish, account) if isinstance(wish, AccountRequest) else Granted((), account=account)


def grant_server(desk: Desk, wish: ServerRequest, host: Host) -> Granted | Denied:
    """Grant a server the purposes that it asks for, of those that `host` may have; also as a person decided."""
    purposes = [purpose for purpose in wish.purposes if purpose in host.purposes]
    if host.server != wish.server or host.revoked or not purposes:
        return Denied("nothing that it asks for was decided on")
    grid, until = desk.ledger.grid, desk.now + desk.terms.life
    drafts = [Issued(Blessing(grid, purpose, wish.server, host.classes, desk.now, until, 0)) for purpose in purposes]
    issued = _numbered(desk, drafts, _blessings(desk.ledger, host))
    return Granted(issued, host=host) if issued else _FULL


def grant_account(desk: Desk, wish: AccountRequest, account: Account) -> Granted | Denied:
    """Grant an account a credential at each server that it asks for; also as a person decided."""
    if account.name != wish.account or account.revoked:
        return Denied("nothing that it asks for was decided on")
    drafts = [Issued(_credential(desk, account, seat), account.name) for seat in wish.seats]
    issued = _numbered(desk, drafts, [one for one in desk.ledger.issued.values() if one.account == account.name])
    return Granted(issued, account=account) if issued else _FULL


def _credential(desk: Desk, account: Account, seat: Seat) -> Credential:
    """Without its serial. It begins earlier than now, by another time at each server: those that compare are not to
    find credentials that were asked for together. REQUIREMENTS D18."""
    terms = desk.terms
    drawn = derive(terms.secret.raw, _BEGINNING + desk.now.to_bytes(8) + seat.server + seat.client)
    begins = max(0, desk.now - int.from_bytes(drawn[:8]) % max(1, terms.life // EARLIER))
    number = account_number(terms.secret, account.name, seat.server)
    return Credential(desk.ledger.grid, seat.server, number, seat.client, account.quota, begins, begins + terms.life, 0)


def statements(granted: Granted, seed: Seed) -> tuple[Statement, ...]:
    """Return what is granted, signed: once the ledger has it on disk."""
    return tuple(
        signed(Kind.BLESSING if isinstance(one.said, Blessing) else Kind.CREDENTIAL, one.said.body, seed)
        for one in granted.issued
    )


def _blessings(ledger: Ledger, host: Host) -> list[Issued]:
    """What was signed of a server, and not of an account that has a place there."""
    return [one for one in ledger.issued.values() if one.account is None and one.said.server == host.server]


def _spending(invitation: Invitation, granted: Granted | Denied) -> Granted | Denied:
    return replace(granted, spent=invitation.digest) if isinstance(granted, Granted) else granted


def _numbered(desk: Desk, drafts: list[Issued], had: list[Issued]) -> tuple[Issued, ...]:
    """Return drafts with serials; () if that were too many.

    What somebody has already, with more than half of its life to come, they get again as it is: asking often, or a
    request that is sent again, fills no ledger.
    """
    standing = {
        _bare(one): one
        for one in had
        if one.said.serial not in desk.ledger.revoked
        and one.said.not_after - desk.now > (one.said.not_after - one.said.not_before) // 2
    }
    new = sum(_bare(draft) not in standing for draft in drafts)
    if len(desk.ledger.issued) + new > MAX_ISSUED or (new and len(had) + new > MAX_OF_ONE):
        return ()
    serials = iter(_drawn(desk, new))
    return tuple(
        standing.get(_bare(draft)) or draft._replace(said=replace(draft.said, serial=next(serials))) for draft in drafts
    )


def _bare(one: Issued) -> Issued:
    """What a statement says, but for its times and serial."""
    return one._replace(said=replace(one.said, not_before=0, not_after=0, serial=0))


def _drawn(desk: Desk, count: int) -> list[int]:
    """So many serials that nothing has that was signed."""
    found: dict[int, None] = {}
    while len(found) < count:
        serial = next(desk.draw, None)
        if serial is None:
            raise Malformed("serials", f"{len(found)} were drawn, {count} are needed")
        if 0 <= serial <= MAX_NUMBER and serial not in desk.ledger.issued:
            found[serial] = None
    return list(found)
