"""What a server and a relay say to each other, as bytes. Pure. docs/spec/relay.md.

The server's one message is a statement, `Call`; the relay's are `Granted`, `Refused` and `Knock`; what the server sends
in answer to a knock is a preface with the knock's token.
"""

from dataclasses import dataclass
from typing import Final, TypeAlias

from commonhold.formats import fields
from commonhold.formats.hint import MAX_PORT
from commonhold.formats.malformed import Malformed
from commonhold.formats.pin import SpkiPin
from commonhold.formats.statement import Fields, Kind, Statement, body

MAX_WHY: Final = 200
MAX_SAID: Final = 4096  # bytes of a message
_MAGIC: Final = b"hold-relay/1\n"


class Token(bytes):
    """What answers one knock, once: 32 random bytes."""

    __slots__ = ()
    LENGTH: Final = 32


PREFACE: Final = len(_MAGIC) + Token.LENGTH  # bytes


@dataclass(frozen=True, slots=True)
class Call:
    """Signed by a server's key: it calls this relay, by `connection`; seconds since 1970."""

    relay: SpkiPin
    connection: SpkiPin
    time: int

    @property
    def body(self) -> bytes:
        """What is signed of it."""
        return body(relay=bytes(self.relay), connection=bytes(self.connection), time=self.time)


def parse_call(statement: Statement) -> Call:
    """Return what a server signed."""
    found = Fields(Kind.CALL, statement.body)
    return Call(found.exactly("relay", 32, SpkiPin), found.exactly("connection", 32, SpkiPin), found.number("time"))


@dataclass(frozen=True, slots=True)
class Granted:
    """A server's port at the relay, where clients come, and the port where it answers knocks."""

    port: int
    answers: int

    def __post_init__(self) -> None:
        if not (0 < self.port <= MAX_PORT and 0 < self.answers <= MAX_PORT):
            raise Malformed("relay's word", f"ports are from 1 to {MAX_PORT}")

    @property
    def encoded(self) -> bytes:
        """As it is sent."""
        return fields.made(port=self.port, answers=self.answers)


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a server gets no port."""

    why: str

    @property
    def encoded(self) -> bytes:
        """As it is sent."""
        return fields.made(refused=self.why[:MAX_WHY])


@dataclass(frozen=True, slots=True)
class Knock:
    """A client has come."""

    token: Token

    @property
    def encoded(self) -> bytes:
        """As it is sent."""
        return fields.made(token=bytes(self.token))


Word: TypeAlias = Granted | Refused | Knock


def decode(data: bytes) -> Word:
    """Return a relay's message."""
    if len(data) > MAX_SAID:
        raise Malformed("relay's word", f"{len(data)} bytes, the limit is {MAX_SAID}")
    found = fields.Fields("relay's word", data)
    if found.has("token"):
        return Knock(found.exactly("token", Token.LENGTH, Token))
    if found.has("refused"):
        return Refused(found.text("refused", MAX_WHY))
    return Granted(found.number("port", MAX_PORT), found.number("answers", MAX_PORT))


def preface(token: Token) -> bytes:
    """Return what a server sends first where it answers."""
    return _MAGIC + token


def decode_preface(data: bytes) -> Token:
    """Return the token of a whole preface."""
    if len(data) != PREFACE or not data.startswith(_MAGIC):
        raise Malformed("preface", "not that of a server that answers a knock")
    return Token(data[len(_MAGIC) :])
