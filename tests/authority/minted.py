"""Mints whose keys tests have, and tokens by them. Everything is sound until a test says otherwise."""

import functools
from typing import Any

from commonhold.authority.derived import Secret
from commonhold.authority.tokens import Wallet
from commonhold.crypto import blindsign
from commonhold.crypto.blindsign import Signer
from commonhold.formats.blinded import Mint, MintId, Modulus, Token
from commonhold.formats.pin import GridId, SpkiPin
from tests.authority.parties import DAY, NOW, grid, pin, public
from tests.crypto.test_blind import key

GIB = 1 << 30
ALICE = Secret(b"alice's secret".ljust(32))
START = NOW - NOW % (30 * DAY)


@functools.cache
def signer(number: int = 0) -> Signer:
    """One of a few keys; the first is that of the vectors, others are made when they are wanted."""
    return Signer(blindsign.generate() if number else key())


def mint(number: int = 0, **other: Any) -> Mint:
    """This period's, for a gibibyte."""
    sound: dict[str, Any] = {
        "modulus": Modulus(signer(number).modulus), "quota": GIB, "not_before": START, "not_after": START + 30 * DAY,
        "serial": 77,
    }  # fmt: skip
    return Mint(**sound | other)


def named(of: Mint, by: str = "blesser", at: GridId | None = None) -> MintId:
    return of.id(public(by), at or grid())


def wallet(of: Mint | None = None, secret: Secret = ALICE, by: str = "blesser") -> Wallet:
    of = of or mint()
    return Wallet(secret, grid(), public(by), named(of, by), of)


def token(server: SpkiPin | None = None, of: Mint | None = None, secret: Secret = ALICE, by: str = "blesser") -> Token:
    """Alice's, for the attic."""
    found, where = wallet(of, secret, by), server or pin("attic")
    return found.token(where, signer().sign(found.blank(where)))
