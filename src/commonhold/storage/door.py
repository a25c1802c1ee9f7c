"""The door of a storage server: `authority` decides who comes in; here is what it remembers. docs/spec/door.md."""

import threading
from collections.abc import Callable
from typing import Final

from commonhold.authority import entering
from commonhold.authority.entering import Admitted, Door, Refusal
from commonhold.authority.facets import Facet, Facets
from commonhold.authority.judging import Reason
from commonhold.authority.lists import Lists
from commonhold.authority.nonces import Nonces
from commonhold.errors import HoldError, Kind
from commonhold.formats.entry import Nonce
from commonhold.formats.pin import SpkiPin
from commonhold.formats.storagewords import Admission, FacetId, Showing
from commonhold.storage.ledger import Account, Ledger
from commonhold.storage.service import Tenant

_BLESSING: Final = frozenset(
    (Reason.UNKNOWN_BLESSER, Reason.NO_MINT, Reason.REVOKED, Reason.EARLY, Reason.EXPIRED, Reason.TOO_FEW)
)


class Gate:
    """See the module; a `service.Door`. Safe from many threads. `now` gives seconds since 1970."""

    def __init__(
        self, door: Door, lists: Lists, ledger: Ledger, now: Callable[[], int], randomness: Callable[[int], bytes]
    ) -> None:
        self._door = door
        self._lists = lists
        self._ledger = ledger
        self._now = now
        self._randomness = randomness
        self._mutex = threading.Lock()
        self._nonces = Nonces()
        self._facets = Facets(door)
        self._accounts: dict[bytes, Account] = {}  # by the blesser's key and the number that it gave

    def nonce(self, connection: SpkiPin) -> Nonce:
        """What an entry by this connection has to be signed with. BUSY if too many are asked for."""
        with self._mutex:
            given = self._nonces.give(Nonce(self._randomness(Nonce.LENGTH)), connection, self._now())
        if given is None:
            raise HoldError("enter", Kind.BUSY, "door", "too many ask")
        return given.nonce

    def enter(self, connection: SpkiPin, showing: Showing) -> Admission:
        """Give a facet to who may have one. BLESSING for a credential that does not hold, DENIED for anything else."""
        knock = entering.knock(connection, showing.credentials, showing.entry, showing.warrant)
        with self._mutex:
            now = self._now()
            given = self._nonces.use(knock.nonce, connection, now)
            found = entering.may_enter(self._door, knock, given, self._lists, now)
        if isinstance(found, Refusal):
            kind = Kind.BLESSING if found.reason in _BLESSING else Kind.DENIED
            raise HoldError("enter", kind, "door", found.said)
        self._account(found)
        with self._mutex:
            facet = Facet(self._randomness(Facet.LENGTH))
            until = self._facets.open(facet, found, now)
        if until is None:
            raise HoldError("enter", Kind.BUSY, "door", "too many are in")
        return Admission(FacetId(facet), until, found.quota)

    def tenant(self, connection: SpkiPin, facet: FacetId) -> Tenant | None:
        """Whose facet it is; None for one that there is not, has ended, or is another connection's."""
        with self._mutex:
            found = self._facets.reader(Facet(facet), connection, self._now())
            if found is None:
                return None
            return Tenant(self._accounts[_name(found)], found.quota, found.holder is not None)

    def barred(self, connection: SpkiPin, facet: FacetId) -> str | None:
        """Why whose facet it is may put nothing now, though they are in; None if they may."""
        with self._mutex:
            found = self._facets.writer(Facet(facet), connection, self._lists, self._now())
            return found if isinstance(found, str) else None

    def hear(self, revocations: bytes) -> None:
        """Take a revocation list in; facets of what it takes back end. Malformed."""
        with self._mutex:
            self._lists.take(revocations)
            self._facets.sweep(self._lists, self._now())

    @property
    def lists(self) -> tuple[bytes, ...]:
        """All revocation lists that count, as they came."""
        with self._mutex:
            return self._lists.kept

    def _account(self, found: Admitted) -> None:
        """Know the ledger's number of an account, which may be new there."""
        if _name(found) not in self._accounts:
            account = self._ledger.account(found.serials[0].blesser, found.account)
            with self._mutex:
                self._accounts[_name(found)] = account


def _name(found: Admitted) -> bytes:
    return found.serials[0].blesser + found.account
