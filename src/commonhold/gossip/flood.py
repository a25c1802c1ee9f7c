"""What was offered and is asked for: of one peer at a time, of the next if that one does not answer. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from commonhold.formats.gossip import Digest, Id
from commonhold.gossip.peers import MAX_ASKED, Link, Peers
from commonhold.gossip.values import Peer

PATIENCE: Final = 10.0  # seconds until another is asked
_OTHERS: Final = 3


@dataclass(slots=True)
class Asked:
    """Of whom something is asked, until when, and who else has offered it."""

    peer: Peer
    hops: int
    until: float
    others: list[Peer] = field(default_factory=list)


class Asking:
    """See the module. Whoever calls sends what is to be asked."""

    def __init__(self, peers: Peers) -> None:
        self._peers = peers
        self._asked: dict[Id, Asked] = {}  # those first that are due first, as all have the same patience

    @property
    def due(self) -> float | None:
        """When patience ends next."""
        return next(iter(self._asked.values())).until if self._asked else None

    def offered(self, link: Link, found: Id, hops: int, now: float) -> bool:
        """Somebody offers what is lacking: whether to ask them for it now."""
        asked = self._asked.get(found)
        if asked is not None:
            if asked.peer != link.peer and link.peer not in asked.others and len(asked.others) < _OTHERS:
                asked.others.append(link.peer)
            return False
        if len(link.asked) >= MAX_ASKED or found.digest in link.asked:
            link.more = True
            return False
        if not link.asking.take(1, now):
            return False
        self._ask(link, found, Asked(link.peer, hops, now + PATIENCE))
        return True

    def _ask(self, link: Link, found: Id, asked: Asked) -> None:
        self._asked[found] = asked
        link.asked[found.digest] = found

    def came(self, link: Link, digest: Digest) -> tuple[Id, Asked] | None:
        """Something came from somebody: what it is said to be, if it was asked for there."""
        found = link.asked.pop(digest, None)
        return None if found is None else (found, self._asked.pop(found))

    def overdue(self, now: float) -> Iterator[tuple[Link | None, Id, Link | None]]:
        """Yield who did not answer in time, what was asked for, and who is asked now: nobody, maybe."""
        while self._asked:
            found, asked = next(iter(self._asked.items()))
            if asked.until > now:
                return
            del self._asked[found]
            link = self._peers.get(asked.peer)
            if link is not None:
                link.asked.pop(found.digest, None)
                link.vain += link.gave < asked.until - PATIENCE  # who gives is only slow
            yield link, found, self._next(found, asked, now)

    def lost(self, link: Link, now: float) -> Iterator[tuple[Id, Link]]:
        """Somebody is gone: yield what was asked of them and who is asked for it now."""
        for found in link.asked.values():
            asked = self._asked.pop(found)
            other = self._next(found, asked, now)
            if other is not None:
                yield found, other
        link.asked.clear()

    def _next(self, found: Id, asked: Asked, now: float) -> Link | None:
        """Ask the next who has offered it."""
        while asked.others:
            link = self._peers.get(asked.others.pop(0))
            if link is not None and len(link.asked) < MAX_ASKED and found.digest not in link.asked:
                self._ask(link, found, Asked(link.peer, asked.hops, now + PATIENCE, asked.others))
                return link
        return None
