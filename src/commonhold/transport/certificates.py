"""Certificates that say nothing but a key: a server's, signed by itself, and a client's, signed by the null CA. Pure.

Sources: RFC 5280, RFC 8410; DESIGN §5 (transport security). Two of one kind differ in key and signature only.
"""

import datetime
import functools
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from commonhold.formats import keys
from commonhold.formats.keys import PublicKey, Seed

# Everybody's key: what it signs proves nothing. But `ssl` takes no client's certificate that nobody has signed.
NULL_CA = Seed(bytes(32))

MAX_CERTIFICATE = 4096  # bytes of one that a stranger shows; those made here have below 200
_NULL_NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "null")])
_NO_NAME = x509.Name([])
_SERIAL = 1
_FROM = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_TO = datetime.datetime(9999, 12, 31, 23, 59, 59, tzinfo=datetime.UTC)


class Identity(NamedTuple):
    """A key and its certificate, in PEM, as OpenSSL reads them."""

    key: bytes
    certificate: bytes

    def __repr__(self) -> str:
        return "Identity()"


def server(seed: Seed) -> Identity:
    """Return a server's: always the same for one key."""
    key = Ed25519PrivateKey.from_private_bytes(seed.raw)
    return _identity(seed, _certificate(key.public_key(), _NO_NAME, _NO_NAME, key))


def client(seed: Seed) -> Identity:
    """Return a client's."""
    key = Ed25519PrivateKey.from_private_bytes(seed.raw)
    signer = Ed25519PrivateKey.from_private_bytes(NULL_CA.raw)
    return _identity(seed, _certificate(key.public_key(), _NO_NAME, _NULL_NAME, signer))


@functools.cache
def null_ca() -> str:
    """Return the null CA's certificate in PEM."""
    key = Ed25519PrivateKey.from_private_bytes(NULL_CA.raw)
    return _certificate(key.public_key(), _NULL_NAME, _NULL_NAME, key, authority=True).decode()


def public_key(der: bytes) -> PublicKey | None:
    """Return the key of a certificate, of which nothing else is looked at; None if that is not an Ed25519 key."""
    if len(der) > MAX_CERTIFICATE:
        return None
    try:
        key = x509.load_der_x509_certificate(der).public_key()
    except Exception:  # noqa: BLE001  (a stranger's bytes: ValueError, UnsupportedAlgorithm, and what else a parser has)
        return None
    return PublicKey(key.public_bytes_raw()) if isinstance(key, Ed25519PublicKey) else None


def _identity(seed: Seed, certificate: bytes) -> Identity:
    return Identity(keys.encode_pem(seed), certificate)


def _certificate(
    of: Ed25519PublicKey, subject: x509.Name, issuer: x509.Name, signer: Ed25519PrivateKey, *, authority: bool = False
) -> bytes:
    builder = x509.CertificateBuilder(issuer, subject, of, _SERIAL, _FROM, _TO)
    if authority:
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    return builder.sign(signer, None).public_bytes(Encoding.PEM)
