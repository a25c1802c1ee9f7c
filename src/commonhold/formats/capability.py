"""Capabilities of sealed trees: a right as a string. Text ↔ values; docs/spec/sealing.md, "Capabilities".

Whoever has the text has the right. `repr` and errors never show a key.
"""

import struct
from dataclasses import dataclass, field

from commonhold.formats import checkedtext
from commonhold.formats import cid as cids
from commonhold.formats.cid import Cid
from commonhold.formats.malformed import Malformed, Unsupported

MAX_ROWS = 1 << 16  # far more than a block can hold
_READ, _VERIFY = "holdr1", "holdv1"
_BODY = struct.Struct("<I32s32s")
BODY = _BODY.size


@dataclass(frozen=True, slots=True)
class Capability:
    """What both kinds name: a sealed block by its sha2-256 digest, and how many outer rows it has."""

    digest: bytes
    rows: int
    key: bytes = field(repr=False)

    @property
    def cid(self) -> Cid:
        """The sealed block's CID. No secret."""
        return cids.from_digest(cids.RAW, self.digest)

    @property
    def body(self) -> bytes:
        """Its BODY bytes, without its kind. As secret as it is."""
        return _BODY.pack(self.rows, self.digest, self.key)


@dataclass(frozen=True, slots=True)
class ReadCapability(Capability):
    """The right to read a sealed tree. `key` opens its root."""

    def __str__(self) -> str:
        return _text(_READ, self)


@dataclass(frozen=True, slots=True)
class VerifyCapability(Capability):
    """The right to list and check the blocks of a sealed tree. `key` opens its root's outer rows."""

    def __str__(self) -> str:
        return _text(_VERIFY, self)


def looks_like(text: str) -> bool:
    """Whether a text is meant as a capability, sound or not."""
    return text.startswith(("holdr", "holdv"))


def _text(prefix: str, capability: Capability) -> str:
    return checkedtext.encode(prefix, capability.body)


def read_of(body: bytes) -> ReadCapability:
    """Return the read capability of BODY bytes."""
    rows, digest, key = _parts(body)
    return ReadCapability(digest, rows, key)


def _parts(body: bytes) -> tuple[int, bytes, bytes]:
    """How many rows, the digest and the key."""
    if len(body) != BODY:
        raise Malformed("capability", f"{len(body)} bytes, not {BODY}")
    rows, digest, key = _BODY.unpack(body)
    if rows > MAX_ROWS:
        raise Malformed("capability", f"{rows} rows")
    return rows, digest, key


def parse_text(text: str) -> ReadCapability | VerifyCapability:
    """Return the capability of a text; Unsupported for a version or kind that we do not know."""
    prefix = text[:6]
    if prefix not in (_READ, _VERIFY):
        if looks_like(text):
            raise Unsupported("capability", f"version {text[5:6]!r}")
        raise Malformed("capability", "it begins with neither holdr1 nor holdv1")
    rows, digest, key = _parts(checkedtext.decode("capability", prefix, text, BODY))
    return (ReadCapability if prefix == _READ else VerifyCapability)(digest, rows, key)
