"""What statements say, once their signatures are checked; and memory for not checking the same bytes twice. Pure.

Of an announcement's blessings it is found out which keys have signed them for this server, purpose and grid. Whether
such a key is to be believed, and whether it took its word back, is `authority`'s.
"""

import hashlib
from dataclasses import dataclass
from typing import Final, NamedTuple

from commonhold.crypto.statements import verified
from commonhold.formats import announcement, blessing, revocations, statement
from commonhold.formats.announcement import Announcement
from commonhold.formats.blessing import Purpose
from commonhold.formats.gossip import Digest, Id, Slot, id_of
from commonhold.formats.keys import PublicKey
from commonhold.formats.malformed import Malformed
from commonhold.formats.pin import GridId
from commonhold.formats.revocations import Revocations
from commonhold.formats.statement import Kind
from commonhold.gossip.bounds import Recent

REMEMBERED: Final = 8 << 20  # bytes of statements


class Backing(NamedTuple):
    """A key that has signed a blessing for a server, and from when until when that holds."""

    key: PublicKey
    not_before: int
    not_after: int


@dataclass(frozen=True, slots=True, eq=False)
class Record:
    """A statement whose signature is checked, with the bytes that it came as.

    `named` are the keys that its blessings name; `backing` those of them that have signed one.
    """

    id: Id
    slot: Slot
    digest: Digest
    kind: Kind
    key: PublicKey
    grid: GridId
    until: int
    data: bytes
    said: Announcement | Revocations
    named: frozenset[PublicKey]
    backing: tuple[Backing, ...]

    @property
    def purpose(self) -> Purpose | None:
        """An announcement's purpose."""
        return self.said.purpose if isinstance(self.said, Announcement) else None


def digest_of(data: bytes) -> Digest:
    """Return the digest of an encoded statement."""
    return Digest(hashlib.sha256(data).digest()[:16])


def slot_of(kind: Kind, key: PublicKey, purpose: str, grid: GridId) -> Slot:
    """Return where a key's statements for a purpose in a grid belong; lists of revocations have none."""
    return Slot(hashlib.sha256(b"\n".join((kind.value.encode(), key, purpose.encode(), grid))).digest()[:16])


class Reader:
    """Reads statements. Any number of machines may share one: what it remembers are facts."""

    def __init__(self, remembered: int = REMEMBERED) -> None:
        self._known: Recent[bytes, Record] = Recent(remembered)

    def read(self, kind: Kind, data: bytes) -> Record:
        """Return what an announcement or a list of revocations says. Malformed, also for a wrong signature."""
        whole = kind.value.encode() + hashlib.sha256(data).digest()
        record = self._known.get(whole)
        if record is None:
            record = _read_announcement(data) if kind is Kind.ANNOUNCEMENT else _read_revocations(data)
            self._known.put(whole, record, len(data))
        return record


def _read_announcement(data: bytes) -> Record:
    found = verified(Kind.ANNOUNCEMENT, data)
    said = announcement.parse(found)
    named, backing = _blessings(said)
    slot = slot_of(found.kind, found.key, said.purpose, said.grid)
    digest = digest_of(data)
    return Record(
        id_of(slot, said.sequence, digest), slot, digest, found.kind, found.key, said.grid, said.not_after, data, said,
        named, backing,
    )  # fmt: skip


def _read_revocations(data: bytes) -> Record:
    found = verified(Kind.REVOCATIONS, data)
    said = revocations.parse(found)
    slot = slot_of(found.kind, found.key, "", said.grid)
    digest = digest_of(data)
    return Record(
        id_of(slot, said.sequence, digest), slot, digest, found.kind, found.key, said.grid, said.fresh_until, data,
        said, frozenset(), (),
    )  # fmt: skip


def _blessings(said: Announcement) -> tuple[frozenset[PublicKey], tuple[Backing, ...]]:
    """Who is named, and who has signed. A blessing of a form that is not known here names nobody, and is passed on."""
    named: list[PublicKey] = []
    backing: list[Backing] = []
    for data in said.blessings:
        try:
            named.append(statement.decode(Kind.BLESSING, data).key)
            found = blessing.parse(verified(Kind.BLESSING, data))
        except Malformed:
            continue
        if (found.grid, found.purpose, found.server) == (said.grid, said.purpose, said.server):
            backing.append(Backing(named[-1], found.not_before, found.not_after))
    return frozenset(named), tuple(backing)
