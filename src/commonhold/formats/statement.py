"""Statements: what a key has signed, kept as the bytes that it signed. Pure, and of curves it knows nothing.

A statement has a kind, which is signed with it, so that one of another kind never passes for it. Its body is a map of
named fields. Whoever does not know a field passes over it and hands it on: the body is never written anew.
docs/spec/statement.md.
"""

from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import Any, Final, TypeGuard, TypeVar

from commonhold.formats import dagcbor, keys
from commonhold.formats.keys import PublicKey
from commonhold.formats.malformed import Malformed, Unsupported

VERSION: Final = 1
MAX_NUMBER: Final = (1 << 63) - 1
MAX_FIELDS: Final = 64
SIGNATURE: Final = 64

_T = TypeVar("_T", bound=bytes)
_ENVELOPE = frozenset(("body", "key", "kind", "signature"))


class Kind(StrEnum):
    """What a statement is about."""

    ANNOUNCEMENT = "announcement"
    BLESSING = "blessing"
    CREDENTIAL = "credential"
    REVOCATIONS = "revocations"
    WARRANT = "warrant"
    ENTRY = "entry"
    REQUEST = "request"

    @property
    def most(self) -> int:
        """The bytes that an encoded statement of this kind may have."""
        return _MOST.get(self, 4 << 10)


_MOST = {Kind.ANNOUNCEMENT: 32 << 10, Kind.REVOCATIONS: 1 << 20, Kind.REQUEST: 256 << 10}


@dataclass(frozen=True, slots=True)
class Statement:
    """What was signed, by which key. That the signature is the key's is not known from this value."""

    kind: Kind
    key: PublicKey
    body: bytes
    signature: bytes

    @property
    def message(self) -> bytes:
        """The bytes of which the signature is."""
        return message(self.kind, self.body)

    @property
    def encoded(self) -> bytes:
        """The statement as it is sent and kept."""
        return dagcbor.encode(
            {"body": self.body, "key": bytes(self.key), "kind": self.kind.value, "signature": self.signature}
        )


def message(kind: Kind, body: bytes) -> bytes:
    """Return what is signed for a body of one kind."""
    return b"commonhold " + kind.value.encode() + b"\n" + body


def decode(kind: Kind, data: bytes) -> Statement:
    """Return the statement of one kind that bytes are. Malformed for another kind, or beyond the kind's size."""
    if len(data) > kind.most:
        raise Malformed(kind, f"{len(data)} bytes, the limit is {kind.most}")
    found = dagcbor.decode(data)
    if not isinstance(found, dict) or set(found) != _ENVELOPE:
        raise Malformed(kind, f"not a map of {', '.join(sorted(_ENVELOPE))}")
    if found["kind"] != kind.value:
        raise Malformed(kind, f"a statement of another kind: {str(found['kind'])[:40]!r}")
    for name, length in (("key", keys.LENGTH), ("signature", SIGNATURE)):
        if not _plain(found[name]) or len(found[name]) != length:
            raise Malformed(kind, f"{name} is not {length} bytes")
    if not _plain(found["body"]):
        raise Malformed(kind, "body is not bytes")
    return Statement(kind, PublicKey(found["key"]), found["body"], found["signature"])


def _plain(value: Any) -> TypeGuard[bytes]:
    """Whether a value is bytes, and no link: a CID is bytes here, too, but would be written in another way."""
    return type(value) is bytes


def body(**fields: Any) -> bytes:
    """Return the body of these fields; those that are None are left out."""
    return dagcbor.encode({"v": VERSION, **{name: value for name, value in fields.items() if value is not None}})


class Fields:
    """The fields of a body. Each is asked for with its type and limits: Malformed where it is missing or beyond."""

    def __init__(self, kind: Kind, data: bytes) -> None:
        found = dagcbor.decode(data)
        if not isinstance(found, dict) or len(found) > MAX_FIELDS:
            raise Malformed(kind, f"its body is not a map of up to {MAX_FIELDS} fields")
        if type(found.get("v")) is not int or found["v"] != VERSION:
            raise Unsupported(kind, f"of version {str(found.get('v'))[:20]!r}, version {VERSION} is known")
        self._kind = kind
        self._found = found

    def has(self, name: str) -> bool:
        """Whether there is such a field."""
        return name in self._found

    def refuse(self, why: str) -> Malformed:
        """Return the error for fields that do not go together."""
        return Malformed(self._kind, why)

    def number(self, name: str, most: int = MAX_NUMBER) -> int:
        """A whole number from 0."""
        value = self._found.get(name)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
            raise self.refuse(f"{name} is no number from 0 to {most}")
        return value

    def text(self, name: str, most: int) -> str:
        """A text of 1 to `most` characters, all of which can be printed."""
        return self._text(name, self._found.get(name), most)

    def _text(self, name: str, value: Any, most: int) -> str:
        if not isinstance(value, str) or not 0 < len(value) <= most or not value.isprintable():
            raise self.refuse(f"{name} is no text of 1 to {most} characters that can be printed")
        return value

    def texts(self, name: str, count: int, most: int) -> tuple[str, ...]:
        """Up to `count` texts, none twice."""
        value = self._list(name, count)
        found = tuple(self._text(name, item, most) for item in value)
        if len(set(found)) != len(found):
            raise self.refuse(f"{name} names something twice")
        return found

    def exactly(self, name: str, length: int, made: type[_T]) -> _T:
        """So many bytes, as a type of theirs."""
        value = self._found.get(name)
        if not _plain(value) or len(value) != length:
            raise self.refuse(f"{name} is not {length} bytes")
        return made(value)

    def several(self, name: str, count: int, most: int) -> tuple[bytes, ...]:
        """Up to `count` times up to `most` bytes."""
        value = self._list(name, count)
        if not all(_plain(item) and len(item) <= most for item in value):
            raise self.refuse(f"{name} is not of bytes, up to {most} each")
        return tuple(value)

    def ascending(self, name: str, count: int) -> tuple[int, ...]:
        """Up to `count` numbers from 0, each greater than the one before."""
        value = self._list(name, count)
        if not all(isinstance(item, int) and not isinstance(item, bool) and 0 <= item <= MAX_NUMBER for item in value):
            raise self.refuse(f"{name} is not of numbers from 0 to {MAX_NUMBER}")
        if any(a >= b for a, b in pairwise(value)):
            raise self.refuse(f"{name} does not ascend")
        return tuple(value)

    def _list(self, name: str, count: int) -> list[Any]:
        value = self._found.get(name)
        if not isinstance(value, list) or len(value) > count:
            raise self.refuse(f"{name} is no list of up to {count}")
        return value
