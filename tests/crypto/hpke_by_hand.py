"""HPKE in base mode (RFC 9180) by its text: X25519 (RFC 7748), HKDF (RFC 5869) in plain Python. Not of the product.

The sender's key of one use is an argument here, so that vectors can be made.
"""

import hashlib
import hmac
from collections.abc import Callable

from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

_P = 2**255 - 19
KEM, KDF = (0x0020).to_bytes(2, "big"), (0x0001).to_bytes(2, "big")
AES_128, AES_256, CHACHA = (number.to_bytes(2, "big") for number in (1, 2, 3))
_CIPHERS: dict[bytes, tuple[int, Callable[[bytes], AESGCM | ChaCha20Poly1305]]] = {
    AES_128: (16, AESGCM),
    AES_256: (32, AESGCM),
    CHACHA: (32, ChaCha20Poly1305),
}


def x25519(scalar: bytes, point: bytes) -> bytes:
    """RFC 7748 §5."""
    k = int.from_bytes(scalar, "little") & ~7 & ~(1 << 255) | 1 << 254
    x1 = int.from_bytes(point, "little") & ~(1 << 255)
    x2, z2, x3, z3, swap = 1, 0, x1, 1, 0
    for bit in reversed(range(255)):
        here = k >> bit & 1
        if swap ^ here:
            x2, x3, z2, z3 = x3, x2, z3, z2
        swap = here
        a, b, c, d = x2 + z2, x2 - z2, x3 + z3, x3 - z3
        aa, bb, da, cb = a * a, b * b, d * a, c * b
        e = aa - bb
        x3, z3 = (da + cb) ** 2 % _P, x1 * (da - cb) ** 2 % _P
        x2, z2 = aa * bb % _P, e * (aa + 121665 * e) % _P
    if swap:
        x2, z2 = x3, z3
    return (x2 * pow(z2, _P - 2, _P) % _P).to_bytes(32, "little")


def public(scalar: bytes) -> bytes:
    """The public key of a private one."""
    return x25519(scalar, (9).to_bytes(32, "little"))


def _extract(salt: bytes, ikm: bytes, suite: bytes, label: bytes) -> bytes:
    return hmac.digest(salt or bytes(32), b"HPKE-v1" + suite + label + ikm, "sha256")


def _expand(prk: bytes, info: bytes, length: int, suite: bytes, label: bytes) -> bytes:
    said = length.to_bytes(2, "big") + b"HPKE-v1" + suite + label + info
    out = last = b""
    for number in range(1, -(-length // 32) + 1):
        last = hmac.digest(prk, last + said + bytes([number]), hashlib.sha256)
        out += last
    return out[:length]


def seal(aead: bytes, ephemeral: bytes, to: bytes, text: bytes, info: bytes, aad: bytes = b"") -> bytes:
    """§6.1, the first message: the sender's public key, then the text and its tag."""
    enc = public(ephemeral)
    kem = b"KEM" + KEM
    shared = _expand(_extract(b"", x25519(ephemeral, to), kem, b"eae_prk"), enc + to, 32, kem, b"shared_secret")
    suite = b"HPKE" + KEM + KDF + aead
    context = b"\0" + _extract(b"", b"", suite, b"psk_id_hash") + _extract(b"", info, suite, b"info_hash")
    secret = _extract(shared, b"", suite, b"secret")
    length, cipher = _CIPHERS[aead]
    key = _expand(secret, context, length, suite, b"key")
    return enc + cipher(key).encrypt(_expand(secret, context, 12, suite, b"base_nonce"), text, aad)
