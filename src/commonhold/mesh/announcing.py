"""A server's own announcements: made anew when what they say has changed, and long before they end.

REQUIREMENTS B6, B7, B23. Their numbers come from the clock and only grow, also where a restart finds an earlier time.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from commonhold.crypto.statements import signed
from commonhold.errors import HoldError, Kind, os_errors
from commonhold.formats import statement
from commonhold.formats.announcement import Announcement
from commonhold.formats.blessing import Purpose
from commonhold.formats.keys import Seed
from commonhold.formats.malformed import Malformed
from commonhold.formats.pin import GridId, SpkiPin
from commonhold.gossip.bounds import Bucket
from commonhold.gossip.values import Draw
from commonhold.host import disk
from commonhold.mesh.mesh import Mesh
from commonhold.transport.kept import Time

NUMBERS: Final = "announced"  # the file of numbers in a server's directory
LIFE: Final = 3 * 86400  # seconds for which an announcement holds
_RENEWED: Final = (0.3, 0.4)  # parts of its life after which the next one comes
_LOOK: Final = 5.0  # seconds after which it is looked again whether something has changed
_CHANGES: Final = (
    8.0,
    1 / 90,
)  # announcements: at once, and then in a second; introducers take no more than twice that
_SET_BACK: Final = 60.0


class Notice(NamedTuple):
    """What a server says of itself, for one purpose in one grid. `blessings` are encoded statements; `leaving`: it is
    being emptied."""

    grid: GridId
    purpose: Purpose
    addresses: tuple[str, ...]
    blessings: tuple[bytes, ...] = ()
    name: str = ""
    leaving: bool = False


class Numbers:
    """The numbers of announcements, in a file: the greatest is on the disk before it is used."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._last = 0
        with os_errors("announce", str(path)):
            text = path.read_text() if path.exists() else "0"
        try:
            self._last = int(text)
        except ValueError as error:
            raise HoldError("announce", Kind.CORRUPT, str(path), "not a number", hint=f"rm {path}") from error

    def next(self, now: float) -> int:
        """Return one that is greater than all before."""
        self._last = max(int(now), self._last + 1)
        with os_errors("announce", str(self._path)):
            disk.replace_file(str(self._path), f"{self._last}\n".encode())
        return self._last


@dataclass(frozen=True, slots=True)
class _Said:
    notice: Notice
    at: float
    until: float  # when the next one is due


class Announcer:
    """See the module. `notices` are asked for now and then; who has no addresses announces nothing."""

    def __init__(
        self, mesh: Mesh, seed: Seed, server: SpkiPin, numbers: Numbers, notices: Callable[[], Iterable[Notice]],
        time: Time, draw: Draw, warn: Callable[[str], None],
    ) -> None:  # fmt: skip
        self._mesh = mesh
        self._seed = seed
        self._server = server
        self._numbers = numbers
        self._notices = notices
        self._time = time
        self._draw = draw
        self._warn = warn
        self._said: dict[tuple[GridId, Purpose], _Said] = {}
        self._changes = Bucket(*_CHANGES)

    async def run(self) -> None:
        """Announce until cancelled."""
        while True:
            self.look()
            await self._time.sleep(_LOOK)

    def look(self) -> None:
        """Announce what has changed or is due."""
        now = self._time.now()
        for notice in self._notices():
            said = self._said.get((notice.grid, notice.purpose))
            fresh = said is not None and said.notice == notice and said.at - _SET_BACK < now < said.until
            if notice.addresses and not fresh and self._changes.take(1, now):
                try:
                    self._announce(notice, now)
                except HoldError as error:  # such as a full disk: it is tried again
                    self._warn(str(error))

    def _announce(self, notice: Notice, now: float) -> None:
        least, most = _RENEWED
        said = Announcement(
            notice.grid, notice.purpose, self._server, notice.addresses, self._numbers.next(now), int(now) + LIFE,
            notice.blessings, notice.name, notice.leaving,
        )  # fmt: skip
        try:
            encoded = signed(statement.Kind.ANNOUNCEMENT, said.body, self._seed).encoded
            self._mesh.publish(statement.Kind.ANNOUNCEMENT, encoded)
        except Malformed as error:
            raise HoldError("announce", Kind.INVALID, notice.purpose, error.why) from error
        until = now + LIFE * (least + (most - least) * self._draw())
        self._said[notice.grid, notice.purpose] = _Said(notice, now, until)
