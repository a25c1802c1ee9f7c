"""Sessions: one add under way. It knows which blocks are new and which were there, and ends as a retain set or not."""

import hashlib
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from commonhold.api import MAX_BLOCK, OWNERLESS, Pin, Slot
from commonhold.blockstore import layout
from commonhold.blockstore.frame import Frame
from commonhold.blockstore.holders import Holding
from commonhold.blockstore.index import Row
from commonhold.blockstore.layout import Gone, Place
from commonhold.blockstore.quota import Claims
from commonhold.blockstore.records import RecordKind
from commonhold.errors import HoldError, Kind
from commonhold.formats.cid import Cid
from commonhold.formats.multihash import Multihash
from commonhold.host.interruption import held_back

if TYPE_CHECKING:
    from commonhold.blockstore.store import Store

_KEPT_LIMIT = 1 << 16


class StoreSession:
    """A session of the local store. See `api.Session`."""

    fillers = 2  # they hash faster than the disk writes; more would only contend for the interpreter

    def __init__(
        self, store: "Store", holding: Holding, quota: int | None, pause: Callable[[], None] = lambda: None
    ) -> None:
        self._store = store
        self._pause = pause  # before each block: see `OwnedStore`
        self._holding = holding
        self._claims = Claims(store.ledgers, holding.owner, quota)
        self._charged = 0  # by the index since it was last said to the ledger
        self._frame: Frame | None = None
        self._open = 0  # slots reserved and not yet settled
        self._set: int | None = None
        self._new_set: int | None = None  # in a transaction under way
        self.placed: set[Multihash] = set()  # settled in frames that are not submitted
        self._sent: set[Multihash] = set()  # submitted and not yet acknowledged
        self._left_out: list[tuple[Place, int]] = []  # written, and then found to have been there
        self._kept: list[Multihash] = []
        self._count_at = _KEPT_LIMIT
        self._txn: Any = None
        self._seen = -1
        self.kept_now: set[Multihash] = set()  # found and not yet counted in the index; `gc` spares them
        self.new_blocks = 0
        self.new_bytes = 0
        self.since = store.writer.failures
        with store.mutex:
            store.sessions.add(self)

    # ── blocks ──

    def put(self, key: Multihash, data: bytes | memoryview) -> bool:
        """See `api.Session.put`."""
        self._pause()
        if self._holding.owner == OWNERLESS and self._take(key, len(data)):
            return False
        # For an owner, a block that somebody else put must cost what a new one does: it is copied in any case.
        slot = self.reserve(len(data), wait=True)
        if slot is None:
            raise HoldError("put", Kind.FAILED, "session", "every frame has open slots")
        slot.into[:] = data
        return self.settle(slot, key)

    def keep(self, key: Multihash) -> bool:
        """See `api.Session.keep`. What the owner may not read is not there for them."""
        self._pause()
        row = self._visible(key)
        return row is not None and self._take(key, row.length)

    def has_open(self, owner: int, key: Multihash) -> bool:
        """Whether this session is an owner's and has a block that is not yet counted."""
        return self._holding.owner == owner and (key in self.kept_now or key in self._sent)

    def _visible(self, key: Multihash, txn: Any = None) -> Row | None:
        """What the owner may know of a block; a store of one user has nothing to hide."""
        index, owner = self._store.index, self._holding.owner
        return index.row(key, txn) if owner == OWNERLESS else index.visible(key, owner, txn)

    def _under_way(self, key: Multihash) -> bool:
        """Whether a block is being written, by anybody or, where there are owners, by this session."""
        sent = self._store.writer.pending if self._holding.owner == OWNERLESS else self._sent
        return key in self.placed or key in sent

    def keep_all(self, keys: Sequence[Multihash]) -> list[bool]:
        """See `api.Session.keep_all`."""
        return [self.keep(key) for key in keys]

    def _take(self, key: Multihash, length: int) -> bool:
        """Count a block as one of this session's if it is here, as far as the owner may know."""
        if not self._known(key):
            return False
        with self._store.mutex:  # gc looks at kept_now under it: either it sees this, or we see it gone
            if not self._under_way(key) and self._store.index.row(key) is None:
                return False
            self._kept.append(key)
            self.kept_now.add(key)
        try:
            self._claims.claim(key, length)
        except HoldError:
            self._kept.pop()
            self.kept_now.discard(key)
            raise
        if len(self._kept) >= self._count_at:
            self._count_kept()
        return True

    def _known(self, key: Multihash) -> bool:
        """A cheap answer from a snapshot that is renewed when the index has moved on."""
        if self._under_way(key):
            return True
        if self._store.damaged and key in self._store.damaged:
            return False
        index = self._store.index
        if self._txn is None or self._seen != index.commits:
            self._end_snapshot()
            self._seen = index.commits
            self._txn = index.snapshot()
        return self._visible(key, self._txn) is not None

    def _end_snapshot(self) -> None:
        if self._txn is not None:
            self._txn.abort()
            self._txn = None

    def reserve(self, length: int, *, wait: bool) -> Slot | None:
        """See `api.Session.reserve`."""
        if length > MAX_BLOCK:
            raise HoldError("put", Kind.TOO_LARGE, "block", f"{length} bytes, the limit is {MAX_BLOCK}")
        self._store.writer.check(self.since)
        slot = self._frame.reserve(length) if self._frame is not None else None
        if slot is None:
            self._retire_frame()
            self._frame = self._store.writer.frame(wait=wait and not self._open)
            if self._frame is None:
                return None
            slot = self._frame.reserve(length)
            assert slot is not None
        self._open += 1
        return slot

    def digest(self, slot: Slot) -> bytes:
        """See `api.Session.digest`."""
        return hashlib.sha256(slot.into).digest()

    def settle(self, slot: Slot, key: Multihash) -> bool:
        """See `api.Session.settle`."""
        try:
            known = self._take(key, len(slot.into))
            if not known:
                self._claims.claim(key, len(slot.into))
        except HoldError:
            self.abandon(slot)
            raise
        if known:
            self.abandon(slot)
        else:
            self._place(slot, key)
        return not known

    def abandon(self, slot: Slot) -> None:
        """See `api.Session.abandon`."""
        frame = slot.home
        assert isinstance(frame, Frame)
        self._open -= 1
        frame.forget(slot)
        self._pass_on(frame)

    def _place(self, slot: Slot, key: Multihash) -> None:
        frame = slot.home
        assert isinstance(frame, Frame)
        self._open -= 1
        frame.settle(slot, key)
        self.placed.add(key)
        self.new_blocks += 1
        self.new_bytes += len(slot.into)
        self._pass_on(frame)

    def _retire_frame(self) -> None:
        frame, self._frame = self._frame, None
        if frame is not None:
            self._pass_on(frame)

    def _pass_on(self, frame: Frame) -> None:
        """Hand a frame on once nothing more goes in and nothing in it is open."""
        if frame is self._frame or frame.unsettled:
            return
        if frame.empty:
            self._store.writer.give_back(frame)
        else:
            keys = frame.keys()
            self._sent.update(keys)
            self._store.writer.submit(frame, self)
            self.placed.difference_update(keys)

    # ── called by the writer ──

    def prepare(self, rows: list[tuple[Multihash, Row]]) -> None:
        """See `writer.Owner`: a damaged block that was put again is gone from its old place."""
        if not self._store.damaged:
            return
        healed = [(key, row) for key, row in rows if key in self._store.damaged]
        gone = []
        for key, row in healed:
            old = self._store.index.row(key)
            if old is not None:
                gone.append(Gone(key, old.place, row.place))
        if gone:
            self._store.catalog.append(RecordKind.GONE, layout.pack_gone(gone))
            self._store.catalog.sync()

    def enter(self, txn: Any, rows: list[tuple[Multihash, Row]]) -> None:
        """See `writer.Owner`."""
        index, damaged = self._store.index, self._store.damaged
        known, size = index.take(txn, [one for one in rows if one[0] not in damaged], self._holding)
        self._charged += size
        if known or self._holding.owner != OWNERLESS:  # an owner could tell by the time whether there was any
            self._leave_out(known, rows)
        for key, row in rows if damaged else ():
            if key in damaged:
                self._mend(txn, key, row)
        index.sets.add_members(txn, self._set_id(txn), b"".join([layout.pack_key(key) for key, _ in rows]))

    def _leave_out(self, known: list[tuple[Multihash, Row]], rows: list[tuple[Multihash, Row]]) -> None:
        """Another session wrote these of the blocks first: say that there is nothing in the new places."""
        store = self._store
        gone = {key: layout.pack_gone([Gone(key, row.place, None)]) for key, row in rows}
        store.catalog.append(RecordKind.GONE, b"".join([gone[key] for key, _ in known]))
        store.catalog.sync()
        self._left_out += [(row.place, row.length) for _, row in known]

    def _mend(self, txn: Any, key: Multihash, row: Row) -> None:
        index = self._store.index
        old = index.row(key, txn)
        index.put(txn, key, row._replace(refs=0) if old is None else old._replace(place=row.place, length=row.length))
        self._charged += index.add_refs(txn, [key], 1, self._holding)[0]
        index.clear_damaged(txn, key)
        self._store.damaged.discard(key)

    def entered(self, rows: list[tuple[Multihash, Row]]) -> None:
        """See `writer.Owner`."""
        self._set = self._new_set
        size, self._charged = self._charged, 0
        keys = [key for key, _ in rows]
        self._claims.charged(keys, size)
        self._sent.difference_update(keys)
        self._store.writer.holes += self._left_out
        self._left_out = []

    # ── ends ──

    def _set_id(self, txn: Any) -> int:
        if self._new_set is None:
            self._new_set = self._store.index.sets.new(txn, self._holding)
        return self._new_set

    def _count_kept(self) -> None:
        """Count what was found in the index, once its blocks are there; what is in our own open frame waits."""
        self._acknowledge()
        found = [key for key in self._kept if key not in self.placed]
        if found:
            self._count(found)
        self._kept = [key for key in self._kept if key in self.placed]
        self._count_at = max(_KEPT_LIMIT, 2 * len(self._kept))

    def _count(self, found: list[Multihash]) -> None:
        index = self._store.index
        with self._store.mutex, held_back():
            try:
                with index.write() as txn:
                    size, missing = index.add_refs(txn, found, 1, self._holding)
                    if missing:
                        raise HoldError("add", Kind.FAILED, f"{missing} blocks", "were there, and are not any more")
                    packed = b"".join([layout.pack_key(key) for key in found])
                    index.sets.add_members(txn, self._set_id(txn), packed)
            except HoldError:
                self._new_set = self._set
                raise
            self._set = self._new_set
            self._claims.charged(found, size)
            self.kept_now.difference_update(found)

    def _send(self) -> None:
        """Submit the frame being filled, and return when all is acknowledged."""
        if self._open:
            raise HoldError("flush", Kind.FAILED, "session", "slots are still open")
        self._retire_frame()
        self._acknowledge()

    def _acknowledge(self) -> None:
        """Return when all that was submitted is acknowledged."""
        self._store.writer.flush()
        self._store.writer.check(self.since)

    def pause(self) -> None:
        """Hand on what is filled, so that a session nobody is using has none of the few frames, nor old pages."""
        self._retire_frame()
        self._end_snapshot()

    def flush(self) -> None:
        """See `api.Session.flush`."""
        self._send()

    def commit(self, name: str, root: Cid) -> Pin:
        """See `api.Session.commit`."""
        check_name(name)
        self._send()
        same = self._store.pin(name, self._holding.owner)
        if same is not None and (same.root, same.readers) == (root, self._holding.readers) and self._set is None:
            self.close()
            return same
        self._count_kept()
        pin, old = self._complete(name, root)
        self.close()
        if old is not None:
            self._store.undo_set(old)
        return pin

    def _complete(self, name: str, root: Cid) -> tuple[Pin, int | None]:
        """Make the set whole, in the catalogue and the index; the pin, and the set that had its name."""
        store, index = self._store, self._store.index
        with store.mutex, store.change():
            before = index.sets.named(name, self._holding.owner)
            set_id = self._set
            if set_id is None:
                with index.write() as txn:
                    set_id = index.sets.new(txn, self._holding)
            blocks, size = self._write_members(set_id)
            pin = Pin(name, root, blocks, size, time.time(), *self._holding)
            store.catalog.append(*layout.pack_commit(set_id, pin))
            if before is not None:
                store.catalog.append(RecordKind.DROP, layout.pack_drop(before[0]))
            store.catalog.sync()
            with index.write() as txn:
                old = index.sets.complete(txn, set_id, pin)
                index.update_mark(txn, catalog=store.catalog.end)
            self._set = None
        return pin, old

    def _write_members(self, set_id: int) -> tuple[int, int]:
        """Copy the set's keys to the catalogue; how many, and their bytes."""
        count = size = 0
        for _, packed in self._store.index.sets.members(set_id):
            self._store.catalog.append(RecordKind.MEMBERS, layout.pack_members(set_id, packed))
            with self._store.index.snapshot() as txn:
                for key in layout.unpack_keys(packed):
                    row = self._store.index.row(key, txn)
                    count += 1
                    size += row.length if row else 0
        return count, size

    def close(self) -> None:
        """See `api.Session.close`."""
        if self not in self._store.sessions:
            return
        self._end_snapshot()
        self._retire_frame()
        try:
            if self._store.writer.usable:
                failures = self._store.writer.failures
                self._store.writer.flush()
                self._store.writer.check(failures)  # what failed before this, whoever closes was told
            if self._set is not None and self._store.writer.usable:
                self._store.undo_set(self._set)
                self._set = None
        finally:
            self._claims.close()
            with self._store.mutex:
                self._store.sessions.discard(self)


def check_name(name: str) -> None:
    """Refuse what cannot name a pin: empty, over 255 bytes, or with control characters."""
    if not name or not name.isprintable() or len(name.encode()) > layout.MAX_NAME:
        raise HoldError(
            "pin",
            Kind.USAGE,
            repr(name)[:80],
            "a pin's name has 1 to 255 bytes of printable text",
            hint="choose another",
        )
