"""What a blesser has answered, held against what was asked: it may lie, or be somebody else. Pure.

docs/spec/membership.md, "What is refused". REQUIREMENTS B11, B20, D18.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from commonhold.authority import times
from commonhold.crypto.statements import verified
from commonhold.errors import HoldError, Kind
from commonhold.formats import blessing, credential
from commonhold.formats.blessing import Blessing, Purpose
from commonhold.formats.credential import AccountId, Credential
from commonhold.formats.keys import PublicKey
from commonhold.formats.malformed import Malformed
from commonhold.formats.pin import GridId, SpkiPin
from commonhold.formats.statement import Kind as Said
from commonhold.formats.statement import Statement

_T = TypeVar("_T", Blessing, Credential)


def credentials(
    statements: Sequence[bytes],
    blesser: PublicKey,
    grid: GridId,
    seats: Mapping[SpkiPin, PublicKey],
    accounts: Mapping[AccountId, SpkiPin],
    now: int,
) -> dict[SpkiPin, Credential]:
    """Return the credentials for seats that were asked for, one for each, as they stand in the answer. INVALID.

    `accounts` are the numbers that one has of this blesser elsewhere: one number at two servers would link them.
    """
    found: dict[SpkiPin, Credential] = {}
    numbers = dict(accounts)
    for data in statements:
        said = _signed(Said.CREDENTIAL, data, blesser, grid, now, credential.parse)
        if seats.get(said.server) != said.client or said.server in found:
            raise lied(blesser, "a credential for another server or key than was asked for")
        if numbers.setdefault(said.account, said.server) != said.server:
            raise lied(blesser, "one account number at two servers, which could tell by it that they serve one person")
        found[said.server] = said
    if len(found) != len(seats):
        raise lied(blesser, f"{len(found)} credentials, {len(seats)} were asked for")
    return found


def blessings(
    statements: Sequence[bytes],
    blesser: PublicKey,
    grid: GridId,
    server: SpkiPin,
    purposes: Sequence[Purpose],
    now: int,
) -> dict[Purpose, Blessing]:
    """Return the blessings for purposes that were asked for, one for each, as they stand in the answer. INVALID."""
    found: dict[Purpose, Blessing] = {}
    for data in statements:
        said = _signed(Said.BLESSING, data, blesser, grid, now, blessing.parse)
        if said.server != server or said.purpose not in purposes or said.purpose in found:
            raise lied(blesser, "a blessing for another server or purpose than was asked for")
        found[said.purpose] = said
    if len(found) != len(purposes):
        raise lied(blesser, f"{len(found)} blessings, {len(purposes)} were asked for")
    return found


def _signed(
    kind: Said, data: bytes, blesser: PublicKey, grid: GridId, now: int, parse: Callable[[Statement], _T]
) -> _T:
    try:
        statement = verified(kind, data)
        said = parse(statement)
    except Malformed as error:
        raise lied(blesser, str(error)) from error
    if statement.key != blesser:
        raise lied(blesser, "what another key has signed")
    if said.grid != grid:
        raise lied(blesser, "a statement for another grid")
    if not times.begun(said.not_before, now) or now >= said.not_after:
        raise lied(blesser, "a statement that does not hold now; or one of the clocks is wrong")
    return said


def lied(blesser: PublicKey, what: str) -> HoldError:
    """What to raise for an answer of which nothing is used."""
    why = f"it answers what cannot be: {what}; nothing of it was used"
    return HoldError("enrol", Kind.INVALID, str(GridId(blesser)), why, hint="ask whoever runs that blesser")
