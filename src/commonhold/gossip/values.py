"""What goes into the machine and what comes out of it: events, effects, and the bounds it keeps. Pure."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, NamedTuple, NewType, TypeAlias

from commonhold.formats.gossip import Subscription
from commonhold.formats.keys import PublicKey
from commonhold.formats.pin import GridId, SpkiPin
from commonhold.formats.statement import Kind
from commonhold.gossip.reading import Record

Peer = NewType("Peer", int)
"""One connection, as whoever makes connections numbers it; no number is used twice."""

Draw: TypeAlias = Callable[[], float]
"""Randomness: each call gives another number from 0 up to, but without, 1."""


class Contact(NamedTuple):
    """A server and how it is reached: hints as texts."""

    server: SpkiPin
    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a store takes. Sizes are in bytes, times in seconds."""

    room: int = 64 << 20  # of all statements, each with what it costs to keep (`records.OVERHEAD`)
    slots_per_key: int = 8
    bytes_per_key: int = 64 << 10  # of announcements; and of a list of revocations by a key that nobody asks for
    changes_per_key: int = 16  # at once, and then one more in each `change_seconds`
    change_seconds: float = 60.0
    newcomers: int = 4096  # statements in new slots: at once, and then one in each `newcomer_seconds`. So many that no
    newcomer_seconds: float = 0.1  # trusted key stands up for; and as many for which one does that somebody asks for
    ahead: int = 14 * 86400  # how far from now a statement's end may lie
    skew: int = 300  # by how much clocks may differ: so much longer is a statement kept


@dataclass(frozen=True, slots=True)
class Config:
    """Who somebody is among the others.

    `server` is their own pin, by which others may know and dial them; `trusted` are blessers whose servers go before
    all others where room is short, beside the grids' own.
    """

    grids: frozenset[GridId]
    introducer: bool
    server: SpkiPin | None = None
    configured: tuple[Contact, ...] = ()
    trusted: frozenset[PublicKey] = frozenset()
    outbound: int = 8  # connections that are dialled
    neighbours: int = 64  # other introducers that have dialled here
    subscribers: int = 256
    guests: int = 64  # who stay only for a moment, as there is no room: long enough to learn of others
    bounds: Bounds = field(default_factory=Bounds)


SUBSCRIBER_OUTBOUND: Final = 3


# ── Events ─────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Connected:
    """There is a connection. `server` is the pin that the other end has proven: of one that was dialled, always."""

    peer: Peer
    server: SpkiPin | None
    dialled: bool


@dataclass(frozen=True, slots=True)
class Failed:
    """A server that was to be dialled could not be reached."""

    server: SpkiPin


@dataclass(frozen=True, slots=True)
class Closed:
    """A connection is no more; not said where the machine hung up. `fault`: because of what the other end did."""

    peer: Peer
    fault: bool = False


@dataclass(frozen=True, slots=True)
class Received:
    """A message came, whole."""

    peer: Peer
    data: bytes


@dataclass(frozen=True, slots=True)
class Publish:
    """A statement of one's own is to be known to all: an announcement or a list of revocations, encoded."""

    kind: Kind
    data: bytes


@dataclass(frozen=True, slots=True)
class Restore:
    """A statement that was kept here before a restart. It is judged anew, but no change is counted against its key."""

    kind: Kind
    data: bytes


@dataclass(frozen=True, slots=True)
class Ask:
    """What is asked for from now on, in place of what was."""

    subscriptions: tuple[Subscription, ...]


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed: to be said when `Machine.wakes` is reached."""


Event: TypeAlias = Connected | Failed | Closed | Received | Publish | Restore | Ask | Tick


# ── Effects ────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Send:
    """A message is to be sent; after all that were to be sent there before."""

    peer: Peer
    data: bytes


@dataclass(frozen=True, slots=True)
class Dial:
    """A server is to be connected to: `Connected` or `Failed` is the answer."""

    contact: Contact


@dataclass(frozen=True, slots=True)
class HangUp:
    """A connection is to be closed. `fault`: because of what the other end did."""

    peer: Peer
    why: str
    fault: bool


@dataclass(frozen=True, slots=True)
class Learned:
    """A statement that was asked for is known now, in place of one of its slot that was; its signature is checked."""

    record: Record


@dataclass(frozen=True, slots=True)
class Contradicted:
    """A key has signed two statements with one sequence. Either way round, these prove it; the first one counts."""

    counts: Record
    other: Record


Effect: TypeAlias = Send | Dial | HangUp | Learned | Contradicted
