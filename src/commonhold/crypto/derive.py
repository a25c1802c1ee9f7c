"""Keys out of keys: HMAC-SHA-256 (RFC 2104). Pure."""

import hashlib
import hmac

_BLOCK = 64


def derive(key: bytes, message: bytes) -> bytes:
    """Return 32 bytes that nobody without the key can tell from random ones."""
    return hmac.digest(key, message, "sha256")


class Deriver:
    """`derive` under one key, for many messages: the key is hashed once. Safe from many threads."""

    __slots__ = ("_inner", "_outer")

    def __init__(self, key: bytes) -> None:
        if len(key) > _BLOCK:
            raise ValueError("a key longer than a block of the hash")
        padded = key.ljust(_BLOCK, b"\0")
        self._inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in padded))
        self._outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in padded))

    def derive(self, message: bytes) -> bytes:
        """Return the same as `derive(key, message)`."""
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(message)
        outer.update(inner.digest())
        return outer.digest()
