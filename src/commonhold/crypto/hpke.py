"""Encryption to the holder of one key: HPKE (RFC 9180), base mode, by `cryptography`. Says nothing of who encrypted.

DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM; one text of each sender's key, without associated data: what the
text is bound to is `info`. The sender's key of one use is drawn by the library, which takes no randomness from outside.
"""

from dataclasses import dataclass, field
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from commonhold.formats.malformed import Malformed

KEY: Final = 32
OVERHEAD: Final = KEY + 16  # the sender's key of one use comes first, the tag last
_SUITE: Final = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)


@dataclass(frozen=True, slots=True)
class Receiver:
    """An X25519 private key: 32 secret bytes, any."""

    raw: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.raw) != KEY:
            raise Malformed("private key", f"{len(self.raw)} bytes, not {KEY}")

    @property
    def public(self) -> bytes:
        """What others encrypt with."""
        return X25519PrivateKey.from_private_bytes(self.raw).public_key().public_bytes_raw()

    def unseal(self, sealed: bytes, info: bytes) -> bytes:
        """Return the text. Malformed for another key or `info`, or if a bit was changed: it does not say which."""
        try:
            return _SUITE.decrypt(sealed, X25519PrivateKey.from_private_bytes(self.raw), info)
        except InvalidTag:
            raise Malformed("ciphertext", "it does not open with this key") from None


def seal(public: bytes, text: bytes, info: bytes) -> bytes:
    """Return a text sealed for the holder of a public key, OVERHEAD bytes longer. Malformed for a key that is none, or
    that makes everybody's secret the same."""
    try:
        return _SUITE.encrypt(text, X25519PublicKey.from_public_bytes(public), info)
    except ValueError:
        raise Malformed("public key", "nothing can be sealed with it") from None
