"""Charges: what an agent hands to its host's tender, so that what its user keeps on a grid is looked after. Pure.

No name and no key of the user's is in it: packs by their seeds, which open no block; and for each server what lets the
tender's own key in there. docs/spec/tender.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from commonhold.formats.fields import Fields, made
from commonhold.formats.malformed import Malformed
from commonhold.formats.pack import MAX_PACK
from commonhold.formats.pin import GridId, SpkiPin
from commonhold.formats.statement import Kind

VERSION: Final = 1
MAX_CHARGE: Final = 8 << 20
MAX_SEATS: Final = 256
MAX_CREDENTIALS: Final = 4  # of one server
MAX_SETS: Final = 1024
MAX_PACKS: Final = 65_536  # in all
MAX_TEXT: Final = 64 << 10  # of a membership, and of an override
MAX_LISTS: Final = 32
_SEED: Final = 32
_MAX_SEAT: Final = (MAX_CREDENTIALS + 1) * Kind.CREDENTIAL.most + 256


@dataclass(frozen=True, slots=True)
class Seat:
    """What lets a tender in at one server: the account's credentials, and a warrant for the key that it has there."""

    server: SpkiPin
    credentials: tuple[bytes, ...]
    warrant: bytes

    @property
    def encoded(self) -> bytes:
        """As it is part of a charge."""
        return made(server=bytes(self.server), credentials=list(self.credentials), warrant=self.warrant)


@dataclass(frozen=True, slots=True)
class Bundle:
    """One pack to be looked after: its seed, its bytes, and of how many shares any k are enough."""

    seed: bytes = field(repr=False)
    length: int
    k: int
    n: int


@dataclass(frozen=True, slots=True)
class Entrusted:
    """A set: its packs, the inventory first, whose seed is the set's. `made`: when it was kept; `until`: its leases.
    Both in seconds since 1970."""

    made: int
    until: int
    packs: tuple[Bundle, ...]

    @property
    def seed(self) -> bytes:
        """The set's."""
        return self.packs[0].seed

    @property
    def encoded(self) -> bytes:
        """As it is part of a charge."""
        return made(
            made=self.made, until=self.until, seeds=b"".join(one.seed for one in self.packs),
            lengths=[one.length for one in self.packs], shapes=[one.k << 8 | one.n for one in self.packs],
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Charge:
    """All that is handed over for one grid, good until a second since 1970.

    `membership` is the text of a `grid.toml` without an account, `override` that of an `override.yaml`; `shown` are
    announcements, `lists` revocation lists, each encoded.
    """

    grid: GridId
    until: int
    membership: bytes
    override: bytes
    lists: tuple[bytes, ...]
    shown: tuple[bytes, ...]
    seats: tuple[Seat, ...]
    sets: tuple[Entrusted, ...]

    @property
    def encoded(self) -> bytes:
        """The charge as it is handed over. Malformed for one that nobody would take."""
        data = made(
            v=VERSION, grid=bytes(self.grid), until=self.until, membership=self.membership, override=self.override,
            lists=list(self.lists), shown=list(self.shown), seats=[one.encoded for one in self.seats],
            sets=[one.encoded for one in self.sets],
        )  # fmt: skip
        if len(data) > MAX_CHARGE:
            raise Malformed("charge", f"{len(data)} bytes, the limit is {MAX_CHARGE}")
        return data


def decode(data: bytes) -> Charge:
    """Return the charge that bytes are."""
    if len(data) > MAX_CHARGE:
        raise Malformed("charge", f"{len(data)} bytes, the limit is {MAX_CHARGE}")
    fields = Fields("charge", data)
    if fields.number("v") != VERSION:
        raise fields.refuse("of a version that is not known")
    seats = tuple(_seat(raw) for raw in fields.several("seats", MAX_SEATS, _MAX_SEAT))
    sets = tuple(_set(raw) for raw in fields.several("sets", MAX_SETS, MAX_CHARGE))
    if _twice([one.server for one in seats]) or _twice([one.seed for one in sets]):
        raise fields.refuse("it names a server or a set twice")
    if sum(len(one.packs) for one in sets) > MAX_PACKS:
        raise fields.refuse(f"over {MAX_PACKS} packs")
    return Charge(
        fields.exactly("grid", 32, GridId),
        fields.number("until"),
        fields.raw("membership", MAX_TEXT),
        fields.raw("override", MAX_TEXT),
        fields.several("lists", MAX_LISTS, Kind.REVOCATIONS.most),
        fields.several("shown", MAX_SEATS, Kind.ANNOUNCEMENT.most),
        seats,
        sets,
    )


def _seat(raw: bytes) -> Seat:
    fields = Fields("charge", raw)
    credentials = fields.several("credentials", MAX_CREDENTIALS, Kind.CREDENTIAL.most)
    if not credentials:
        raise fields.refuse("a server without a credential")
    return Seat(fields.exactly("server", 32, SpkiPin), credentials, fields.raw("warrant", Kind.WARRANT.most))


def _set(raw: bytes) -> Entrusted:
    fields = Fields("charge", raw)
    seeds = fields.raw("seeds", MAX_PACKS * _SEED)
    columns = [seeds[at : at + _SEED] for at in range(0, len(seeds), _SEED)]
    lengths, shapes = fields.numbers("lengths", MAX_PACKS), fields.numbers("shapes", MAX_PACKS)
    if not columns or len(seeds) % _SEED or not len(columns) == len(lengths) == len(shapes):
        raise fields.refuse("its columns do not go together")
    packs = tuple(_bundle(*row) for row in zip(columns, lengths, shapes, strict=True))
    return Entrusted(fields.number("made"), fields.number("until"), packs)


def _bundle(seed: bytes, length: int, shape: int) -> Bundle:
    k, n = divmod(shape, 256)
    if not 0 < length <= MAX_PACK or not 1 <= k <= n:
        raise Malformed("charge", "a pack that cannot be")
    return Bundle(seed, length, k, n)


def _twice(found: Sequence[bytes]) -> bool:
    return len(set(found)) != len(found)
