"""All wards of a tender: whose there are, what each user may ask of theirs, and who is away. docs/spec/tender.md.

A user id comes from the kernel. Nobody's call reaches a ward of another's.
"""

import hashlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from commonhold.authority.derived import Secret
from commonhold.crypto import sign
from commonhold.errors import HoldError, Kind, os_errors
from commonhold.exchange.book import Book
from commonhold.exchange.tending import Care
from commonhold.formats import charge
from commonhold.formats.keys import PublicKey
from commonhold.formats.malformed import Malformed
from commonhold.formats.pin import GridId, SpkiPin
from commonhold.grids import membership
from commonhold.grids.rounds import BOOK, Setting
from commonhold.host import disk
from commonhold.host.private import PrivateDirectory
from commonhold.tender.keys import holder_seed
from commonhold.tender.taking import take
from commonhold.tender.ward import CHARGE, HERE, UNTIL, Ward, called

SECRET: Final = "tender.key"
MAX_GRIDS: Final = 8  # of one user
AWAY: Final = 36 * 3600  # seconds without a word of an agent, after which its user is away
_SPREAD: Final = 12 * 3600  # and up to so many more, another number for each ward
_WARDS: Final = "wards"


@dataclass(frozen=True, slots=True)
class Seen:
    """What a tender knows of one set: what came of its looks, and until when leases last."""

    seed: bytes
    made: int
    until: int
    care: Care


class Wards:
    """See the module; below one directory, which is the tender's alone. Calls about one user come one at a time."""

    def __init__(self, state: Path, setting: Setting) -> None:
        self._setting = setting
        self._owner = os.geteuid()
        self._above = state / _WARDS
        with os_errors("open", str(self._above)):
            disk.make_directory(self._above, 0o700)
        self._secret = _secret(state, setting)

    # ── what a user asks ──

    def keys(self, uid: int, grid: GridId, servers: list[SpkiPin]) -> list[PublicKey]:
        """The tender's public keys for a user at some servers."""
        return [sign.public_key(holder_seed(self._secret, uid, grid, server)) for server in servers]

    def take(self, uid: int, data: bytes) -> None:
        """Take a charge, in place of the one before. INVALID; QUOTA for one grid too many."""
        try:
            said = charge.decode(data)
        except Malformed as error:
            raise HoldError("take charge", Kind.INVALID, "charge", str(error)) from error
        ward = self._ward(uid, said.grid)
        if not ward.directory.exists() and len(self._names(uid)) >= MAX_GRIDS:
            raise HoldError("take charge", Kind.QUOTA, "tender", f"{MAX_GRIDS} grids are looked after, not more")
        with os_errors("write", str(ward.directory)):
            disk.make_directory(ward.directory.parent, 0o700)
        take(ward, said, self._setting.now())

    def drop(self, uid: int, grid: GridId) -> None:
        """Forget a charge and all that was seen by it; it is well if there is none."""
        ward = self._ward(uid, grid)
        if ward.directory.exists():
            _forget(ward)

    def here(self, uid: int, grid: GridId) -> tuple[bytes | None, list[Seen]]:
        """A user's agent looks after a grid itself: the digest of the charge there is for it, and what was seen."""
        ward = self._ward(uid, grid)
        path = ward.directory / CHARGE
        if not path.exists():
            return None, []
        self._note(ward)
        with os_errors("read", str(path)):
            digest = hashlib.sha256(path.read_bytes()).digest()
        book = Book(ward.directory / BOOK)
        try:
            cares = book.cares()
            return digest, [Seen(k.seed, k.made, k.until, cares[k.name]) for k in book.sets() if k.name in cares]
        finally:
            book.close()

    def grids(self, uid: int) -> list[GridId]:
        """The grids that there are charges for."""
        return [membership.load(one.directory).grid for one in self._of(uid)]

    # ── what is to be done ──

    def users(self) -> list[int]:
        """Everybody who has a ward."""
        with os_errors("list", str(self._above)):
            return sorted(int(one.name) for one in self._above.iterdir() if one.name.isdecimal())

    def away(self, uid: int) -> list[Ward]:
        """The wards of a user whose agent has said nothing for long. Charges that are over are forgotten."""
        now, found = self._setting.now(), []
        for ward in self._of(uid):
            if _when(ward.directory / UNTIL) <= now:
                _forget(ward)
            elif not 0 <= now - _when(ward.directory / HERE) < AWAY + _drawn(ward, self._secret):
                found.append(ward)
        return found

    # ── where it is ──

    def _ward(self, uid: int, grid: GridId) -> Ward:
        return self._named(uid, called(grid))

    def _named(self, uid: int, name: str) -> Ward:
        return Ward(self._above / str(uid) / name, uid, self._secret, self._owner, self._setting)

    def _of(self, uid: int) -> Iterator[Ward]:
        """Those of which all was written down."""
        for name in self._names(uid):
            ward = self._named(uid, name)
            if (ward.directory / CHARGE).exists():
                yield ward

    def _names(self, uid: int) -> list[str]:
        try:
            return sorted(one.name for one in (self._above / str(uid)).iterdir())
        except FileNotFoundError:
            return []

    def _note(self, ward: Ward) -> None:
        with os_errors("write", str(ward.directory)):
            disk.replace_file(str(ward.directory / HERE), b"%d\n" % self._setting.now())


def _forget(ward: Ward) -> None:
    with os_errors("remove", str(ward.directory)):
        (ward.directory / CHARGE).unlink(missing_ok=True)
        shutil.rmtree(ward.directory)
        disk.sync_directory(str(ward.directory.parent))


def _secret(state: Path, setting: Setting) -> Secret:
    """The tender's, which is made where there is none. DENIED where others could have read it."""
    directory = PrivateDirectory("open tender", state, os.geteuid())
    if SECRET not in directory.names():
        directory.place(SECRET, setting.randomness(32).hex().encode() + b"\n")
    try:
        return Secret(bytes.fromhex(directory.read(SECRET).decode()))
    except ValueError as error:
        raise HoldError("open tender", Kind.CORRUPT, str(state / SECRET), "not 32 bytes in hexadecimal") from error


def _when(path: Path) -> int:
    """The second that a file says; long ago where it says none."""
    try:
        return int(path.read_bytes())
    except (OSError, ValueError):
        return 0


def _drawn(ward: Ward, secret: Secret) -> int:
    """Some seconds that are a ward's own, so that those who leave together are not visited together."""
    return int.from_bytes(hashlib.sha256(secret.raw + str(ward.directory).encode()).digest()[:4]) % _SPREAD
