"""The keys by which a tender enters at servers: one for each user, grid and server, of one secret. Pure.

No two servers see a common key, and no two users of a host have one. docs/spec/tender.md.
"""

from typing import Final

from commonhold.authority.derived import Secret
from commonhold.crypto.derive import derive
from commonhold.formats.keys import Seed
from commonhold.formats.pin import GridId, SpkiPin

_HOLDER: Final = b"commonhold tender's holder v1\0"


def holder_seed(secret: Secret, uid: int, grid: GridId, server: SpkiPin) -> Seed:
    """Return the key that a tender has at one server for one user; `secret` is the tender's."""
    return Seed(derive(secret.raw, _HOLDER + uid.to_bytes(4) + grid + server))
