"""Keys and statements to gossip about: the same for the same words."""

import hashlib
from functools import cache

from commonhold.crypto.sign import public_key
from commonhold.crypto.statements import signed
from commonhold.formats.announcement import Announcement
from commonhold.formats.blessing import STORAGE, Blessing, Purpose
from commonhold.formats.keys import PublicKey, Seed
from commonhold.formats.pin import GridId, SpkiPin, pin_of
from commonhold.formats.revocations import Revocations
from commonhold.formats.statement import Kind

EPOCH = 1_800_000_000
DAY = 86400


@cache
def seed(name: str) -> Seed:
    """A private key."""
    return Seed(hashlib.sha256(name.encode()).digest())


@cache
def key(name: str) -> PublicKey:
    """Its public half."""
    return public_key(seed(name))


def pin(name: str) -> SpkiPin:
    """A server's pin."""
    return pin_of(key(name))


def grid_of(name: str) -> GridId:
    """The grid that a blesser has made."""
    return GridId(key(name))


GRID = grid_of("blesser")


@cache
def blessing(
    name: str, by: str = "blesser", purpose: Purpose = STORAGE, grid: GridId = GRID, until: int = EPOCH + 90 * DAY
) -> bytes:
    """A blessing of a server."""
    serial = int.from_bytes(hashlib.sha256(f"{name} {by} {purpose}".encode()).digest()[:7])
    said = Blessing(grid, purpose, pin(name), (), EPOCH - DAY, until, serial)
    return signed(Kind.BLESSING, said.body, seed(by)).encoded


def announced(
    name: str,
    sequence: int = 1,
    blessers: tuple[str, ...] = ("blesser",),
    purpose: Purpose = STORAGE,
    grid: GridId = GRID,
    until: int = EPOCH + 7 * DAY,
    addresses: tuple[str, ...] = ("tcp:198.51.100.7:4000",),
    label: str = "",
) -> bytes:
    """An announcement by a server of this name."""
    said = Announcement(
        grid, purpose, pin(name), addresses, sequence, until,
        tuple(blessing(name, by, purpose, grid) for by in blessers), label,
    )  # fmt: skip
    return signed(Kind.ANNOUNCEMENT, said.body, seed(name)).encoded


def revoked(
    name: str, sequence: int = 1, serials: tuple[int, ...] = (), grid: GridId = GRID, until: int = EPOCH + 7 * DAY
) -> bytes:
    """A blesser's list of revocations."""
    said = Revocations(grid, sequence, EPOCH - DAY, until, serials)
    return signed(Kind.REVOCATIONS, said.body, seed(name)).encoded
