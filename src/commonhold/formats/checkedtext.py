"""A few bytes as one word: a prefix, then base32 in small letters of the bytes and of a checksum against slips. Pure.

The checksum is over the prefix too, so that a word of one kind is none of another. docs/spec/sealing.md.
"""

import base64
import hashlib

from commonhold.formats.malformed import Malformed

CHECK = 4  # bytes; no secret protects them


def encode(prefix: str, body: bytes) -> str:
    """Return the word."""
    return prefix + base64.b32encode(body + _checksum(prefix, body)).decode().rstrip("=").lower()


def decode(what: str, prefix: str, text: str, length: int) -> bytes:
    """Return the `length` bytes of a word that begins with this prefix. Malformed unless it is the one word for them;
    nothing is decoded of one that is too long."""
    digits = -(-(length + CHECK) * 8 // 5)
    encoded = text[len(prefix) :]
    if len(encoded) != digits:
        raise Malformed(what, f"{len(text)} characters, not {len(prefix) + digits}")
    if not encoded.isascii() or encoded != encoded.lower():
        raise Malformed(what, "it is written in small letters")
    try:
        raw = base64.b32decode(encoded.upper() + "=" * (-digits % 8))
    except ValueError:
        raise Malformed(what, "a letter or digit that base32 does not have") from None
    body = raw[:-CHECK]
    if raw[-CHECK:] != _checksum(prefix, body):
        raise Malformed(what, "mistyped: its checksum does not fit")
    if encode(prefix, body) != text:
        raise Malformed(what, "not the one text of what it says")
    return body


def _checksum(prefix: str, body: bytes) -> bytes:
    return hashlib.sha256(prefix.encode() + body).digest()[:CHECK]
