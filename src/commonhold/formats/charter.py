"""Charters: what a grid is to whoever takes part in it: whose word counts for what, and where to reach them. Pure.

It is no statement: nobody signs it. Whoever invites somebody hands it over, and is believed. docs/spec/enrolment.md.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from commonhold.formats import hint
from commonhold.formats.announcement import MAX_ADDRESS
from commonhold.formats.blessing import MAX_CLASSES, MAX_WORD, Purpose, word
from commonhold.formats.fields import Fields, made
from commonhold.formats.keys import LENGTH, PublicKey
from commonhold.formats.malformed import Malformed
from commonhold.formats.pin import GridId, SpkiPin

MAX_BLESSERS: Final = 16
MAX_INTRODUCERS: Final = 16
MAX_ADDRESSES: Final = 8
MAX_PURPOSES: Final = 8
_MAX_PART: Final = 4 << 10


@dataclass(frozen=True, slots=True)
class Introducer:
    """A server that passes announcements on: who it is, and where, as hints."""

    pin: SpkiPin
    addresses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Blesser:
    """A key whose word may count, the server that speaks for it, and where that is. `pin` is of another key: the one
    that signs is not shown to TLS."""

    key: PublicKey
    pin: SpkiPin
    addresses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Quorum:
    """So many of these keys must agree; on all of these classes, beside fresh revocation lists if `fresh`."""

    blessers: tuple[PublicKey, ...]
    needed: int = 1
    classes: tuple[str, ...] = ()
    fresh: bool = True


@dataclass(frozen=True, slots=True)
class Charter:
    """A grid: for each purpose of a server who blesses it, and for accounts whose credentials count. `name` is what the
    one who wrote it calls the grid; others may call it otherwise."""

    grid: GridId
    name: str
    blessers: tuple[Blesser, ...]
    purposes: tuple[tuple[Purpose, Quorum], ...]
    accounts: Quorum
    introducers: tuple[Introducer, ...] = ()

    def __post_init__(self) -> None:
        word("grid's name", self.name)
        _within("blessers", len(self.blessers), MAX_BLESSERS, least=1)
        _within("introducers", len(self.introducers), MAX_INTRODUCERS)
        _within("purposes", len(self.purposes), MAX_PURPOSES, least=1)
        keys = {one.key for one in self.blessers}
        if len(keys) != len(self.blessers) or len(dict(self.purposes)) != len(self.purposes):
            raise Malformed("charter", "it names a blesser or a purpose twice")
        for quorum in (self.accounts, *(quorum for _, quorum in self.purposes)):
            _check(quorum, keys)
        for addresses in (*(one.addresses for one in self.blessers), *(one.addresses for one in self.introducers)):
            _check_addresses(addresses)

    def blesser(self, key: PublicKey) -> Blesser:
        """Return who has a key. Malformed for one that is not named."""
        for one in self.blessers:
            if one.key == key:
                return one
        raise Malformed("charter", f"it says nothing of the blesser {GridId(key)}")

    @property
    def encoded(self) -> bytes:
        """All of it, as a code carries it: keys once each, and by their places in the list from then on."""
        places = {one.key: place for place, one in enumerate(self.blessers)}
        rules = groupby(self.purposes, key=lambda one: one[1])
        return made(
            grid=bytes(self.grid), name=self.name, blessers=[_blesser(one) for one in self.blessers],
            rules=[_rule(quorum, places, [str(one) for one, _ in purposes]) for quorum, purposes in rules],
            accounts=_rule(self.accounts, places, None),
            introducers=[_introducer(one) for one in self.introducers] or None,
        )  # fmt: skip


def decode(data: bytes) -> Charter:
    """Return the charter that bytes are."""
    fields = Fields("charter", data)
    blessers = tuple(_read_blesser(raw) for raw in fields.several("blessers", MAX_BLESSERS, _MAX_PART))
    rules = [_read_rule(raw, blessers) for raw in fields.several("rules", MAX_PURPOSES, _MAX_PART)]
    others = fields.several("introducers", MAX_INTRODUCERS, _MAX_PART) if fields.has("introducers") else ()
    return Charter(
        fields.exactly("grid", LENGTH, GridId),
        fields.text("name", MAX_WORD),
        blessers,
        tuple((purpose, quorum) for quorum, purposes in rules for purpose in purposes),
        _read_rule(fields.raw("accounts", _MAX_PART), blessers)[0],
        tuple(_read_introducer(raw) for raw in others),
    )


def _check(quorum: Quorum, known: set[PublicKey]) -> None:
    if len(set(quorum.blessers)) != len(quorum.blessers) or not set(quorum.blessers) <= known:
        raise Malformed("charter", "a rule names a blesser twice, or one that is not known")
    if not 0 < quorum.needed <= len(quorum.blessers):
        raise Malformed("charter", f"{quorum.needed} of {len(quorum.blessers)} blessers can never agree")
    _within("classes", len(quorum.classes), MAX_CLASSES)
    for name in quorum.classes:
        word("class", name)


def _check_addresses(addresses: tuple[str, ...]) -> None:
    _within("addresses", len(addresses), MAX_ADDRESSES)
    for text in addresses:
        if len(text) > MAX_ADDRESS:
            raise Malformed("charter", f"an address of {len(text)} characters, the limit is {MAX_ADDRESS}")
        hint.parse(text)


def _within(what: str, count: int, most: int, least: int = 0) -> None:
    if not least <= count <= most:
        raise Malformed("charter", f"{count} {what}, not {least} to {most}")


def _blesser(one: Blesser) -> bytes:
    return made(key=bytes(one.key), pin=bytes(one.pin), addresses=list(one.addresses))


def _introducer(one: Introducer) -> bytes:
    return made(pin=bytes(one.pin), addresses=list(one.addresses))


def _rule(one: Quorum, places: Mapping[PublicKey, int], purposes: list[str] | None) -> bytes:
    """A quorum, and what it is for. What is usual is left out."""
    return made(
        purposes=purposes,
        blessers=[places[key] for key in one.blessers],
        needed=None if one.needed == 1 else one.needed,
        classes=list(one.classes) or None,
        fresh=None if one.fresh else 0,
    )


def _read_blesser(raw: bytes) -> Blesser:
    fields = Fields("charter", raw)
    key, pin = fields.exactly("key", LENGTH, PublicKey), fields.exactly("pin", LENGTH, SpkiPin)
    return Blesser(key, pin, fields.texts("addresses", MAX_ADDRESSES, MAX_ADDRESS))


def _read_introducer(raw: bytes) -> Introducer:
    fields = Fields("charter", raw)
    return Introducer(fields.exactly("pin", LENGTH, SpkiPin), fields.texts("addresses", MAX_ADDRESSES, MAX_ADDRESS))


def _read_rule(raw: bytes, blessers: tuple[Blesser, ...]) -> tuple[Quorum, tuple[Purpose, ...]]:
    fields = Fields("charter", raw)
    places = fields.numbers("blessers", MAX_BLESSERS)
    if any(place >= len(blessers) for place in places):
        raise fields.refuse("a rule names a blesser that is not there")
    purposes = fields.texts("purposes", MAX_PURPOSES, MAX_WORD) if fields.has("purposes") else ()
    quorum = Quorum(
        tuple(blessers[place].key for place in places),
        fields.number("needed", MAX_BLESSERS) if fields.has("needed") else 1,
        fields.texts("classes", MAX_CLASSES, MAX_WORD) if fields.has("classes") else (),
        bool(fields.number("fresh", 1)) if fields.has("fresh") else True,
    )
    return quorum, tuple(Purpose(word("purpose", text)) for text in purposes)


def of_one(grid: GridId, name: str, blesser: Blesser, purposes: Iterable[Purpose]) -> Charter:
    """Return the charter of a grid with one blesser, whose word is enough for everything."""
    alone = Quorum((blesser.key,))
    return Charter(grid, name, (blesser,), tuple((purpose, alone) for purpose in purposes), alone)
