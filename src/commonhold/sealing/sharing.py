"""Links sealed for one account, and opened by it. Pure, but see `crypto.hpke` on randomness. docs/spec/link.md."""

from typing import Final

from commonhold.crypto import hpke
from commonhold.crypto.hpke import Receiver
from commonhold.formats import capability as capabilities
from commonhold.formats.link import Link, ReceivingKey, SealedLink
from commonhold.formats.malformed import Malformed
from commonhold.formats.pin import GridId

_INFO: Final = b"commonhold sealed link v1\0"


def seal_link(link: Link, to: ReceivingKey) -> SealedLink:
    """Return a link as one account alone can open it. Malformed for a key that is of no use, or of another grid."""
    if to.grid != link.grid:
        raise Malformed("receiving key", "of another grid than what is shared")
    return SealedLink(link.grid, hpke.seal(to.raw, link.capability.body, _INFO + link.grid))


def open_link(sealed: SealedLink, receiver: Receiver) -> Link:
    """Return what was sealed for an account. Malformed for anybody else's, and for one that was changed."""
    return Link(sealed.grid, capabilities.read_of(receiver.unseal(sealed.sealed, _INFO + sealed.grid)))


def receiving_key(receiver: Receiver, grid: GridId) -> ReceivingKey:
    """Return what others are given, so that they can seal for this account."""
    return ReceivingKey(grid, receiver.public)
