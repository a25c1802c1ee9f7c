"""Capabilities of sealed trees: a right as a string. Text ↔ values; docs/spec/sealing.md, "Capabilities".

Whoever has the text has the right. `repr` and errors never show a key.
"""

import base64
import hashlib
import struct
from dataclasses import dataclass, field

from commonhold.formats import cid as cids
from commonhold.formats.cid import Cid
from commonhold.formats.malformed import Malformed, Unsupported

MAX_ROWS = 1 << 16  # far more than a block can hold
_READ, _VERIFY = "holdr1", "holdv1"
_BODY = struct.Struct("<I32s32s")
_CHECK = 4
_TEXT = 116  # base32 digits of body and checksum


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
    body = _BODY.pack(capability.rows, capability.digest, capability.key)
    encoded = base64.b32encode(body + _checksum(prefix, body)).decode().rstrip("=").lower()
    return prefix + encoded


def _checksum(prefix: str, body: bytes) -> bytes:
    """Four bytes against typing errors; no secret protects them."""
    return hashlib.sha256(prefix.encode() + body).digest()[:_CHECK]


def parse_text(text: str) -> ReadCapability | VerifyCapability:
    """Return the capability of a text; Unsupported for a version or kind that we do not know."""
    prefix, encoded = text[:6], text[6:]
    if prefix not in (_READ, _VERIFY):
        if looks_like(text):
            raise Unsupported("capability", f"version {text[5:6]!r}")
        raise Malformed("capability", "it begins with neither holdr1 nor holdv1")
    if len(encoded) != _TEXT:
        raise Malformed("capability", f"{len(text)} characters, not {len(prefix) + _TEXT}")
    if not encoded.isascii() or encoded != encoded.lower():
        raise Malformed("capability", "it is written in small letters")
    try:
        raw = base64.b32decode(encoded.upper() + "=" * (-_TEXT % 8))
    except ValueError:
        raise Malformed("capability", "a letter or digit that base32 does not have") from None
    body, check = raw[:-_CHECK], raw[-_CHECK:]
    if check != _checksum(prefix, body):
        raise Malformed("capability", "mistyped: its checksum does not fit")
    rows, digest, key = _BODY.unpack(body)
    if rows > MAX_ROWS:
        raise Malformed("capability", f"{rows} rows")
    found = (ReadCapability if prefix == _READ else VerifyCapability)(digest, rows, key)
    if str(found) != text:
        raise Malformed("capability", "not the one text of what it says")
    return found
