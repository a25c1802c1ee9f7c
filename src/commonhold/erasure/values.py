"""What shares are made from and kept by: seeds, servers, salts, shapes. Pure. docs/spec/pack.md."""

from dataclasses import dataclass, field
from typing import NamedTuple, NewType

from commonhold.crypto.derive import derive
from commonhold.formats.malformed import Malformed
from commonhold.formats.pin import SpkiPin
from commonhold.formats.shareindex import ShareIndex

SEED = 32
PIN = 32
SALT = 16
MAX_SHARES = 255

_KEY_LABEL = b"commonhold share v1 key\0"
_INDEX_LABEL = b"commonhold share v1 index\0"
_PADDING_LABEL = b"commonhold share v1 padding\0"

Salt = NewType("Salt", bytes)  # random, and new for every share that is written


@dataclass(frozen=True, slots=True)
class PackSeed:
    """What all of one pack's shares are derived from: 32 secret bytes. Nothing prints them by accident."""

    raw: bytes = field(repr=False)

    def __post_init__(self) -> None:
        _require("seed", self.raw, SEED)

    def index(self, server: SpkiPin) -> ShareIndex:
        """The storage index of the share at a server."""
        return ShareIndex(derive(self.raw, _INDEX_LABEL + _require("pin", server, PIN)))

    def key(self, place: "Place") -> bytes:
        """The key of a share that is written once."""
        return derive(self.raw, _KEY_LABEL + place.server + place.salt)

    def padding(self, server: SpkiPin, most: int) -> int:
        """How many zeros, at most so many, the share at a server ends with."""
        number = derive(self.raw, _PADDING_LABEL + _require("pin", server, PIN))[:8]
        return int.from_bytes(number, "little") % (most + 1)


@dataclass(frozen=True, slots=True)
class Place:
    """Where one share goes. Whoever makes one owes a salt that no other share has, here or elsewhere, ever."""

    server: SpkiPin
    salt: Salt

    def __post_init__(self) -> None:
        _require("pin", self.server, PIN)
        _require("salt", self.salt, SALT)


def _require(what: str, raw: bytes, length: int) -> bytes:
    if len(raw) != length:
        raise Malformed(what, f"{len(raw)} bytes, not {length}")
    return raw


@dataclass(frozen=True, slots=True)
class Shape:
    """How many shares there are, and how many of them are enough."""

    k: int
    n: int

    def __post_init__(self) -> None:
        if not 1 <= self.k <= self.n <= MAX_SHARES:
            raise Malformed("shape", f"{self.k} of {self.n} shares; it is 1 ≤ k ≤ n ≤ {MAX_SHARES}")

    def __str__(self) -> str:
        return f"{self.k}-of-{self.n}"


DEFAULT = Shape(3, 5)


class Piece(NamedTuple):
    """One of the n pieces of a segment: the number of its share, and its bytes, in a buffer that can be written to."""

    number: int
    data: memoryview
