"""Reclaiming: what no set keeps is deleted, segments that are mostly dead are rewritten, the catalogue is checkpointed.

All of it a batch at a time, while adds and reads go on.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from commonhold.api import Reclaimed
from commonhold.blockstore import holders, layout
from commonhold.blockstore.frame import Frame
from commonhold.blockstore.index import PIECE, Row
from commonhold.blockstore.layout import Gone, Place
from commonhold.blockstore.records import RecordKind
from commonhold.blockstore.sets import State
from commonhold.blockstore.store import Store
from commonhold.errors import HoldError, Kind
from commonhold.formats import multihash
from commonhold.formats.multihash import Multihash, describe

_BATCH = 2_000
_CHECKPOINT_FROM = 1 << 20

Tell = Callable[[str, int], None]  # what is being done, and how many blocks so far


def collect(
    store: Store,
    tell: Tell = lambda what, count: None,
    *,
    of_everybody: bool = True,
    despite_doubt: bool = False,
    pause: Callable[[], None] = lambda: None,
) -> Reclaimed:
    """Let go of what is put and not kept by a set, delete what nobody holds, then give back the disk space.

    `of_everybody` off: only what nobody holds any more goes. CORRUPT, and nothing is done, where pins may be missing.
    `pause`: see `OwnedStore`.
    """
    done = Reclaimed()
    _mend_catalogue(store, despite_doubt=despite_doubt)
    before = store.usage().disk
    live = _delete_dead(store, done, tell, pause, of_everybody=of_everybody)
    emptied = [number for number in _worth_rewriting(store, live) if _rewrite(store, number, done, tell)]
    _retire(store, emptied, done)
    _checkpoint(store)
    done.disk = max(0, before - store.usage().disk)
    return done


def let_go(store: Store, owner: int, pause: Callable[[], None]) -> Reclaimed:
    """Charge an owner no longer for what none of their sets keeps. Nothing is deleted. `pause`: see `OwnedStore`."""
    done = Reclaimed()
    _refuse_doubt(store)
    for page in _pages(store, pause):
        freed = _let_go_of_idle(store, page, owner)
        done.blocks += len(freed)
        done.bytes += sum(size for _, size in freed)
    return done


def _delete_dead(
    store: Store, done: Reclaimed, tell: Tell, pause: Callable[[], None], *, of_everybody: bool
) -> dict[int, int]:
    """Delete; the bytes that live in each segment."""
    live: dict[int, int] = {}
    for page in _pages(store, pause):
        if of_everybody:
            _let_go_of_idle(store, page, None)
        gone = _bury(store, [key for key, row in page if row.refs == 0])
        if gone:
            done.blocks += len(gone)
            done.bytes += sum(row.length for _, row in gone)
            tell("deleting", done.blocks)
        for _, row in page:
            if row.refs:
                live[row.place.segment] = live.get(row.place.segment, 0) + row.length
    return live


def _pages(store: Store, pause: Callable[[], None]) -> Iterator[list[tuple[Multihash, Row]]]:
    page: list[tuple[Multihash, Row]] = []
    for piece in store.index.pages(PIECE):
        pause()
        page += piece
        if len(page) >= _BATCH:
            yield page
            page = []
    if page:
        yield page


def _let_go_of_idle(store: Store, page: list[tuple[Multihash, Row]], owner: int | None) -> list[tuple[int, int]]:
    idle = [key for key, row in page if _idle(row, owner)]
    if not idle:
        return []
    with store.mutex:
        return _let_go(store, [key for key in idle if not _in_use(store, key, owner)], owner)


def bury(store: Store, keys: Sequence[Multihash] | None, pause: Callable[[], None] = lambda: None) -> None:
    """Delete those blocks that nobody holds; without keys all of them, as `collect` does."""
    if keys is None:
        collect(store, of_everybody=False, pause=pause)
    else:
        _bury(store, keys)


def _bury(store: Store, keys: Sequence[Multihash]) -> list[tuple[Multihash, Row]]:
    if not keys:
        return []
    with store.mutex:
        rows = [(key, store.index.row(key)) for key in keys if not store.held(key)]
        gone = [(key, row) for key, row in rows if row is not None and row.refs == 0 and not row.holders]
        if gone:
            store.forget(gone)
    return gone


def _idle(row: Row, owner: int | None) -> list[int]:
    """Who is charged for a block without a set that keeps it, if it is their turn."""
    return [who for who in holders.idle(row.holders) if owner is None or who == owner]


def _in_use(store: Store, key: Multihash, owner: int | None) -> bool:
    """Whether an add under way has a block: anybody's, or the owner's, for whom others' do not exist."""
    return store.held(key) if owner is None else store.held_by(owner, key)


def _let_go(store: Store, keys: list[Multihash], owner: int | None) -> list[tuple[int, int]]:
    """Charge nobody any longer for what none of their sets keeps: who, and bytes. Under the mutex."""
    freed: list[tuple[int, int]] = []
    with store.index.write() as txn:
        for key in keys:
            row = store.index.row(key, txn)
            for who in _idle(row, owner) if row is not None else ():
                assert row is not None
                row = row._replace(holders=holders.without(row.holders, who))
                store.index.put(txn, key, row)
                store.index.charge(txn, who, -1, -row.length)
                freed.append((who, row.length))
    for who, size in freed:
        store.ledgers.charged(who, (), -size)
    return freed


def let_go_of(store: Store, key: Multihash, owner: int) -> None:
    """Charge an owner no longer for a block that none of their sets keeps."""
    with store.mutex:
        if store.held_by(owner, key):
            raise HoldError("delete", Kind.BUSY, f"block {describe(key)}", "kept by an add under way")
        _let_go(store, [key], owner)


def _worth_rewriting(store: Store, live: dict[int, int]) -> Iterator[int]:
    """Segments of whose disk space less than half lives.

    Never the last: it is being written, or is about to be, and its number must not come again.
    """
    for number in store.segments.numbers()[:-1]:
        if number == store.segments.tail.segment:
            continue
        taken = store.segments.path(number).stat().st_blocks * 512
        if live.get(number, 0) * 2 < taken:
            yield number


class _Move:
    """The owner of frames whose blocks were elsewhere before."""

    def __init__(self, store: Store, done: Reclaimed) -> None:
        self._store = store
        self._done = done
        self.since = store.writer.failures
        self._was: dict[Multihash, Place] = {}
        self._frame: Frame | None = None
        self._here: set[Multihash] = set()

    def take(self, key: Multihash, row: Row, data: bytes) -> None:
        """Write a block again, if it still is where it was. Until it is there it is not deleted."""
        with self._store.mutex:
            now = self._store.index.row(key)
            if now is None or now.place != row.place or key in self._store.moving:
                return
            self._was[key] = row.place
            self._store.moving.add(key)
        slot = self._frame.reserve(len(data)) if self._frame else None
        if slot is None:
            self.submit()
            self._store.writer.check(self.since)
            self._frame = self._store.writer.frame(wait=True)
            assert self._frame is not None
            slot = self._frame.reserve(len(data))
            assert slot is not None
        assert self._frame is not None
        slot.into[:] = data
        self._frame.settle(slot, key)

    def submit(self) -> None:
        """Hand on what was taken."""
        if self._frame is not None:
            self._store.writer.submit(self._frame, self, new=False)
            self._frame = None

    def close(self) -> None:
        """Say that nothing is being moved any more."""
        self._arrived(list(self._was))

    def _arrived(self, keys: list[Multihash]) -> None:
        with self._store.mutex:
            self._store.moving.difference_update(keys)
            self._store.moved.notify_all()

    def prepare(self, rows: list[tuple[Multihash, Row]]) -> None:
        """See `writer.Owner`: a block that was deleted or moved meanwhile is gone from its new place instead."""
        gone = []
        for key, row in rows:
            now = self._store.index.row(key)
            if now is not None and now.place == self._was[key]:
                self._here.add(key)
                gone.append(Gone(key, now.place, row.place))
            else:
                gone.append(Gone(key, row.place, None))
        self._store.catalog.append(RecordKind.GONE, layout.pack_gone(gone))
        self._store.catalog.sync()

    def entered(self, rows: list[tuple[Multihash, Row]]) -> None:
        """See `writer.Owner`. Nobody's account changes by a move."""
        self._arrived([key for key, _ in rows])

    def enter(self, txn: Any, rows: list[tuple[Multihash, Row]]) -> None:
        """See `writer.Owner`."""
        for key, row in rows:
            # Read again: references are counted outside the mutex, only places are not changed.
            now = self._store.index.row(key, txn) if key in self._here else None
            self._here.discard(key)
            if now is not None:
                self._store.index.put(txn, key, now._replace(place=row.place))
                self._done.moved += 1


def _rewrite(store: Store, number: int, done: Reclaimed, tell: Tell) -> bool:
    """Move what lives out of a segment; False if something there cannot be read."""
    whole = True
    with contextlib.closing(_Move(store, done)) as move:
        for found in store.segments.frames(number):
            for key, offset, length in found.blocks:
                row = store.index.row(key)
                if row is None or row.place != Place(number, offset):
                    continue
                data = store.segments.read(row.place, length)
                if multihash.matches(key, data):
                    move.take(key, row, data)
                else:
                    whole = False
            tell("rewriting", done.moved)
        move.submit()
        store.writer.flush()
        store.writer.check(move.since)
    return whole


def _retire(store: Store, emptied: list[int], done: Reclaimed) -> None:
    """Delete the segments that the index does not speak of any more: not even of a block whose frame is damaged."""
    if not emptied:
        return
    with store.mutex:
        spoken_of = {row.place.segment for _, row in store.index.rows()}
        for number in emptied:
            if number not in spoken_of:
                store.segments.retire(number)
                done.segments += 1


def _mend_catalogue(store: Store, *, despite_doubt: bool) -> None:
    """Write a damaged catalogue anew from the index; but an index that was made from such a one knows no better."""
    doubt = store.index.doubt()
    if not despite_doubt:
        _refuse_doubt(store)
    if doubt or store.catalogue_damage():
        _checkpoint(store, force=True)
    if doubt:
        with store.index.write() as txn:
            store.index.set_doubt(txn, "")


def _refuse_doubt(store: Store) -> None:
    doubt = store.index.doubt()
    if doubt:
        raise HoldError(
            "gc",
            Kind.CORRUPT,
            "",
            f"{doubt}: pins may be missing, and what they keep would be deleted",
            hint="hold pin ls; then add or import what is missing, and hold gc --despite-doubt",
        )


def _checkpoint(store: Store, *, force: bool = False) -> None:
    """Write the catalogue anew when half of it or more is of no more use."""
    with store.mutex:
        store.writer.check(store.writer.failures)
        generation, checkpoint = store.catalog.generation()
        if store.catalog.end < max(_CHECKPOINT_FROM, 2 * checkpoint) and not force:
            return
        store.catalog.replace(generation + 1, _catalogue(store))
        with store.index.write() as txn:
            store.index.update_mark(txn, generation=generation + 1, catalog=store.catalog.end)


def _catalogue(store: Store) -> Iterator[tuple[RecordKind, bytes]]:
    """All that a new catalogue has to say."""
    for set_id, state, pin in store.index.sets.all():
        if state is State.WHOLE and pin is not None:
            for _, packed in store.index.sets.members(set_id):
                yield RecordKind.MEMBERS, layout.pack_members(set_id, packed)
            yield layout.pack_commit(set_id, pin)
    numbers = set(store.segments.numbers())
    for kind, body, _ in store.catalog.scan():
        if kind is RecordKind.GONE:
            kept = [gone for gone in layout.unpack_gone(body) if gone.was.segment in numbers]
            if kept:
                yield RecordKind.GONE, layout.pack_gone(kept)
