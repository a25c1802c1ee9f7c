"""Opening after anything: the index follows the files from its last mark, or is made anew from them.

What holds afterwards, and what deleting for good rests on: every sound row of a frame's table is either where the
index says, or named by a GONE record.
"""

from commonhold.api import Pin
from commonhold.blockstore import layout
from commonhold.blockstore.catalog import Catalog
from commonhold.blockstore.holders import Holding
from commonhold.blockstore.index import Index, Mark, Row
from commonhold.blockstore.layout import Gone, Place
from commonhold.blockstore.records import RecordKind
from commonhold.blockstore.segments import Found, Segments
from commonhold.formats import multihash
from commonhold.formats.multihash import Multihash

_BATCH = 10_000


def recover(segments: Segments, catalog: Catalog, index: Index) -> list[str]:
    """Bring the index level with the files and the files' tails in order; what was found to be said."""
    segments.drop_unborn()
    mark = index.mark()
    if mark is None:
        return _rebuild(segments, catalog, index)
    segments.above(mark.segment)
    notes = _follow_catalog(catalog, index, mark)
    notes += _follow_segments(segments, catalog, index, mark)
    return notes


# ── following from a mark ──


def _follow_catalog(catalog: Catalog, index: Index, mark: Mark) -> list[str]:
    generation, checkpoint = catalog.generation()
    start = mark.catalog if generation == mark.generation else checkpoint
    if start == catalog.end and generation == mark.generation:
        return []
    catalog.cut_torn(start)
    catalog.sync()  # a killed process may have left records that the kernel has and the disk has not
    with index.write() as txn:
        for kind, body, _ in catalog.scan(start):
            if kind in (RecordKind.COMMIT, RecordKind.OWNED):
                index.sets.complete(txn, *layout.unpack_commit(kind, body))
            elif kind is RecordKind.DROP:
                index.sets.leave(txn, layout.unpack_drop(body))
            elif kind is RecordKind.RENAME:
                index.sets.rename(txn, *layout.unpack_rename(body))
            elif kind is RecordKind.GONE:
                for gone in layout.unpack_gone(body):
                    _follow_gone(index, txn, gone)
        index.update_mark(txn, generation=generation, catalog=catalog.end)
    if catalog.missing or catalog.end < start:
        return ["the catalogue is damaged and the index is not: `hold gc` writes it anew"]
    return ["took up what the catalogue had and the index had not"]


def _follow_gone(index: Index, txn: object, gone: Gone) -> None:
    row = index.row(gone.key, txn)
    if row is None or row.place != gone.was:
        return
    if gone.now is None:
        index.remove(txn, gone.key)
    else:
        index.put(txn, gone.key, row._replace(place=gone.now))


def _follow_segments(segments: Segments, catalog: Catalog, index: Index, mark: Mark) -> list[str]:
    numbers = [number for number in segments.numbers() if number >= mark.segment]
    if not numbers:
        return []
    last, end = numbers[-1], mark.end
    blocks = 0
    for number in numbers:
        start = mark.end if number == mark.segment else 0
        size = segments.path(number).stat().st_size
        end = max(start, 4096)
        if size <= end:
            continue
        segments.sync_whole(number)
        for found in segments.frames(number, start):
            blocks += _adopt(segments, catalog, index, number, found)
            end = found.end
    segments.resume(last, end)
    if (last, end, catalog.end) != (mark.segment, mark.end, mark.catalog):
        with index.write() as txn:
            index.update_mark(txn, segment=last, end=end, catalog=catalog.end)
    return [f"took up {blocks} blocks written before the last stop"] if blocks else []


def _adopt(segments: Segments, catalog: Catalog, index: Index, number: int, found: Found) -> int:
    """Take a frame beyond the mark into the index; what is elsewhere already is named as gone from here."""
    rows: list[tuple[Multihash, Row]] = []
    extra: list[Gone] = []
    mine: set[Multihash] = set()
    for key, offset, length in found.blocks:
        place = Place(number, offset)
        known = index.row(key)
        if (known is not None and known.place == place) or key in mine:
            continue
        if known is not None:
            extra.append(Gone(key, place, None))
        elif multihash.matches(key, segments.read(place, length)):
            mine.add(key)
            rows.append((key, Row(place, length, 0)))
    if extra:
        catalog.append(RecordKind.GONE, layout.pack_gone(extra))
        catalog.sync()
    if rows:
        with index.write() as txn:
            index.put_new(txn, rows)
    return len(rows)


# ── making it anew ──


class Said:
    """What the catalogue says of retain sets and of what is gone, read from its start."""

    def __init__(self, catalog: Catalog) -> None:
        self.whole: dict[int, Pin] = {}
        self._named: dict[tuple[int, str], int] = {}  # the set that has an owner's name
        self.dropped: set[int] = set()
        self.gone: set[Place] = set()
        self.highest = 0
        for kind, body, _ in catalog.scan():
            self._take(kind, body)
        self.damaged = catalog.damaged  # bytes that could not be read

    def _take(self, kind: RecordKind, body: bytes) -> None:
        if kind is RecordKind.MEMBERS:
            self.highest = max(self.highest, layout.unpack_members(body)[0])
        elif kind in (RecordKind.COMMIT, RecordKind.OWNED):
            set_id, pin = layout.unpack_commit(kind, body)
            self.highest = max(self.highest, set_id)
            # Whatever had the name is gone by that, though a process may be killed before the DROP that says so.
            before = self._named.pop((pin.owner, pin.name), None)
            if before is not None:
                self.dropped.add(before)
            self._name(set_id, pin)
        elif kind is RecordKind.DROP:
            set_id = layout.unpack_drop(body)
            self.dropped.add(set_id)
            self._unname(set_id)
        elif kind is RecordKind.RENAME:
            set_id, name = layout.unpack_rename(body)
            if set_id in self.whole:
                self._unname(set_id)
                self._name(set_id, self.whole[set_id]._replace(name=name))
        elif kind is RecordKind.GONE:
            self.gone.update(item.was for item in layout.unpack_gone(body))

    def _name(self, set_id: int, pin: Pin) -> None:
        self.whole[set_id] = pin
        self._named[pin.owner, pin.name] = set_id

    def _unname(self, set_id: int) -> None:
        pin = self.whole.get(set_id)
        if pin is not None and self._named.get((pin.owner, pin.name)) == set_id:
            del self._named[pin.owner, pin.name]

    def live(self) -> dict[int, Pin]:
        """The retain sets that are whole and were not dropped."""
        return {set_id: pin for set_id, pin in self.whole.items() if set_id not in self.dropped}


def _rebuild(segments: Segments, catalog: Catalog, index: Index) -> list[str]:
    index.clear()
    catalog.cut_torn()
    said = Said(catalog)
    numbers = segments.numbers()
    catalog.sync()
    if numbers:
        segments.sync_whole(numbers[-1])
    blocks = 0
    for number in numbers:
        for found in segments.frames(number):
            blocks += _enter(segments, catalog, index, number, found, said.gone, check=number == numbers[-1])
    live = said.live()
    for kind, body, _ in catalog.scan():
        if kind is RecordKind.MEMBERS:
            set_id, packed = layout.unpack_members(body)
            if set_id in live:
                holding = Holding(live[set_id].owner, live[set_id].readers)
                with index.write() as txn:
                    index.add_refs(txn, layout.unpack_keys(packed), 1, holding)
                    index.sets.add_members(txn, set_id, packed)
    doubt = f"{said.damaged} bytes of the catalogue are damaged" if said.damaged else ""
    if catalog.missing and blocks:
        doubt = "the catalogue was gone"
    # Nothing is cut off here: a damaged frame at the end may be what an owner wants to look at. A new segment follows.
    tail = Place(numbers[-1], segments.path(numbers[-1]).stat().st_size) if numbers else Place(0, 0)
    with index.write() as txn:
        index.sets.reserve(txn, said.highest)
        for set_id, pin in sorted(live.items()):
            index.sets.complete(txn, set_id, pin)
        index.set_doubt(txn, doubt)
        index.set_mark(txn, Mark(tail.segment, tail.offset, catalog.generation()[0], catalog.end))
    notes = [f"made the index anew: {blocks} blocks, {len(live)} pins"] if numbers or live else []
    return [*notes, f"{doubt}: pins may be missing"] if doubt else notes


def _enter(
    segments: Segments, catalog: Catalog, index: Index, number: int, found: Found, gone: set[Place], *, check: bool
) -> int:
    """Enter a frame's blocks, but for what is gone; of the last segment only what its hash confirms."""
    rows: dict[Multihash, Row] = {}
    extra: list[Gone] = []
    for key, offset, length in found.blocks:
        place = Place(number, offset)
        if place in gone or (check and not multihash.matches(key, segments.read(place, length))):
            continue
        if key in rows or index.row(key) is not None:
            extra.append(Gone(key, place, None))
        else:
            rows[key] = Row(place, length, 0)
    if extra:
        catalog.append(RecordKind.GONE, layout.pack_gone(extra))
        catalog.sync()
    with index.write() as txn:
        index.put_new(txn, list(rows.items()))
    return len(rows)
