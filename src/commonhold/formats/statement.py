"""Statements: what a key has signed, kept as the bytes that it signed. Pure, and of curves it knows nothing.

A statement has a kind, which is signed with it, so that one of another kind never passes for it. Its body is a map of
named fields. Whoever does not know a field passes over it and hands it on: the body is never written anew.
docs/spec/statement.md.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from commonhold.formats import dagcbor, fields, keys
from commonhold.formats.keys import PublicKey
from commonhold.formats.malformed import Malformed, Unsupported

VERSION: Final = 1
SIGNATURE: Final = 64

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
    CALL = "call"

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
        if not fields.plain(found[name]) or len(found[name]) != length:
            raise Malformed(kind, f"{name} is not {length} bytes")
    if not fields.plain(found["body"]):
        raise Malformed(kind, "body is not bytes")
    return Statement(kind, PublicKey(found["key"]), found["body"], found["signature"])


def body(**named: Any) -> bytes:
    """Return the body of these fields; those that are None are left out."""
    return fields.made(v=VERSION, **named)


class Fields(fields.Fields):
    """The fields of a statement's body. Unsupported for a version that is not known."""

    def __init__(self, kind: Kind, data: bytes) -> None:
        super().__init__(kind, data)
        version = self._found.get("v")
        if type(version) is not int or version != VERSION:
            raise Unsupported(kind, f"of version {str(version)[:20]!r}, version {VERSION} is known")
