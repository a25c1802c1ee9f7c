"""Who a client is at one server, and how it shows that at the door. Pure. docs/spec/door.md."""

from dataclasses import dataclass, field
from typing import Final

from commonhold.authority import times
from commonhold.crypto.derive import derive
from commonhold.crypto.statements import signed
from commonhold.formats.entry import Entry, Nonce
from commonhold.formats.keys import Seed
from commonhold.formats.pin import GridId, SpkiPin
from commonhold.formats.statement import Kind
from commonhold.formats.storagewords import Showing

_TIME: Final = b"commonhold entry time v1\0"
_AWAY: Final = times.SKEW // 5  # seconds; the rest of what a door tolerates is for clocks that are not quite right


@dataclass(frozen=True, slots=True)
class Badge:
    """What lets its holder into one server of a grid: encoded credentials, and the key that signs for them: the
    account's, or that of a warrant's holder."""

    grid: GridId
    credentials: tuple[bytes, ...]
    key: Seed = field(repr=False)
    warrant: bytes | None = None

    def show(self, nonce: Nonce, server: SpkiPin, connection: SpkiPin, time: int) -> Showing:
        """Return what is said at the door of a server, over one connection, at a time in seconds since 1970.

        It says a time that is up to a minute away, drawn for each entry: D18.
        """
        drawn = int.from_bytes(derive(self.key.raw, _TIME + nonce)[:8]) % (2 * _AWAY + 1)
        entry = Entry(nonce, server, connection, self.grid, max(0, time + drawn - _AWAY))
        return Showing(self.credentials, signed(Kind.ENTRY, entry.body, self.key).encoded, self.warrant)
