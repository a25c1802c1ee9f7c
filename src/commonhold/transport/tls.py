"""TLS with both ends pinned: the one class of contexts, for clients and servers. TLS 1.3, no names, no resumption.

Sources: RFC 8446; DESIGN §5 (transport security). docs/spec/transport.md says what each end checks, and when.
"""

import os
import ssl
from typing import cast

from commonhold.crypto import sign
from commonhold.formats import pin
from commonhold.formats.keys import Seed
from commonhold.formats.pin import SpkiPin
from commonhold.transport import certificates
from commonhold.transport.certificates import Identity

_NO_CHECK_TIME = 0x200000  # X509_V_FLAG_NO_CHECK_TIME: a certificate says nothing here, nor does its date


class WrongPeer(ssl.SSLCertVerificationError):
    """The other end has proved that it has another key than it should have, or one that is none of ours."""

    def __init__(self, why: str) -> None:
        super().__init__(1, why)
        self.why = why


class PinnedContext(ssl.SSLContext):
    """One end's key, and whom it talks to: `expected`, or whoever proves to have a key."""

    expected: SpkiPin | None
    own: SpkiPin


class PinnedObject(ssl.SSLObject):
    """One connection, over memory: for asyncio. Nothing is sent or received before `do_handshake` has ended well."""

    peer: SpkiPin

    def do_handshake(self) -> None:
        """Shake hands, then see who it is."""
        super().do_handshake()
        self.peer = _checked(self.getpeercert(binary_form=True), cast(PinnedContext, self.context))


class PinnedSocket(ssl.SSLSocket):
    """One connection, over a socket, for threads."""

    peer: SpkiPin

    def do_handshake(self, block: bool = False) -> None:
        """Shake hands, then see who it is."""
        super().do_handshake(block)
        self.peer = _checked(self.getpeercert(binary_form=True), cast(PinnedContext, self.context))


PinnedContext.sslobject_class = PinnedObject
PinnedContext.sslsocket_class = PinnedSocket


def server_context(seed: Seed) -> PinnedContext:
    """Return the context of a server that has this key. It talks to whoever has a key and can prove it."""
    context = PinnedContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_verify_locations(cadata=certificates.null_ca())
    context.verify_mode = ssl.CERT_REQUIRED
    context.verify_flags = ssl.VerifyFlags(context.verify_flags | _NO_CHECK_TIME)
    context.num_tickets = 0
    return _finished(context, seed, certificates.server(seed), None)


def client_context(seed: Seed, server: SpkiPin) -> PinnedContext:
    """Return the context of a connection that has this key to a server that has that pin."""
    context = PinnedContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # that the server has its key is proved all the same; the pin says which
    return _finished(context, seed, certificates.client(seed), server)


def unpinned_context(seed: Seed) -> PinnedContext:
    """Return the context of a connection that has this key to a server whose pin is not known yet: `dial_unknown`'s,
    which sets `expected` to whom it finds."""
    context = PinnedContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return _finished(context, seed, certificates.client(seed), None)


def _finished(context: PinnedContext, seed: Seed, identity: Identity, expected: SpkiPin | None) -> PinnedContext:
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_3
    context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    _load(context, identity)
    context.expected = expected
    context.own = pin.pin_of(sign.public_key(seed))
    return context


def _load(context: PinnedContext, identity: Identity) -> None:
    """Give OpenSSL, which reads files only, a key that is in none."""
    fd = os.memfd_create("", os.MFD_CLOEXEC)
    try:
        os.write(fd, identity.key + identity.certificate)
        context.load_cert_chain(f"/proc/self/fd/{fd}")
    finally:
        os.close(fd)


def _checked(certificate: bytes | None, context: PinnedContext) -> SpkiPin:
    key = certificates.public_key(certificate) if certificate else None
    if key is None:
        raise WrongPeer("it has shown no Ed25519 key")
    found = pin.pin_of(key)
    if context.expected is not None and found != context.expected:
        raise WrongPeer(f"it has another key: {found}")
    return found
