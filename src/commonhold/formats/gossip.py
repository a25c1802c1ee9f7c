"""What introducers and subscribers say to each other: maps in dag-cbor. Pure. docs/spec/gossip.md.

A message has a version and a type. Fields that a reader does not know are passed over, and so are types. Lists of ids
are packed into bytes, as there may be thousands of them.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar

from commonhold.formats import dagcbor
from commonhold.formats.blessing import MAX_WORD, Purpose, word
from commonhold.formats.keys import LENGTH, PublicKey
from commonhold.formats.malformed import Malformed, Unsupported
from commonhold.formats.pin import GridId

VERSION: Final = 1
MAX_MESSAGE: Final = (1 << 20) + (64 << 10)  # so that the largest statement has room
MAX_FIELDS: Final = 64
MAX_GRIDS: Final = 8
MAX_SUBSCRIPTIONS: Final = 16
MAX_BLESSERS: Final = 32
MAX_OFFERS: Final = 1024
MAX_RECORDS: Final = 1024
MAX_RANGES: Final = 256
MAX_LISTED: Final = 32  # ids of one range
MAX_HOPS: Final = 32

DIGEST: Final = 16
_SLOT: Final = 16
_ID: Final = _SLOT + 8 + DIGEST
_OFFER: Final = _ID + 1
_RANGE: Final = 2 * _SLOT + 4 + DIGEST
_WHAT: Final = "gossip"

_T = TypeVar("_T")


class Slot(bytes):
    """Where one publisher's statements replace each other: 16 bytes of a hash."""

    __slots__ = ()


class Digest(bytes):
    """The first 16 bytes of the SHA-256 of an encoded statement, or of what a range holds."""

    __slots__ = ()


class Id(bytes):
    """A statement's name: its slot, its sequence (8 bytes, the greatest first) and its digest. 40 bytes.

    Ids sort by slot, and those of one slot by which of them counts: the greatest.
    """

    __slots__ = ()

    @property
    def slot(self) -> Slot:
        """Where it belongs."""
        return Slot(self[:_SLOT])

    @property
    def sequence(self) -> int:
        """Its publisher's number for it."""
        return int.from_bytes(self[_SLOT:-DIGEST])

    @property
    def digest(self) -> Digest:
        """What its bytes hash to."""
        return Digest(self[-DIGEST:])


def id_of(slot: Slot, sequence: int, digest: Digest) -> Id:
    """Return the id of a statement."""
    return Id(slot + sequence.to_bytes(8) + digest)


FIRST: Final = Slot(bytes(_SLOT))
LAST: Final = Slot(b"\xff" * _SLOT)


class Range(NamedTuple):
    """What somebody has in the slots from `first` to `last`, both included: how many, and a digest of their ids."""

    first: Slot
    last: Slot
    size: int
    digest: Digest


class Part(NamedTuple):
    """All that somebody has in the slots from `first` to `last`, both included, in order."""

    first: Slot
    last: Slot
    ids: tuple[Id, ...]


class Subscription(NamedTuple):
    """Who is asked for: servers of one purpose in a grid for which one of these keys stands up."""

    grid: GridId
    purpose: Purpose
    blessers: frozenset[PublicKey]


@dataclass(frozen=True, slots=True)
class Hello:
    """The first message each way: whether whoever says it passes things on, and the grids that are meant."""

    introducer: bool
    grids: tuple[GridId, ...]


@dataclass(frozen=True, slots=True)
class Subscribe:
    """What is asked for from now on, in place of what was."""

    subscriptions: tuple[Subscription, ...]


@dataclass(frozen=True, slots=True)
class Have:
    """Statements that can be had of whoever says so; beside each, over how many they came there."""

    offers: tuple[tuple[Id, int], ...]


@dataclass(frozen=True, slots=True)
class Want:
    """Statements that are asked for."""

    ids: tuple[Id, ...]


@dataclass(frozen=True, slots=True)
class Records:
    """Statements, as the bytes that they came as."""

    announcements: tuple[bytes, ...]
    revocations: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Ranges:
    """What whoever says so has in some ranges, for the other to compare."""

    ranges: tuple[Range, ...]


@dataclass(frozen=True, slots=True)
class Listing:
    """All that whoever says so has in some ranges."""

    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Unknown:
    """A message of a type that is not known here."""

    type: str


Message: TypeAlias = Hello | Subscribe | Have | Want | Records | Ranges | Listing | Unknown


def encode(message: Message) -> bytes:
    """Return the bytes of a message. Malformed beyond MAX_MESSAGE."""
    match message:
        case Hello():
            fields: dict[str, Any] = {
                "introducer": message.introducer,
                "grids": [bytes(grid) for grid in message.grids],
            }
        case Subscribe():
            fields = {"subscriptions": [_subscription(one) for one in message.subscriptions]}
        case Have():
            fields = {"ids": b"".join([found + bytes((hops,)) for found, hops in message.offers])}
        case Want():
            fields = {"ids": b"".join(message.ids)}
        case Records():
            fields = {"announcements": list(message.announcements), "revocations": list(message.revocations)}
        case Ranges():
            fields = {"ranges": b"".join(a + b + size.to_bytes(4) + digest for a, b, size, digest in message.ranges)}
        case Listing():
            fields = {"parts": [b"".join((part.first, part.last, *part.ids)) for part in message.parts]}
        case Unknown():
            fields = {}
    name = message.type if isinstance(message, Unknown) else type(message).__name__.lower()
    data = dagcbor.encode({"v": VERSION, "type": name, **fields})
    if len(data) > MAX_MESSAGE:
        raise Malformed(_WHAT, f"{len(data)} bytes, the limit is {MAX_MESSAGE}")
    return data


def _subscription(one: Subscription) -> dict[str, Any]:
    return {
        "grid": bytes(one.grid),
        "purpose": str(one.purpose),
        "blessers": [bytes(key) for key in sorted(one.blessers)],
    }


def decode(data: bytes) -> Message:
    """Return the message that bytes are. Malformed for all else; Unsupported for another version."""
    if len(data) > MAX_MESSAGE:
        raise Malformed(_WHAT, f"{len(data)} bytes, the limit is {MAX_MESSAGE}")
    found = dagcbor.decode(data)
    if not isinstance(found, dict) or len(found) > MAX_FIELDS:
        raise Malformed(_WHAT, f"not a map of up to {MAX_FIELDS} fields")
    if found.get("v") != VERSION or isinstance(found["v"], bool):
        raise Unsupported(_WHAT, f"of version {str(found.get('v'))[:20]}, version {VERSION} is known")
    match found.get("type"):
        case "hello":
            return Hello(_flag(found), tuple(_keys(found, "grids", MAX_GRIDS, GridId)))
        case "subscribe":
            return Subscribe(tuple(_subscribed(one) for one in _list(found, "subscriptions", MAX_SUBSCRIPTIONS)))
        case "have":
            return Have(_offers(_packed(found, "ids", _OFFER, MAX_OFFERS)))
        case "want":
            raw = _packed(found, "ids", _ID, MAX_OFFERS)
            return Want(tuple(Id(raw[at : at + _ID]) for at in range(0, len(raw), _ID)))
        case "records":
            return Records(_statements(found, "announcements"), _statements(found, "revocations"))
        case "ranges":
            return Ranges(_ranges(_packed(found, "ranges", _RANGE, MAX_RANGES)))
        case "listing":
            parts = tuple(_part(one) for one in _list(found, "parts", MAX_RANGES))
            _follow(parts)
            return Listing(parts)
        case str(other) if 0 < len(other) <= MAX_WORD:
            return Unknown(other)
        case _:
            raise Malformed(_WHAT, "without a type")


def _flag(found: dict[str, Any]) -> bool:
    value = found.get("introducer")
    if not isinstance(value, bool):
        raise Malformed(_WHAT, "introducer is neither true nor false")
    return value


def _list(found: dict[str, Any], name: str, most: int) -> list[Any]:
    value = found.get(name)
    if not isinstance(value, list) or len(value) > most:
        raise Malformed(_WHAT, f"{name} is no list of up to {most}")
    return value


def _keys(found: dict[str, Any], name: str, most: int, made: type[_T]) -> Iterable[_T]:
    value = _list(found, name, most)
    if not all(isinstance(key, bytes) and len(key) == LENGTH for key in value) or len(set(value)) != len(value):
        raise Malformed(_WHAT, f"{name} are not of {LENGTH} bytes each, none twice")
    return map(made, value)


def _packed(found: dict[str, Any], name: str, size: int, most: int) -> bytes:
    value = found.get(name)
    if not isinstance(value, bytes) or len(value) % size or len(value) > size * most:
        raise Malformed(_WHAT, f"{name} is not up to {most} times {size} bytes")
    return value


def _subscribed(one: Any) -> Subscription:
    if not isinstance(one, dict) or len(one) > MAX_FIELDS:
        raise Malformed(_WHAT, f"a subscription is no map of up to {MAX_FIELDS} fields")
    grid, purpose = one.get("grid"), one.get("purpose")
    if not isinstance(grid, bytes) or len(grid) != LENGTH or not isinstance(purpose, str):
        raise Malformed(_WHAT, "a subscription without grid or purpose")
    blessers = frozenset(_keys(one, "blessers", MAX_BLESSERS, PublicKey))
    return Subscription(GridId(grid), Purpose(word("purpose", purpose)), blessers)


def _offers(raw: bytes) -> tuple[tuple[Id, int], ...]:
    offers = tuple([(Id(raw[at : at + _ID]), raw[at + _ID]) for at in range(0, len(raw), _OFFER)])
    if any(hops > MAX_HOPS for _, hops in offers):
        raise Malformed(_WHAT, f"more than {MAX_HOPS} hops")
    return offers


def _statements(found: dict[str, Any], name: str) -> tuple[bytes, ...]:
    value = _list(found, name, MAX_RECORDS)
    if not all(isinstance(one, bytes) for one in value):
        raise Malformed(_WHAT, f"{name} are not bytes")
    return tuple(value)


def _ranges(raw: bytes) -> tuple[Range, ...]:
    found = tuple(
        Range(
            Slot(raw[at : at + 16]),
            Slot(raw[at + 16 : at + 32]),
            int.from_bytes(raw[at + 32 : at + 36]),
            Digest(raw[at + 36 : at + _RANGE]),
        )
        for at in range(0, len(raw), _RANGE)
    )
    _follow(found)
    return found


def _part(raw: Any) -> Part:
    if not isinstance(raw, bytes) or len(raw) < 2 * _SLOT or (len(raw) - 2 * _SLOT) % _ID:
        raise Malformed(_WHAT, "a part is not two slots and ids")
    first, last = Slot(raw[:_SLOT]), Slot(raw[_SLOT : 2 * _SLOT])
    ids = tuple(Id(raw[at : at + _ID]) for at in range(2 * _SLOT, len(raw), _ID))
    if len(ids) > MAX_LISTED:
        raise Malformed(_WHAT, f"{len(ids)} ids in a part, the limit is {MAX_LISTED}")
    slots = [found[:_SLOT] for found in ids]
    if slots and (slots[0] < first or slots[-1] > last):
        raise Malformed(_WHAT, "a part with ids that are not of its range")
    if any(a >= b for a, b in pairwise(slots)):
        raise Malformed(_WHAT, "a part that does not ascend")
    return Part(first, last, ids)


def _follow(ranges: Iterable[Range | Part]) -> None:
    """Refuse ranges that are out of order or overlap, as each is answered."""
    before = b""
    for one in ranges:
        if one.first > one.last or one.first <= before:
            raise Malformed(_WHAT, "ranges that do not ascend")
        before = one.last
