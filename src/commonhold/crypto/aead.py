"""AES-256-GCM for keys that encrypt one text in their life, whose nonce is always zero; and for keys of numbered texts.

Pure. Whoever calls `seal` or `seal_into` owes the proof that no key meets a second text.
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


class NumberedKey:
    """One key for many texts, each of its own number, which is its nonce. Safe from many threads.

    Whoever makes one to seal owes the proof that under this key a number has one text for ever. Of shares: the key is
    derived from a salt that is new for every share that is written, so it is one share's, which is written once; and a
    number is one part of it (docs/spec/pack.md). A text that would be another needs another salt.
    """

    __slots__ = ("_cipher",)

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY:
            raise ValueError(f"a key of {len(key)} bytes")
        self._cipher = AESGCM(key)

    def seal(self, number: int, plain: bytes) -> bytes:
        """Return the ciphertext of a text and its tag."""
        return self._cipher.encrypt(_nonce(number), plain, None)

    def seal_into(self, number: int, plain: memoryview, into: memoryview) -> None:
        """Encrypt to a buffer of exactly TAG bytes more; it may start where the text does."""
        self._cipher.encrypt_into(_nonce(number), plain, None, into)

    def unseal(self, number: int, sealed: bytes | memoryview) -> bytes:
        """Return the text. Malformed for another key or number, or if a bit was changed."""
        try:
            return self._cipher.decrypt(_nonce(number), sealed, None)
        except InvalidTag:
            raise Malformed("ciphertext", "it does not open with this key") from None

    def unseal_into(self, number: int, sealed: memoryview, into: memoryview) -> None:
        """Decrypt to a buffer of exactly TAG bytes fewer; it may start where the ciphertext does. Malformed as in
        `unseal`; the buffer is then worthless."""
        try:
            self._cipher.decrypt_into(_nonce(number), sealed, None, into)
        except InvalidTag:
            raise Malformed("ciphertext", "it does not open with this key") from None


def _nonce(number: int) -> bytes:
    return number.to_bytes(12, "little")
