"""A member of a small grid whose known servers lie in real files: what an introducer has shown, and an override.

The override names each server's address on loopback, which no announcement may.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from commonhold.authority.lists import Lists
from commonhold.authority.trust import Trust, of_its_blesser
from commonhold.crypto.statements import signed
from commonhold.exchange.badge import Badge
from commonhold.formats.announcement import Announcement
from commonhold.formats.blessing import STORAGE, Blessing
from commonhold.formats.hint import TcpHint
from commonhold.formats.keys import Seed
from commonhold.formats.pin import SpkiPin
from commonhold.formats.statement import Kind
from commonhold.grids import files, reading
from commonhold.grids.client import GridClient
from commonhold.grids.member import Member
from commonhold.grids.writing import Entry
from commonhold.transport.rules import Rules
from tests.exchange.grids import BLESSER, DAY, GRID, Client, Server, now, revocations

INTRODUCER = SpkiPin(b"i" * 32)


def blessing(of: Server, by: Seed = BLESSER, **other: Any) -> bytes:
    """For storage, by the grid's blesser."""
    sound: dict[str, Any] = {
        "grid": GRID, "purpose": STORAGE, "server": of.pin, "classes": (), "serial": 7,
        "not_before": now() - DAY, "not_after": now() + DAY,
    }  # fmt: skip
    return signed(Kind.BLESSING, Blessing(**sound | other).body, by).encoded


class KnownGrid:
    """What a `GridClient` asks of its `Member`, for an account with a credential at each server."""

    def __init__(self, directory: Path, servers: Sequence[Server]) -> None:
        directory.mkdir(0o700)
        self.directory = directory
        self.trust = Trust((of_its_blesser(GRID),))
        self.rules = Rules()
        self.revoked = [revocations()]
        self._servers = servers
        self._account = Client(servers)
        self._sequence = 0
        self.reached({server.pin: server.hint for server in servers})

    def reached(self, hints: dict[SpkiPin, TcpHint]) -> None:
        """Write the override."""
        clauses = [f"{pin}:\n  local:\n    direct: true\n    hints: [{hint}]\n" for pin, hint in hints.items()]
        owner = os.getuid()
        before = files.read_override(self.directory, owner)
        files.replace_override(self.directory, before, "".join(clauses).encode(), owner)

    def shown(self, blessings: dict[SpkiPin, tuple[bytes, ...]]) -> None:
        """Have the introducer show all servers anew: with a blessing each, but for those who have these."""
        self._sequence += 1
        entries = []
        for server in self._servers:
            said = Announcement(
                GRID, STORAGE, server.pin, ("tcp:attic.example:4444",), self._sequence, now() + DAY,
                blessings.get(server.pin, (blessing(server),)), "attic",
            )  # fmt: skip
            data = signed(Kind.ANNOUNCEMENT, said.body, server.seed).encoded
            entries.append(Entry(data, reading.announced(data), now()))
        files.write_cache(self.directory, INTRODUCER, entries, self.rules)

    def lists(self) -> Lists:
        found = Lists(self.trust.watched)
        for data in self.revoked:
            found.take(data)
        return found

    def badge(self, server: SpkiPin) -> Badge | None:
        return self._account.badge(server)

    def client(self) -> GridClient:
        """The real one."""
        return GridClient(cast(Member, self), os.getuid(), now, os.urandom)
