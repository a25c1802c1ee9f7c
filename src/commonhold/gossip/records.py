"""The statements that are kept: the newest of each slot, within bounds for each publisher and for all. Pure.

Where room is short, statements that somebody stands up for go before those that nobody does, and of those who stand up,
whoever asks for the most room gives way first. docs/spec/gossip.md has why a spammer gains nothing by many keys.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, NamedTuple

from commonhold.formats.fields import MAX_NUMBER
from commonhold.formats.gossip import Id, Slot
from commonhold.formats.keys import PublicKey
from commonhold.formats.pin import GridId
from commonhold.formats.statement import Kind
from commonhold.gossip.bounds import Bucket, Recent
from commonhold.gossip.reading import Record
from commonhold.gossip.reconcile import Ids
from commonhold.gossip.values import Bounds

OVERHEAD: Final = 1024  # bytes that a statement costs beside its own
_REMEMBERED: Final = 8192


class Verdict(Enum):
    """What became of a statement."""

    KEPT = "kept"
    OLD = "there is one that counts more"
    FOREIGN = "of another grid"
    EXPIRED = "expired"
    TOO_FAR = "its end lies too far ahead"
    TOO_LARGE = "more bytes than a key may have"
    TOO_MANY = "more purposes than a key may have"
    TOO_FAST = "changed too often"
    FULL = "there is no room"


LATER: Final = 3600.0
_AGAIN: Final = {
    Verdict.FOREIGN: 3600.0, Verdict.EXPIRED: 86400.0, Verdict.TOO_FAR: 600.0, Verdict.TOO_LARGE: 3600.0,
    Verdict.TOO_MANY: 3600.0, Verdict.TOO_FAST: 60.0, Verdict.FULL: 600.0,
}  # fmt: skip
"""For how many seconds one that was refused is not asked for again."""


class Source(Enum):
    """From where a statement is offered. What was kept before a restart is no change that its key makes now."""

    PEER = "a peer"
    OWN = "published here"
    KEPT = "kept before"


class Standing(NamedTuple):
    """Who goes before whom where room is short: the level, and whoever stands up for it at that level."""

    level: int
    by: bytes


OWN: Final = Standing(3, b"")
_STRANGER: Final = Standing(0, b"")
TRUSTED: Final = 2
_WANTED: Final = 1


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one, which it is in place of, and which had to make room."""

    verdict: Verdict
    before: Record | None = None
    contradicts: Record | None = None
    gone: tuple[Record, ...] = ()


@dataclass(slots=True)
class _Publisher:
    """What is kept of one key."""

    bucket: Bucket
    slots: set[Slot] = field(default_factory=set)
    bytes: int = 0


class Store:
    """See the module. It is told the time with each call; `ids` has the ids of all that is kept."""

    def __init__(self, grids: frozenset[GridId], trusted: frozenset[PublicKey], bounds: Bounds) -> None:
        self.ids = Ids()
        self.changes = 0  # how often something came or went
        self._grids = grids
        self._always = trusted | {grid.blesser for grid in grids}
        self._trusted = self._always
        self._wanted: frozenset[PublicKey] = frozenset()
        self._bounds = bounds
        self._records: dict[Slot, Record] = {}
        self._since: dict[Slot, float] = {}
        self._standings: dict[Slot, Standing] = {}
        self._groups: dict[Standing, dict[Slot, Record]] = {}
        self._weights: dict[Standing, int] = {}
        self._weight = 0
        self._publishers: dict[PublicKey, _Publisher] = {}
        self._newcomers = {
            level: Bucket(bounds.newcomers, 1 / bounds.newcomer_seconds) for level in (_STRANGER.level, _WANTED)
        }
        self._ended: Recent[Slot, Id] = Recent(_REMEMBERED)  # of those that have expired: older ones stay out
        self._refused: Recent[Id, float] = Recent(_REMEMBERED)  # and until when

    def __len__(self) -> int:
        return len(self._records)

    def __iter__(self) -> Iterator[Record]:
        return iter(self._records.values())

    @property
    def weight(self) -> int:
        """Bytes that all of it takes."""
        return self._weight

    def find(self, found: Id) -> Record | None:
        """The statement of this very id."""
        record = self._records.get(found.slot)
        return record if record is not None and record.id == found else None

    def since(self, record: Record) -> float:
        """When a statement that is kept came."""
        return self._since[record.slot]

    def own(self) -> list[Record]:
        """What was published here."""
        return list(self._groups.get(OWN, {}).values())

    def level(self, slot: Slot) -> int:
        """How far somebody stands up for what is in a slot: 0 where nobody does."""
        return self._standings.get(slot, _STRANGER).level

    def lacks(self, found: Id, now: float) -> bool:
        """Whether a statement would be news, and none that was refused a short while ago."""
        slot = found.slot
        record = self._records.get(slot)
        if record is not None and record.id >= found:
            return False
        ended = self._ended.get(slot)
        if (ended is not None and ended >= found) or found.sequence > MAX_NUMBER:
            return False
        until = self._refused.get(found)
        return until is None or now >= until

    def reconsider(self) -> None:
        """Have what was refused be asked for again, as what is wanted has changed."""
        self._refused = Recent(_REMEMBERED)

    def offer(self, record: Record, now: float, source: Source = Source.PEER) -> Outcome:
        """Take a statement in if it counts more than what is there, and if it is within the bounds."""
        outcome = self._offer(record, now, source)
        if outcome.verdict in _AGAIN:
            self.refuse(record.id, now, _AGAIN[outcome.verdict])
        return outcome

    def refuse(self, found: Id, now: float, seconds: float = LATER) -> None:
        """Have a statement not be asked for again for some time."""
        self._refused.put(found, now + seconds)

    def _offer(self, record: Record, now: float, source: Source) -> Outcome:
        own = source is Source.OWN
        before = self._records.get(record.slot)
        ended = self._ended.get(record.slot)
        if before is not None and before.id == record.id:
            if own:
                self._file(record, OWN)
            return Outcome(Verdict.OLD, before)
        contradicts = before if before is not None and before.id.sequence == record.id.sequence else None
        if (before is not None and before.id > record.id) or (ended is not None and ended >= record.id):
            return Outcome(Verdict.OLD, before, contradicts)
        verdict = self._bounded(record, before, now)
        standing = OWN if own or self._standings.get(record.slot) == OWN else self.standing(record, now)
        if verdict is Verdict.KEPT and standing != OWN and source is Source.PEER:
            verdict = self._charged(record, before, standing, now)
        if verdict is not Verdict.KEPT:
            return Outcome(verdict, before)
        room, gone = self._make_room(record, before, standing)
        for victim in gone:
            self.refuse(victim.id, now, _AGAIN[Verdict.FULL])
        if not room:
            return Outcome(Verdict.FULL, before, gone=tuple(gone))
        self._keep(record, standing, now)
        return Outcome(Verdict.KEPT, before, contradicts, tuple(gone))

    def _bounded(self, record: Record, before: Record | None, now: float) -> Verdict:
        """Whether it is within what each publisher may have."""
        if record.grid not in self._grids:
            return Verdict.FOREIGN
        if record.until + self._bounds.skew <= now:
            return Verdict.EXPIRED
        if record.until > now + self._bounds.ahead + self._bounds.skew:
            return Verdict.TOO_FAR
        publisher = self._publishers.get(record.key)
        if publisher is not None and before is None and len(publisher.slots) >= self._bounds.slots_per_key:
            return Verdict.TOO_MANY
        if record.kind is Kind.REVOCATIONS:
            asked_for = record.key in self._trusted or record.key in self._wanted
            return Verdict.KEPT if asked_for or len(record.data) <= self._bounds.bytes_per_key else Verdict.TOO_LARGE
        bytes_more = len(record.data) - (0 if before is None else len(before.data))
        held = 0 if publisher is None else publisher.bytes
        return Verdict.KEPT if held + bytes_more <= self._bounds.bytes_per_key else Verdict.TOO_LARGE

    def _charged(self, record: Record, before: Record | None, standing: Standing, now: float) -> Verdict:
        """Whether its publisher may change something yet again; and of what is new, whether more may come yet."""
        publisher = self._publishers.get(record.key)
        if publisher is not None and not publisher.bucket.take(1, now):
            return Verdict.TOO_FAST
        newcomers = self._newcomers.get(standing.level)
        if newcomers is not None and before is None and not newcomers.take(1, now):
            return Verdict.TOO_FAST
        return Verdict.KEPT

    def expire(self, now: float) -> list[Record]:
        """Let go of what has ended, and return it. An older one does not come in its place."""
        ended = [record for record in self._records.values() if record.until + self._bounds.skew <= now]
        for record in ended:
            self._drop(record)
            self._ended.put(record.slot, record.id)
        return ended

    def want(self, here: frozenset[PublicKey], elsewhere: frozenset[PublicKey], now: float) -> None:
        """Say whose servers are asked for now: here, so that these keys are trusted, and by others."""
        changed = (self._trusted ^ (self._always | here)) | (self._wanted ^ elsewhere)
        self._trusted, self._wanted = self._always | here, elsewhere
        for record in list(self._records.values()):
            if (record.key in changed or not record.named.isdisjoint(changed)) and self.level(record.slot) < OWN.level:
                self._file(record, self.standing(record, now))

    # ── who makes room ──

    def standing(self, record: Record, now: float) -> Standing:
        """Who stands up for a statement: a trusted key, one that somebody asks for, or nobody."""
        if record.kind is Kind.REVOCATIONS:
            keys = {record.key}
        else:
            keys = {
                key for key, after, until in record.backing
                if after <= now + self._bounds.skew and now < until + self._bounds.skew
            }  # fmt: skip
        for level, among in ((TRUSTED, self._trusted), (_WANTED, self._wanted)):
            if found := keys & among:
                return Standing(level, min(found))
        return _STRANGER

    def _make_room(self, record: Record, before: Record | None, standing: Standing) -> tuple[bool, list[Record]]:
        """Have others go until there is room: whether there is, and who went."""
        gone: list[Record] = []
        need = _weight(record) - (0 if before is None else _weight(before))
        while self._weight + need > self._bounds.room:
            victim = self._gives_way(standing, record)
            if victim is None:
                return False, gone
            self._drop(victim)
            gone.append(victim)
        return True, gone

    def _gives_way(self, standing: Standing, record: Record) -> Record | None:
        """Who has to go for a statement: of those with the least standing, the last of whoever takes the most room.

        Of the same level only those who would still take more than it does; so strangers go for no stranger, whoever
        came first stays, and with all full of them a flood of them ends here.
        """
        lowest = min((group.level for group in self._groups), default=OWN.level)
        if lowest > standing.level or lowest == OWN.level:
            return None
        group = max((one for one in self._groups if one.level == lowest), key=lambda one: (self._weights[one], one.by))
        if lowest == standing.level and self._weights[group] <= self._weights.get(standing, 0) + _weight(record):
            return None
        return next((one for one in reversed(self._groups[group].values()) if one.slot != record.slot), None)

    # ── what is held ──

    def _keep(self, record: Record, standing: Standing, now: float) -> None:
        before = self._records.get(record.slot)
        publisher = self._publishers.get(record.key)
        if publisher is None:
            bucket = Bucket(self._bounds.changes_per_key, 1 / self._bounds.change_seconds)
            bucket.take(1, now)
            publisher = self._publishers[record.key] = _Publisher(bucket)
        publisher.slots.add(record.slot)
        publisher.bytes += _announced(record) - (0 if before is None else _announced(before))
        self._weight += _weight(record) - (0 if before is None else _weight(before))
        self._records[record.slot] = record
        self._since[record.slot] = now
        self.ids.put(record.id)
        self.changes += 1
        self._file(record, standing, before)

    def _drop(self, record: Record) -> None:
        self._unfile(record)
        del self._records[record.slot], self._since[record.slot]
        self.ids.drop(record.slot)
        self.changes += 1
        self._weight -= _weight(record)
        publisher = self._publishers[record.key]
        publisher.slots.discard(record.slot)
        publisher.bytes -= _announced(record)
        if not publisher.slots:
            del self._publishers[record.key]

    def _file(self, record: Record, standing: Standing, before: Record | None = None) -> None:
        """Have a statement stand with its like; one that only replaces another keeps the other's place among them."""
        if self._standings.get(record.slot) != standing:
            self._unfile(before or record)
            self._standings[record.slot] = standing
        elif before is not None:
            self._weights[standing] -= _weight(before)
        else:
            return
        self._groups.setdefault(standing, {})[record.slot] = record
        self._weights[standing] = self._weights.get(standing, 0) + _weight(record)

    def _unfile(self, record: Record) -> None:
        standing = self._standings.pop(record.slot, None)
        if standing is None:
            return
        del self._groups[standing][record.slot]
        self._weights[standing] -= _weight(record)
        if not self._groups[standing]:
            del self._groups[standing], self._weights[standing]


def _weight(record: Record) -> int:
    return len(record.data) + OVERHEAD


def _announced(record: Record) -> int:
    """Bytes that count against what a key may have of announcements."""
    return len(record.data) if record.kind is Kind.ANNOUNCEMENT else 0
