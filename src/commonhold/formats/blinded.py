"""Blinded accounts: the keys that a blesser signs with blindly, and the tokens that they sign. Pure.

A mint is a key of one period and one denomination: by which key a token is signed says how much it is worth, and until
when, and so many have the same that it says nothing of who. docs/spec/blinded.md.
"""

import hashlib
from dataclasses import dataclass
from typing import Final, NamedTuple

from commonhold.formats import dagcbor, fields
from commonhold.formats.credential import MAX_QUOTA
from commonhold.formats.fields import Fields
from commonhold.formats.keys import LENGTH, PublicKey
from commonhold.formats.malformed import Malformed, Unsupported
from commonhold.formats.pin import GridId, SpkiPin

KIND: Final = "blinded"
VERSION: Final = 1
MAX_MINTS: Final = 64  # on one list
MAX_MINT: Final = 512  # bytes
MAX_TOKEN: Final = 1024
_DAY: Final = 86_400
SHORTEST: Final = _DAY  # of a period
LONGEST: Final = 400 * _DAY
_ID: Final = b"commonhold mint v1\0"
_SIGNED: Final = b"commonhold blinded v1\0"


class Modulus(bytes):
    """An RSA key of 3072 bits; its exponent is 65537."""

    __slots__ = ()
    LENGTH: Final = 384


class Blank(bytes):
    """What is signed without being seen: as long as the key."""

    __slots__ = ()
    LENGTH: Final = Modulus.LENGTH


class MintId(bytes):
    """The SHA-256 of a mint, its blesser and its grid."""

    __slots__ = ()
    LENGTH: Final = 32

    def __str__(self) -> str:
        return self.hex()[:16]

    def __repr__(self) -> str:
        return f"MintId({self})"


@dataclass(frozen=True, slots=True)
class Mint:
    """What this key signs is worth `quota` bytes at one server, between these times (seconds since 1970)."""

    modulus: Modulus
    quota: int
    not_before: int
    not_after: int
    serial: int

    @property
    def encoded(self) -> bytes:
        """As it is on a list."""
        return fields.made(
            modulus=bytes(self.modulus), quota=self.quota, not_before=self.not_before, not_after=self.not_after,
            serial=self.serial,
        )  # fmt: skip

    def id(self, blesser: PublicKey, grid: GridId) -> MintId:
        """Return what tokens name it by."""
        return MintId(hashlib.sha256(_ID + blesser + grid + self.encoded).digest())


class Spot(NamedTuple):
    """What a blesser has one mint for, and no second one."""

    not_before: int
    quota: int


def spot(mint: Mint) -> Spot:
    """Return where a mint is."""
    return Spot(mint.not_before, mint.quota)


def parse_mint(data: bytes) -> Mint:
    """Return the mint that bytes are. Malformed also for one in another form than its own."""
    found = Fields("mint", data)
    mint = Mint(
        found.exactly("modulus", Modulus.LENGTH, Modulus),
        found.number("quota", MAX_QUOTA),
        found.number("not_before"),
        found.number("not_after"),
        found.number("serial"),
    )
    if not SHORTEST <= mint.not_after - mint.not_before <= LONGEST:
        raise found.refuse(f"its period is not {SHORTEST} to {LONGEST} seconds")
    if not mint.quota or not mint.modulus[0] & 0x80 or not mint.modulus[-1] & 1:
        raise found.refuse("it is worth nothing, or its modulus is even or too short")
    if mint.encoded != data:
        raise found.refuse("it is not in the one form that it has")
    return mint


@dataclass(frozen=True, slots=True)
class Token:
    """Whoever has the key `client` may keep at `server` what `mint` is worth. `prefix` is random; `signature` is the
    mint's, which saw none of it."""

    grid: GridId
    server: SpkiPin
    client: PublicKey
    blesser: PublicKey
    mint: MintId
    prefix: bytes
    signature: bytes

    PREFIX = 32

    @property
    def prepared(self) -> bytes:
        """What is signed."""
        return prepared(self.prefix, self.grid, self.server, self.client, self.mint)

    @property
    def encoded(self) -> bytes:
        """As it is kept, and shown at a door."""
        return fields.made(
            kind=KIND, v=VERSION, grid=bytes(self.grid), server=bytes(self.server), client=bytes(self.client),
            blesser=bytes(self.blesser), mint=bytes(self.mint), prefix=self.prefix, signature=self.signature,
        )  # fmt: skip


def prepared(prefix: bytes, grid: GridId, server: SpkiPin, client: PublicKey, mint: MintId) -> bytes:
    """Return what is signed of a token: all parts have one length."""
    return prefix + _SIGNED + grid + server + client + mint


def is_token(data: bytes) -> bool:
    """Whether bytes claim to be a token rather than a statement. Malformed for what is neither."""
    if len(data) > MAX_TOKEN:
        return False
    found = dagcbor.decode(data)
    return isinstance(found, dict) and found.get("kind") == KIND


def parse_token(data: bytes) -> Token:
    """Return the token that bytes are; that it is signed is not known from it."""
    if len(data) > MAX_TOKEN:
        raise Malformed(KIND, f"{len(data)} bytes, the limit is {MAX_TOKEN}")
    found = Fields(KIND, data)
    if found.text("kind", len(KIND)) != KIND:
        raise found.refuse("of another kind")
    if found.number("v") != VERSION:
        raise Unsupported(KIND, f"of another version than {VERSION}")
    return Token(
        found.exactly("grid", 32, GridId),
        found.exactly("server", 32, SpkiPin),
        found.exactly("client", LENGTH, PublicKey),
        found.exactly("blesser", LENGTH, PublicKey),
        found.exactly("mint", MintId.LENGTH, MintId),
        found.exactly("prefix", Token.PREFIX, bytes),
        found.exactly("signature", Modulus.LENGTH, bytes),
    )


@dataclass(frozen=True, slots=True)
class Terms:
    """What a blesser lets one account have: tokens of one denomination, so many for each period."""

    quota: int
    seats: int

    @property
    def encoded(self) -> bytes:
        """As it is answered and kept."""
        return fields.made(quota=self.quota, seats=self.seats)


MAX_SEATS: Final = 256


def parse_terms(data: bytes) -> Terms:
    """Return the terms that bytes are."""
    found = Fields("terms", data)
    return Terms(found.number("quota", MAX_QUOTA), found.number("seats", MAX_SEATS))
