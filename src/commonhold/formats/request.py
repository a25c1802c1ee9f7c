"""Requests: what is asked of a blesser. A server asks to be blessed, an account for credentials or tokens. Pure.

Signed by the server's own key, or by the account's key at this blesser. docs/spec/statement.md.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Final, NamedTuple, TypeAlias

from commonhold.formats import blinded
from commonhold.formats.announcement import MAX_ADDRESS, MAX_ADDRESSES
from commonhold.formats.blessing import MAX_WORD, Purpose, word
from commonhold.formats.blinded import Blank, MintId
from commonhold.formats.keys import LENGTH, PublicKey
from commonhold.formats.pin import GridId, SpkiPin, pin_of
from commonhold.formats.statement import Fields, Kind, Statement, body

MAX_PURPOSES: Final = 8
MAX_SEATS: Final = 1024
MAX_ACCOUNT: Final = 64  # characters of an account's name
_SEAT: Final = 2 * LENGTH
_ORDER: Final = MintId.LENGTH + Blank.LENGTH


class Ticket(bytes):
    """An invitation: 32 secret random bytes. Whoever brings it is let in without being asked who they are."""

    __slots__ = ()
    LENGTH: Final = 32

    def __repr__(self) -> str:
        return "Ticket()"

    def __str__(self) -> str:
        return "a ticket"


class Seat(NamedTuple):
    """The key that an account has at one server."""

    server: SpkiPin
    client: PublicKey


@dataclass(frozen=True, slots=True)
class ServerRequest:
    """A server asks `blesser` to bless it for these purposes; `addresses` are where it can be looked at."""

    grid: GridId
    blesser: PublicKey
    time: int
    server: SpkiPin
    purposes: tuple[Purpose, ...]
    addresses: tuple[str, ...] = ()
    ticket: Ticket | None = None

    @property
    def body(self) -> bytes:
        """What is signed of it."""
        return body(
            grid=bytes(self.grid), blesser=bytes(self.blesser), time=self.time, server=bytes(self.server),
            purposes=[str(purpose) for purpose in self.purposes], addresses=list(self.addresses),
            ticket=None if self.ticket is None else bytes(self.ticket),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class AccountRequest:
    """An account asks `blesser` for a credential at each of these servers, ascending by their pins."""

    grid: GridId
    blesser: PublicKey
    time: int
    account: str
    seats: tuple[Seat, ...]
    ticket: Ticket | None = None

    @property
    def body(self) -> bytes:
        """What is signed of it."""
        return body(
            grid=bytes(self.grid), blesser=bytes(self.blesser), time=self.time, account=self.account,
            seats=[seat.server + seat.client for seat in self.seats],
            ticket=None if self.ticket is None else bytes(self.ticket),
        )  # fmt: skip


class Order(NamedTuple):
    """What is to be signed by one mint, unseen."""

    mint: MintId
    blank: Blank


@dataclass(frozen=True, slots=True)
class BlindRequest:
    """An account asks `blesser` on which terms it has tokens, and to sign these blanks."""

    grid: GridId
    blesser: PublicKey
    time: int
    account: str
    orders: tuple[Order, ...] = ()
    ticket: Ticket | None = None

    @property
    def body(self) -> bytes:
        """What is signed of it."""
        return body(
            grid=bytes(self.grid), blesser=bytes(self.blesser), time=self.time, account=self.account,
            blanks=[order.mint + order.blank for order in self.orders],
            ticket=None if self.ticket is None else bytes(self.ticket),
        )  # fmt: skip


Request: TypeAlias = ServerRequest | AccountRequest | BlindRequest


def parse(statement: Statement) -> Request:
    """Return what is asked. Malformed if a server's is not signed by the server, or if it asks for both."""
    fields = Fields(Kind.REQUEST, statement.body)
    if fields.has("server") == fields.has("account") or (fields.has("blanks") and fields.has("seats")):
        raise fields.refuse("either a server or an account asks, and an account for one thing")
    grid, blesser = fields.exactly("grid", 32, GridId), fields.exactly("blesser", LENGTH, PublicKey)
    time = fields.number("time")
    ticket = fields.exactly("ticket", Ticket.LENGTH, Ticket) if fields.has("ticket") else None
    if fields.has("blanks"):
        return BlindRequest(grid, blesser, time, fields.text("account", MAX_ACCOUNT), _orders(fields), ticket)
    if fields.has("account"):
        return AccountRequest(grid, blesser, time, fields.text("account", MAX_ACCOUNT), _seats(fields), ticket)
    server = fields.exactly("server", 32, SpkiPin)
    if pin_of(statement.key) != server:
        raise fields.refuse("signed by another key than the server's")
    purposes = tuple(Purpose(word("purpose", text)) for text in fields.texts("purposes", MAX_PURPOSES, MAX_WORD))
    if not purposes:
        raise fields.refuse("it asks for no purpose")
    addresses = fields.texts("addresses", MAX_ADDRESSES, MAX_ADDRESS)
    return ServerRequest(grid, blesser, time, server, purposes, addresses, ticket)


def _seats(fields: Fields) -> tuple[Seat, ...]:
    raw = fields.several("seats", MAX_SEATS, _SEAT)
    if not raw or any(len(item) != _SEAT for item in raw):
        raise fields.refuse(f"seats is no list of a pin and a key, {_SEAT} bytes each")
    seats = tuple(Seat(SpkiPin(item[:LENGTH]), PublicKey(item[LENGTH:])) for item in raw)
    if any(one.server >= other.server for one, other in pairwise(seats)):
        raise fields.refuse("seats do not ascend by their servers")
    return seats


def _orders(fields: Fields) -> tuple[Order, ...]:
    raw = fields.several("blanks", blinded.MAX_SEATS, _ORDER)
    if any(len(item) != _ORDER for item in raw) or len(set(raw)) != len(raw):
        raise fields.refuse(f"blanks is no list of a mint and a blank, {_ORDER} bytes each, or names one twice")
    return tuple(Order(MintId(item[: MintId.LENGTH]), Blank(item[MintId.LENGTH :])) for item in raw)
