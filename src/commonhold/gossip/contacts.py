"""Which introducers there are, and which of them to dial next. Pure.

Anybody can announce a million introducers. So half of those that are dialled are some for which a trusted key stands
up, as long as there are any; networks that few connections lead to go first; and whoever fails or does wrong is left
alone for a while, each time for longer.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final, TypeVar

from commonhold.formats.pin import SpkiPin
from commonhold.gossip.bounds import Recent
from commonhold.gossip.values import Contact, Draw

BACK_OFF: Final = 10.0  # seconds after the first failure, then twice as many each time
FAULT: Final = 600.0  # the same after a fault
LONGEST: Final = 86400.0
STEADY: Final = 60.0  # whoever was connected for so long has not failed
_TRIES: Final = 16
_REMEMBERED: Final = 4096

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Trouble:
    """How often something went wrong, and when to try again."""

    times: int
    until: float


def network(address: str) -> str:
    """Return what addresses near each other have in common: half of an IPv4 address, two labels of a name."""
    kind, _, rest = address.partition(":")
    if kind != "tcp":
        return address
    host = rest.rpartition(":")[0]
    if host.startswith("["):
        return ":".join(host[1:].split(":")[:2])
    labels = host.split(".")
    numbers = len(labels) == 4 and all(label.isdecimal() for label in labels)
    return ".".join(labels[:2] if numbers else labels[-2:])


class Contacts:
    """See the module."""

    def __init__(self, own: SpkiPin | None, configured: Iterable[Contact], draw: Draw) -> None:
        self._own = own
        self._draw = draw
        self._configured = {contact.server: contact for contact in configured}
        self._known: dict[SpkiPin, Contact] = {}
        self._order: list[SpkiPin] = []  # the same, for choosing at random
        self._blessed: dict[SpkiPin, None] = {}
        self._trouble: Recent[SpkiPin, _Trouble] = Recent(_REMEMBERED)

    def learned(self, contact: Contact, blessed: bool) -> None:
        """An introducer is known now, or known by other addresses; `blessed` by a trusted key."""
        if contact.server == self._own or not contact.addresses:
            return
        if contact.server not in self._known:
            self._order.append(contact.server)
        self._known[contact.server] = contact
        if blessed:
            self._blessed[contact.server] = None
        else:
            self._blessed.pop(contact.server, None)

    def forgotten(self, server: SpkiPin) -> None:
        """An introducer is announced no more."""
        if self._known.pop(server, None) is not None:
            self._order.remove(server)
        self._blessed.pop(server, None)

    def failed(self, server: SpkiPin, now: float, fault: bool = False) -> None:
        """It could not be reached, did not stay, or did wrong."""
        before = self._trouble.get(server)
        times = 0 if before is None else before.times
        pause = min(LONGEST, (FAULT if fault else BACK_OFF) * 2 ** min(times, 20))
        self._trouble.put(server, _Trouble(times + 1, now + pause))

    def well(self, server: SpkiPin) -> None:
        """It was connected for long enough."""
        self._trouble.drop(server)

    def shunned(self, server: SpkiPin, now: float) -> bool:
        """Whether it is left alone for now."""
        trouble = self._trouble.get(server)
        return trouble is not None and now < trouble.until

    def choose(self, linked: Collection[SpkiPin], reached: Collection[str], enough: bool, now: float) -> Contact | None:
        """Return whom to dial.

        `linked` are those connected to or being dialled, `reached` the networks of these; `enough`: of blessed ones.
        """

        def free(server: SpkiPin) -> bool:
            return server not in linked and server != self._own and not self.shunned(server, now)

        if not linked:
            first = [contact for contact in self._configured.values() if free(contact.server)]
            if first:
                return self._pick(first)
        near = list(reached)
        for among in (list(self._blessed), self._order) if not enough else (self._order,):
            tried = [server for server in self._some(among) if free(server)]
            if tried:
                found = [self._known[server] for server in tried]
                return min(found, key=lambda contact: near.count(network(contact.addresses[0])))
        rest = [contact for contact in self._configured.values() if free(contact.server)]
        return self._pick(rest) if rest else None

    def is_blessed(self, server: SpkiPin) -> bool:
        """Whether a trusted key stands up for it."""
        return server in self._blessed

    def networks(self, servers: Iterable[SpkiPin]) -> list[str]:
        """The networks that these are in, as far as is known."""
        found = (self._known.get(server) or self._configured.get(server) for server in servers)
        return [network(contact.addresses[0]) for contact in found if contact is not None and contact.addresses]

    def _some(self, among: list[SpkiPin]) -> list[SpkiPin]:
        """A few at random, or all of not many."""
        if len(among) <= _TRIES:
            turn = int(self._draw() * len(among)) if among else 0
            return among[turn:] + among[:turn]
        return [self._pick(among) for _ in range(_TRIES)]

    def _pick(self, among: list[T]) -> T:
        return among[int(self._draw() * len(among))]
