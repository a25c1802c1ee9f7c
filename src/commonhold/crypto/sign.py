"""Ed25519 signatures (RFC 8032), by `cryptography`. Pure: a seed is made elsewhere and is an argument here."""

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from commonhold.formats.keys import PublicKey, Seed

SIGNATURE = 64

# Points of order 8 or less, the sign bit aside: under such a key anybody's signature holds, for any message.
_SIGN_BIT = 1 << 255
_P = (1 << 255) - 19
_ORDER_8 = int.from_bytes(bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"), "little")
_WEAK = frozenset((0, 1, _ORDER_8, _P - _ORDER_8, _P - 1, _P, _P + 1))


def public_key(seed: Seed) -> PublicKey:
    """Return the public key of a seed."""
    return PublicKey(Ed25519PrivateKey.from_private_bytes(seed.raw).public_key().public_bytes_raw())


def sign(seed: Seed, message: bytes) -> bytes:
    """Return the signature of a message: 64 bytes, the same every time."""
    return Ed25519PrivateKey.from_private_bytes(seed.raw).sign(message)


def verify(public: PublicKey, message: bytes, signature: bytes) -> bool:
    """Tell whether a signature is this key's of this message. Any bytes may be given; weak keys sign nothing."""
    if len(signature) != SIGNATURE or int.from_bytes(public, "little") & ~_SIGN_BIT in _WEAK:
        return False
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except InvalidSignature:
        return False
    return True
