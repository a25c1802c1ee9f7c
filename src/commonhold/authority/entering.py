"""The server's side of its door: whether a client may come in, as whose account, and for how much. Pure.

Everything that makes what was signed of use to nobody else is compared here: server, grid, connection, nonce, time.
docs/spec/authority.md, "At the door"; REQUIREMENTS B4, B20-B22, B26, B29, B32.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from commonhold.authority import times, tokens
from commonhold.authority.judging import Ground, Reason, Seen, judge
from commonhold.authority.lists import Lists
from commonhold.authority.nonces import Given, current
from commonhold.authority.trust import Rule
from commonhold.crypto import sign
from commonhold.formats import blinded, credential, entry
from commonhold.formats.blinded import Token
from commonhold.formats.credential import AccountId, Credential, Warrant
from commonhold.formats.entry import Entry, Nonce
from commonhold.formats.keys import PublicKey
from commonhold.formats.malformed import Malformed
from commonhold.formats.pin import GridId, SpkiPin
from commonhold.formats.statement import Kind, Statement, decode

MAX_CREDENTIALS: Final = 8


@dataclass(frozen=True, slots=True)
class Door:
    """A server's: who it is, in which grid, and whose credentials count (their classes do not)."""

    server: SpkiPin
    grid: GridId
    clients: Rule

    @property
    def watched(self) -> frozenset[tuple[PublicKey, GridId]]:
        """Whose revocation lists matter."""
        return frozenset((blesser, self.grid) for blesser in self.clients.blessers)


@dataclass(frozen=True, slots=True)
class Knock:
    """What a client shows: well-formed, and not proved. The connection's pin is what the transport knows."""

    connection: SpkiPin
    credentials: tuple[tuple[Statement, Credential] | Token, ...]
    entry: tuple[Statement, Entry]
    warrant: tuple[Statement, Warrant] | None

    @property
    def nonce(self) -> Nonce:
        """The nonce that it claims to answer."""
        return self.entry[1].nonce


def knock(connection: SpkiPin, credentials: Sequence[bytes], said: bytes, warrant: bytes | None = None) -> Knock:
    """Return what bytes of a client's say. Malformed."""
    if not 0 < len(credentials) <= MAX_CREDENTIALS:
        raise Malformed("knock", f"{len(credentials)} credentials, not 1 to {MAX_CREDENTIALS}")
    signed = decode(Kind.ENTRY, said)
    warranted = None if warrant is None else decode(Kind.WARRANT, warrant)
    return Knock(
        connection,
        tuple(map(_credential, credentials)),
        (signed, entry.parse(signed)),
        None if warranted is None else (warranted, credential.parse_warrant(warranted)),
    )


def _credential(data: bytes) -> tuple[Statement, Credential] | Token:
    if blinded.is_token(data):
        return blinded.parse_token(data)
    statement = decode(Kind.CREDENTIAL, data)
    return statement, credential.parse(statement)


class Serial(NamedTuple):
    """By whose word somebody is in, and by which."""

    blesser: PublicKey
    number: int


@dataclass(frozen=True, slots=True)
class Admitted:
    """Who is in: the account, how many bytes it may have here, and the first second at which that ends by itself.

    Whether shares may be put is asked at the time (`may_store`). `holder`: whom the account's warrant lets in for it.
    """

    account: AccountId
    quota: int
    until: int
    serials: tuple[Serial, ...]
    connection: SpkiPin
    grid: GridId
    client: PublicKey
    holder: PublicKey | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a client stays outside, and how each credential stands."""

    reason: Reason
    said: str
    seen: tuple[Seen, ...] = ()


def may_enter(door: Door, shown: Knock, given: Given | None, lists: Lists, now: int) -> Admitted | Refusal:
    """Whether a client is let in. `given` is what `Nonces.use` gave for this knock's nonce and connection.

    A stale revocation list keeps nobody out who only wants to read: `may_store` is where it counts.
    """
    refusal = _addressed(door, shown, given, now) or _signed(door, shown, now)
    if refusal:
        return refusal
    client = shown.warrant[0].key if shown.warrant else shown.entry[0].key
    ground = Ground(door.server, door.grid, door.clients, lists, now)
    looked = [_looked(ground, one, client) for one in shown.credentials]
    seen = tuple(one for one, _ in looked)
    counted = [(one, claim) for one, claim in looked if one.reason in (Reason.HOLDS, Reason.STALE)]
    agreed = _agreed(counted, door.clients.needed)
    if agreed is None:
        reason = Reason.TOO_FEW if counted or not seen else seen[0].reason
        said = f"no {door.clients.needed} client blessers agree" if counted else f"credential {seen[0]}"
        return Refusal(reason, said, seen)
    ends = [one.end for one, _ in agreed]
    if shown.warrant:
        ends.append(times.end(shown.warrant[1].not_after))
    return Admitted(
        agreed[0][1].account,
        min(claim.quota for _, claim in agreed),
        min(ends),
        tuple(Serial(one.blesser, claim.serial) for one, claim in agreed if one.blesser),
        shown.connection,
        door.grid,
        client,
        shown.warrant[1].holder if shown.warrant else None,
    )


def revoked(admitted: Admitted, lists: Lists) -> bool:
    """Whether a word by which somebody is in was taken back."""
    return any(lists.revoked(one.blesser, admitted.grid, one.number) for one in admitted.serials)


def may_store(door: Door, admitted: Admitted, lists: Lists, now: int) -> str | None:
    """Return why somebody who is in may put nothing now; None: they may."""
    if now >= admitted.until:
        return f"the credential expired at {times.shown(admitted.until)}"
    if revoked(admitted, lists):
        return "the credential is revoked"
    for one in admitted.serials:
        if door.clients.fresh and lists.fresh_end(one.blesser, admitted.grid, now) is None:
            return f"the revocation list of {GridId(one.blesser)} is stale here, so that nothing can be put"
    return None


def _addressed(door: Door, shown: Knock, given: Given | None, now: int) -> Refusal | None:
    """Why what a client signed is not for this door, this connection and this moment."""
    said = shown.entry[1]
    if said.server != door.server:
        return Refusal(Reason.OTHER_SERVER, f"the entry was signed for {said.server}, this is {door.server}")
    if said.grid != door.grid:
        return Refusal(Reason.OTHER_GRID, f"the entry was signed for {said.grid}, this is {door.grid}")
    if said.connection != shown.connection:
        return Refusal(Reason.CONNECTION, "the entry was signed for another connection than this one")
    if given is None or given != Given(said.nonce, shown.connection, given.at) or not current(given, now):
        return Refusal(Reason.NONCE, "the nonce was not given to this connection, was used, or is too old")
    if abs(now - said.time) > times.SKEW:
        return Refusal(Reason.CLOCK, f"signed at {times.shown(said.time)}, while it is {times.shown(now)} here")
    return None


def _signed(door: Door, shown: Knock, now: int) -> Refusal | None:
    """Why an entry is not its signer's, or a warrant not one for this signer, server, grid and time."""
    statement = shown.entry[0]
    if not sign.verify(statement.key, statement.message, statement.signature):
        return Refusal(Reason.FORGED, "the entry's signature is wrong")
    if shown.warrant is None:
        return None
    warrant, claim = shown.warrant
    why = None
    if claim.holder != statement.key:
        why = "it names another holder than the one who signed the entry"
    elif claim.server != door.server:
        why = f"it is for {claim.server}"
    elif claim.grid != door.grid:
        why = f"it is for {claim.grid}"
    elif not times.begun(claim.not_before, now):
        why = f"it is not valid before {times.shown(claim.not_before)}"
    elif now >= times.end(claim.not_after):
        why = f"it expired at {times.shown(claim.not_after)}"
    elif not sign.verify(warrant.key, warrant.message, warrant.signature):
        why = "its signature is wrong"
    return Refusal(Reason.WARRANT, f"the warrant does not hold: {why}") if why else None


def _looked(ground: Ground, shown: tuple[Statement, Credential] | Token, client: PublicKey) -> tuple[Seen, Credential]:
    """How a credential or a token stands, for whoever signed the entry or the warrant; and what it says."""
    mint = None
    if isinstance(shown, Token):
        mint = ground.lists.mints(shown.blesser, ground.grid).get(shown.mint)
        key, claim = shown.blesser, tokens.claimed(shown, mint)
    else:
        key, claim = shown[0].key, shown[1]
    if claim.client != client:
        said = "another client's: its key signed neither the entry nor a warrant for who did"
        return Seen(Reason.OTHER_CLIENT, said, key, claim.serial), claim
    if isinstance(shown, Token):
        return tokens.judge_token(ground, shown, mint), claim
    return judge(ground, shown[0], claim, ground.rule.classes), claim


def _lasting(found: tuple[Seen, Credential]) -> tuple[bool, int]:
    """The greater the better: one that shares can be put by, and for long."""
    return found[0].reason is Reason.HOLDS, found[0].until


def _agreed(found: list[tuple[Seen, Credential]], needed: int) -> list[tuple[Seen, Credential]] | None:
    """Return the credentials of one account by as many blessers as are needed, those that hold longest."""
    by_account: dict[AccountId, dict[PublicKey | None, tuple[Seen, Credential]]] = {}
    for one in sorted(found, key=_lasting, reverse=True):
        by_account.setdefault(one[1].account, {}).setdefault(one[0].blesser, one)
    for of_blesser in by_account.values():
        if len(of_blesser) >= needed:
            return list(of_blesser.values())[:needed]
    return None
