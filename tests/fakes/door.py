"""A door that lets in whom the test says."""

from commonhold.errors import HoldError, Kind
from commonhold.formats.entry import Nonce
from commonhold.formats.pin import SpkiPin
from commonhold.formats.storagewords import Admission, FacetId, Showing
from commonhold.storage.service import Tenant

KNOWN = b"let me in"  # the entry that is good here


class FakeDoor:
    """A `Door`: facets are handed out by the test, or for `KNOWN`."""

    def __init__(self) -> None:
        self.facets: dict[tuple[SpkiPin, FacetId], Tenant] = {}
        self.newcomer: Tenant | None = None
        self.why_barred: str | None = None

    def give(self, connection: SpkiPin, tenant: Tenant) -> FacetId:
        """A facet for one connection."""
        facet = FacetId((len(self.facets) + 1).to_bytes(FacetId.LENGTH, "big"))
        self.facets[connection, facet] = tenant
        return facet

    def nonce(self, connection: SpkiPin) -> Nonce:
        return Nonce(connection)

    def enter(self, connection: SpkiPin, showing: Showing) -> Admission:
        if showing.entry != KNOWN or self.newcomer is None:
            raise HoldError("enter", Kind.BLESSING, "account", "nobody whom this server trusts has blessed it")
        return Admission(self.give(connection, self.newcomer), 2_000_000_000, self.newcomer.quota)

    def tenant(self, connection: SpkiPin, facet: FacetId) -> Tenant | None:
        return self.facets.get((connection, facet))

    def barred(self, connection: SpkiPin, facet: FacetId) -> str | None:
        return self.why_barred
