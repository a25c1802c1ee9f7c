"""The signer's side of blind RSA signatures (RFC 9474 §4.3): one private operation on what somebody else chose.

By OpenSSL, which `cryptography` and Python do not offer it of: the library is the one that Python's `ssl` is linked to.
It blinds what it computes with and takes one time for all keys (constant-time powers); what it gives is checked before
it leaves. A key is used for nothing else, ever: it would sign anything.
"""

import ctypes
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)

from commonhold.crypto.blind import EXPONENT
from commonhold.formats.malformed import Malformed

BITS: Final = 3072
_LIBRARY: Final = "libcrypto.so.3"
_RSA: Final = 6  # EVP_PKEY_RSA
_SET_PADDING: Final = 0x1001  # EVP_PKEY_CTRL_RSA_PADDING
_NO_PADDING: Final = 3
_CALLS: Final = {
    "d2i_AutoPrivateKey": (ctypes.c_void_p, (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_long)),
    "EVP_PKEY_free": (None, (ctypes.c_void_p,)),
    "EVP_PKEY_CTX_new": (ctypes.c_void_p, (ctypes.c_void_p, ctypes.c_void_p)),
    "EVP_PKEY_CTX_free": (None, (ctypes.c_void_p,)),
    "EVP_PKEY_decrypt_init": (ctypes.c_int, (ctypes.c_void_p,)),
    "EVP_PKEY_CTX_ctrl": (
        ctypes.c_int,
        (ctypes.c_void_p, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_void_p),
    ),
    "EVP_PKEY_decrypt": (
        ctypes.c_int,
        (ctypes.c_void_p, ctypes.c_char_p, ctypes.POINTER(ctypes.c_size_t), ctypes.c_char_p, ctypes.c_size_t),
    ),
    "ERR_clear_error": (None, ()),
}


class Unusable(Exception):
    """There is no OpenSSL 3 here that a program can load."""


def generate() -> bytes:
    """Return a new private key, as DER (PKCS #8). It takes a part of a second, sometimes several."""
    made = generate_private_key(EXPONENT, BITS)
    return made.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


def modulus(der: bytes) -> bytes:
    """Return the public part of a private key."""
    try:
        key = load_der_private_key(der, None)
    except ValueError as error:
        raise Malformed("blind key", "no private key") from error
    if not isinstance(key, RSAPrivateKey) or key.public_key().public_numbers().e != EXPONENT:
        raise Malformed("blind key", f"no RSA key of exponent {EXPONENT}")
    return key.public_key().public_numbers().n.to_bytes(key.key_size // 8)


class Signer:
    """One private key at work. Safe from many threads. Unusable; Malformed for what is no such key."""

    def __init__(self, der: bytes) -> None:
        self.modulus = modulus(der)
        self._ssl = _library()
        start = ctypes.create_string_buffer(der, len(der))
        self._key = self._ssl.d2i_AutoPrivateKey(None, ctypes.byref(ctypes.c_void_p(ctypes.addressof(start))), len(der))
        if not self._key:
            self._ssl.ERR_clear_error()
            raise Malformed("blind key", "OpenSSL does not read it")

    def __del__(self) -> None:
        if getattr(self, "_key", None):
            self._ssl.EVP_PKEY_free(self._key)

    def sign(self, blank: bytes) -> bytes:
        """Return the answer to a blank, the same every time. Malformed for what is none."""
        n, asked = int.from_bytes(self.modulus), int.from_bytes(blank)
        if len(blank) != len(self.modulus) or not 1 < asked < n - 1:
            raise Malformed("blank", f"no number of {len(self.modulus)} bytes below the modulus")
        found = self._powered(blank)
        if pow(int.from_bytes(found), EXPONENT, n) != asked:  # an answer that is wrong can give the key away
            raise Malformed("blank", "what was computed is wrong: the machine or its OpenSSL is faulty")
        return found

    def _powered(self, blank: bytes) -> bytes:
        ssl, context = self._ssl, self._ssl.EVP_PKEY_CTX_new(self._key, None)
        out = ctypes.create_string_buffer(len(blank))
        length = ctypes.c_size_t(len(blank))
        try:
            if (
                not context
                or ssl.EVP_PKEY_decrypt_init(context) != 1
                or ssl.EVP_PKEY_CTX_ctrl(context, _RSA, -1, _SET_PADDING, _NO_PADDING, None) != 1
                or ssl.EVP_PKEY_decrypt(context, out, ctypes.byref(length), blank, len(blank)) != 1
            ):
                raise Malformed("blank", "OpenSSL does not sign it")
            return out.raw[: length.value]
        finally:
            ssl.ERR_clear_error()  # the thread's queue of errors is that of its TLS connections, too
            ssl.EVP_PKEY_CTX_free(context)


@lru_cache(1)
def _library() -> Any:
    try:
        library = ctypes.CDLL(_LIBRARY)
        for name, (answer, given) in _CALLS.items():
            call: Callable[..., Any] = getattr(library, name)
            call.restype, call.argtypes = answer, given  # type: ignore[attr-defined]
    except (OSError, AttributeError) as error:
        raise Unusable(str(error)) from error
    return library
