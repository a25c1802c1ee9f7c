"""By which hints an introducer is dialled: those by a person's word, and of what is announced those that may be.

Pure. By which way each may be dialled is `transport.rules`'.
"""

from collections.abc import Iterable

from commonhold.formats import hint as hints
from commonhold.formats.address import Address
from commonhold.formats.hint import Hint
from commonhold.formats.malformed import Malformed
from commonhold.formats.pin import SpkiPin
from commonhold.gossip.values import Contact


def contact(address: Address) -> Contact:
    """Return an address as the machine knows it."""
    return Contact(address.server, tuple(map(str, address.hints)))


class Reaching:
    """See the module. `configured` are addresses by a person's own word, which may also lead to this machine."""

    def __init__(self, configured: Iterable[Address]) -> None:
        self._own: dict[SpkiPin, tuple[Hint, ...]] = {}
        for one in configured:
            self._own[one.server] = (*self._own.get(one.server, ()), *one.hints)

    def hints(self, contact: Contact) -> list[Hint]:
        """Return all by which a server is dialled, in their order."""
        announced = [hint for hint in map(_read, contact.addresses) if hint is not None]
        own = self._own.get(contact.server, ())
        return list(dict.fromkeys((*own, *(hint for hint in announced if self._may(hint)))))

    def _may(self, hint: Hint) -> bool:
        """Whether an announcement may name it."""
        return hints.may_be_announced(hint)


def _read(text: str) -> Hint | None:
    try:
        return hints.parse(text)
    except Malformed:
        return None
