"""AES-256-GCM for keys that encrypt one text in their life: the nonce is always zero. Pure.

Whoever calls `seal` or `seal_into` owes the proof that no key meets a second text.
"""

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from commonhold.formats.malformed import Malformed

KEY = 32
TAG = 16
_NONCE = bytes(12)


def seal(key: bytes, plain: bytes) -> bytes:
    """Return the ciphertext and its tag."""
    return AESGCM(key).encrypt(_NONCE, plain, None)


def seal_into(key: bytes, plain: memoryview, into: memoryview) -> None:
    """Encrypt to a buffer of exactly TAG bytes more; it may start where the text does."""
    AESGCM(key).encrypt_into(_NONCE, plain, None, into)


def unseal(key: bytes, sealed: bytes | memoryview) -> bytes:
    """Return the text. Malformed for another key, or if a bit was changed."""
    try:
        return AESGCM(key).decrypt(_NONCE, sealed, None)
    except InvalidTag:
        raise Malformed("ciphertext", "it does not open with this key") from None


def unseal_in_place(key: bytes, sealed: memoryview) -> memoryview:
    """Decrypt a buffer where it is; the text's part of it. Malformed as in `unseal`; the buffer is then worthless."""
    if len(sealed) < TAG:
        raise Malformed("ciphertext", "shorter than a tag")
    plain = sealed[:-TAG]
    try:
        AESGCM(key).decrypt_into(_NONCE, sealed, None, plain)
    except InvalidTag:
        raise Malformed("ciphertext", "it does not open with this key") from None
    return plain
