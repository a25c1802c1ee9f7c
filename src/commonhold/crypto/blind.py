"""RSA blind signatures, RSABSSA-SHA384-PSS-Randomized (RFC 9474): whoever signs does not see what. Pure.

The side of those who have something signed, and of those who verify it; `blindsign` is the signer's. Python's powers
take a time that depends on numbers: here those are drawn for one blank and used once, so that the time of a blank says
nothing of another. What is signed is verified by `cryptography`.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicNumbers
from cryptography.hazmat.primitives.hashes import SHA384

from commonhold.formats.malformed import Malformed

EXPONENT: Final = 65537
PREFIX: Final = 32  # random bytes before each message
SALT: Final = 48
_HASH: Final = 48
_FURTHER: Final = 16  # bytes drawn beyond the modulus' length, so that the remainder is as good as even


@dataclass(frozen=True, slots=True)
class Blinding:
    """A message on its way: `blank` is what the signer gets, `inverse` what takes the blinding off its answer."""

    prepared: bytes
    blank: bytes
    inverse: int = field(repr=False)


def blind(modulus: bytes, prepared: bytes, draw: Callable[[int], bytes]) -> Blinding:
    """Return a blank for a message with its prefix before it. `draw(n)` gives n secret bytes: first a salt, then what
    blinds. RFC 9474 §4.2. Malformed for a modulus that cannot be a sound key's."""
    n = int.from_bytes(modulus)
    message = int.from_bytes(_encoded(prepared, n.bit_length() - 1, draw(SALT)))
    drawn = int.from_bytes(draw(len(modulus) + _FURTHER)) % n
    try:
        inverse = pow(drawn, -1, n)
        pow(message, -1, n)
    except ValueError as error:
        raise Malformed("blind key", "its modulus has a factor that was guessed") from error
    return Blinding(prepared, (message * pow(drawn, EXPONENT, n) % n).to_bytes(len(modulus)), inverse)


def finish(modulus: bytes, blinding: Blinding, answer: bytes) -> bytes:
    """Return the signature out of a signer's answer. RFC 9474 §4.4. Malformed if it is none."""
    n, found = int.from_bytes(modulus), int.from_bytes(answer)
    if len(answer) != len(modulus) or found >= n:
        raise Malformed("blind signature", f"no number of {len(modulus)} bytes below the modulus")
    signature = (found * blinding.inverse % n).to_bytes(len(modulus))
    if not verify(modulus, blinding.prepared, signature):
        raise Malformed("blind signature", "it is not the key's, of what was asked for")
    return signature


def verify(modulus: bytes, prepared: bytes, signature: bytes) -> bool:
    """Tell whether a signature is this key's of this message. Any bytes may be given."""
    try:
        key = RSAPublicNumbers(EXPONENT, int.from_bytes(modulus)).public_key()
        key.verify(signature, prepared, padding.PSS(padding.MGF1(SHA384()), SALT), SHA384())
    except (InvalidSignature, ValueError):
        return False
    return True


def _encoded(message: bytes, bits: int, salt: bytes) -> bytes:
    """EMSA-PSS-ENCODE, RFC 8017 §9.1.1."""
    length = (bits + 7) // 8
    digest = hashlib.sha384(bytes(8) + hashlib.sha384(message).digest() + salt).digest()
    room = length - _HASH - 1
    plain = (b"\1" + salt).rjust(room, b"\0")
    masked = int.from_bytes(plain) ^ int.from_bytes(_mask(digest, room))
    masked &= (1 << (bits - 8 * (length - room))) - 1
    return masked.to_bytes(room) + digest + b"\xbc"


def _mask(seed: bytes, length: int) -> bytes:
    """MGF1 by SHA-384, RFC 8017 §B.2.1."""
    parts = -(-length // _HASH)
    return b"".join(hashlib.sha384(seed + count.to_bytes(4)).digest() for count in range(parts))[:length]
