"""Statements signed and verified. Pure."""

from commonhold.crypto import sign
from commonhold.formats.keys import Seed
from commonhold.formats.malformed import Malformed
from commonhold.formats.statement import Kind, Statement, decode, message


def signed(kind: Kind, body: bytes, seed: Seed) -> Statement:
    """Return the statement of a body by a key. Malformed for one so large that nobody would read it."""
    made = Statement(kind, sign.public_key(seed), body, sign.sign(seed, message(kind, body)))
    if len(made.encoded) > kind.most:
        raise Malformed(kind, f"{len(made.encoded)} bytes, the limit is {kind.most}")
    return made


def verified(kind: Kind, data: bytes) -> Statement:
    """Return the statement that bytes are. Malformed also where the signature is not the key's that it names."""
    found = decode(kind, data)
    if not sign.verify(found.key, found.message, found.signature):
        raise Malformed(kind, "its signature is not that of its key")
    return found
