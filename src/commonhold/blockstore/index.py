"""The index: which block is where and how often it is kept, and what each retain set keeps. On LMDB, fully synced.

It can be lost: `recovery` makes it anew from the segments and the catalogue. Every change is one transaction.
"""

import contextlib
import struct
from collections import Counter
from collections.abc import Iterable, Iterator
from enum import IntEnum
from pathlib import Path
from typing import Any, NamedTuple

import lmdb

from commonhold.api import Pin
from commonhold.blockstore import layout
from commonhold.blockstore.layout import Place
from commonhold.errors import HoldError, Kind
from commonhold.formats.multihash import Multihash

_ROW = struct.Struct("<IIQQ")
_MAP_SIZE = 1 << 40  # address space, not disk
_VERSION = 1


class Row(NamedTuple):
    """What the index knows of a block. `refs` counts how often sets keep it; 0 is what `gc` takes."""

    place: Place
    length: int
    refs: int


class State(IntEnum):
    """How far a retain set is."""

    STAGED = 0  # being filled; undone when its process dies
    WHOLE = 1
    LEAVING = 2  # dropped; its references are being undone


class Mark(NamedTuple):
    """How far the index has followed the files."""

    segment: int
    end: int
    generation: int
    catalog: int


class Index:
    """The index of one store. Reads are safe from any thread; LMDB lets one thread write at a time."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(mode=0o700, exist_ok=True)
        self._env, dbs = _open(directory)
        self._blocks, self._sets, self._names, self._members, self._meta, self._damaged = dbs
        self.commits = 0  # grows with every change of blocks; a reader's snapshot is stale when it has moved

    def close(self) -> None:
        """Close the environment."""
        self._env.close()

    def snapshot(self) -> Any:
        """A read transaction, for `row`. Whoever asked for it aborts it before long: it keeps old pages from reuse."""
        return self._env.begin()

    @contextlib.contextmanager
    def _read(self, db: Any = None) -> Iterator[Any]:
        try:
            with self._env.begin(db) as txn:
                yield txn
        except lmdb.Error as error:
            raise _translated(error) from error

    @contextlib.contextmanager
    def write(self) -> Iterator[Any]:
        """A write transaction; durable when the block is left, undone if it raises."""
        try:
            with self._env.begin(write=True) as txn:
                yield txn
        except lmdb.Error as error:
            raise _translated(error) from error
        self.commits += 1

    # ── blocks ──

    def row(self, key: bytes, txn: Any = None) -> Row | None:
        """What is known of a block."""
        try:
            if txn is None:
                with self._env.begin(self._blocks) as fresh:
                    value = fresh.get(key)
            else:
                value = txn.get(key, db=self._blocks)
        except lmdb.Error as error:
            raise _translated(error) from error
        if value is None:
            return None
        segment, length, offset, refs = _ROW.unpack(value)
        return Row(Place(segment, offset), length, refs)

    def put_new(self, txn: Any, rows: Iterable[tuple[Multihash, Row]]) -> None:
        """Enter blocks that were not there."""
        items = sorted((key, _ROW.pack(row.place.segment, row.length, row.place.offset, row.refs)) for key, row in rows)
        with txn.cursor(self._blocks) as cursor:
            cursor.putmulti(items)
        self._count_bytes(txn, sum(_ROW.unpack(value)[1] for _, value in items))

    def put(self, txn: Any, key: Multihash, row: Row) -> None:
        """Change a block's row."""
        txn.put(key, _ROW.pack(row.place.segment, row.length, row.place.offset, row.refs), db=self._blocks)

    def remove(self, txn: Any, key: Multihash) -> None:
        """Forget a block."""
        row = self.row(key, txn)
        if row is not None:
            txn.delete(key, db=self._blocks)
            self._count_bytes(txn, -row.length)

    def add_refs(self, txn: Any, keys: Iterable[Multihash], sign: int) -> None:
        """Count each key's references up or down by how often it is named."""
        counts = Counter(keys)
        changed = []
        with txn.cursor(self._blocks) as cursor:
            for key, value in cursor.getmulti(sorted(counts)):
                segment, length, offset, refs = _ROW.unpack(value)
                refs = max(0, refs + sign * counts[key])
                changed.append((key, _ROW.pack(segment, length, offset, refs)))
            cursor.putmulti(changed)

    def scan(self, after: bytes = b"", limit: int = 10_000) -> list[tuple[Multihash, Row]]:
        """The rows after a key, in key order."""
        found = []
        with self._read(self._blocks) as txn, txn.cursor() as cursor:
            if not cursor.set_range(after + b"\0" if after else b"\0"):
                return []
            for key, value in cursor.iternext():
                segment, length, offset, refs = _ROW.unpack(value)
                found.append((Multihash(key), Row(Place(segment, offset), length, refs)))
                if len(found) == limit:
                    break
        return found

    def rows(self) -> Iterator[tuple[Multihash, Row]]:
        """Every row, in key order, from a snapshot per page: what changes meanwhile may or may not be seen."""
        last = b""
        while page := self.scan(last):
            yield from page
            last = page[-1][0]

    def block_count(self) -> int:
        """How many blocks there are."""
        with self._read() as txn:
            return int(txn.stat(self._blocks)["entries"])

    def _count_bytes(self, txn: Any, change: int) -> None:
        now = int.from_bytes(txn.get(b"bytes", db=self._meta) or b"", "little")
        txn.put(b"bytes", max(0, now + change).to_bytes(8, "little"), db=self._meta)

    def byte_count(self) -> int:
        """Bytes of payload of all blocks."""
        with self._read(self._meta) as txn:
            return int.from_bytes(txn.get(b"bytes") or b"", "little")

    def set_damaged(self, keys: Iterable[Multihash]) -> None:
        """Remember which blocks are known to be wrong on disk, so that the next put of one writes it anew."""
        with self.write() as txn:
            txn.drop(self._damaged, delete=False)
            for key in keys:
                txn.put(key, b"", db=self._damaged)

    def clear_damaged(self, txn: Any, key: Multihash) -> None:
        """Say that a block is sound again."""
        txn.delete(key, db=self._damaged)

    def damaged(self) -> set[Multihash]:
        """The blocks that are known to be wrong on disk."""
        with self._read(self._damaged) as txn, txn.cursor() as cursor:
            return {Multihash(key) for key, _ in cursor}

    def clear(self) -> None:
        """Forget everything, before it is made anew."""
        with self.write() as txn:
            for db in (self._blocks, self._sets, self._names, self._members, self._meta, self._damaged):
                txn.drop(db, delete=False)

    # ── retain sets ──

    def new_set(self, txn: Any) -> int:
        """Begin a set; its number is never used again."""
        number = int.from_bytes(txn.get(b"next-set", db=self._meta) or b"\1", "little")
        txn.put(b"next-set", (number + 1).to_bytes(8, "little"), db=self._meta)
        txn.put(_number(number), bytes((State.STAGED,)), db=self._sets)
        return number

    def add_members(self, txn: Any, set_id: int, packed: bytes) -> None:
        """Add a packed run of keys to what a set keeps. The references are counted apart."""
        with txn.cursor(self._members) as cursor:
            last = -1
            moved = cursor.prev() if cursor.set_range(_number(set_id + 1)) else cursor.last()
            if moved and cursor.key()[:8] == _number(set_id):
                last = int.from_bytes(cursor.key()[8:], "big")
        txn.put(_number(set_id) + (last + 1).to_bytes(4, "big"), packed, db=self._members)

    def members(self, set_id: int) -> Iterator[tuple[bytes, bytes]]:
        """Yield (row's key, packed keys) of a set, each from a fresh snapshot."""
        at = _number(set_id)
        while True:
            with self._read(self._members) as txn, txn.cursor() as cursor:
                if not cursor.set_range(at) or cursor.key()[:8] != _number(set_id):
                    return
                key, packed = cursor.item()
            yield key, packed
            at = key + b"\0"

    def imbalance(self) -> int:
        """0 if every count of references is what the sets' members add up to; else, all but surely, another number.

        Both sides are added up in one snapshot, each key weighted by its own digest: no list of all keys is needed.
        """
        total = 0
        with self._read() as txn:
            with txn.cursor(self._blocks) as blocks:
                for key, value in blocks:
                    total += _weight(key) * int(_ROW.unpack(value)[3])
            with txn.cursor(self._members) as members:
                for _, packed in members:
                    total -= sum(map(_weight, layout.unpack_keys(packed)))
        return total

    def remove_members(self, txn: Any, row: bytes) -> None:
        """Forget one run of a set's keys."""
        txn.delete(row, db=self._members)

    def complete_set(self, txn: Any, set_id: int, pin: Pin) -> int | None:
        """Make a set whole under its name; the number of the set that had the name and is leaving now."""
        txn.put(_number(set_id), bytes((State.WHOLE,)) + layout.pack_pin(set_id, pin), db=self._sets)
        name = pin.name.encode()
        before = txn.get(name, db=self._names)
        txn.put(name, _number(set_id), db=self._names)
        if before is None or before == _number(set_id):
            return None
        old = int.from_bytes(before, "big")
        txn.put(before, bytes((State.LEAVING,)), db=self._sets)
        return old

    def leave(self, txn: Any, set_id: int) -> None:
        """Mark a set as leaving, and free its name."""
        value = txn.get(_number(set_id), db=self._sets)
        if value is None:
            return
        if len(value) > 1:
            name = layout.unpack_pin(value[1:])[1].name.encode()
            if txn.get(name, db=self._names) == _number(set_id):
                txn.delete(name, db=self._names)
        txn.put(_number(set_id), bytes((State.LEAVING,)), db=self._sets)

    def rename_set(self, txn: Any, set_id: int, name: str) -> None:
        """Give a whole set another name."""
        value = txn.get(_number(set_id), db=self._sets)
        if value is None or len(value) < 2:
            return
        pin = layout.unpack_pin(value[1:])[1]
        if txn.get(pin.name.encode(), db=self._names) == _number(set_id):
            txn.delete(pin.name.encode(), db=self._names)
        self.complete_set(txn, set_id, pin._replace(name=name))

    def forget_set(self, txn: Any, set_id: int) -> None:
        """Forget a set whose references are undone."""
        txn.delete(_number(set_id), db=self._sets)

    def sets(self) -> list[tuple[int, State, Pin | None]]:
        """Every set, oldest first."""
        found = []
        with self._read(self._sets) as txn, txn.cursor() as cursor:
            for key, value in cursor:
                pin = layout.unpack_pin(value[1:])[1] if len(value) > 1 else None
                found.append((int.from_bytes(key, "big"), State(value[0]), pin))
        return found

    def set_named(self, name: str) -> tuple[int, Pin] | None:
        """The whole set of a name."""
        with self._read(self._names) as txn:
            number = txn.get(name.encode())
            if number is None:
                return None
            value = bytes(txn.get(number, db=self._sets))
        return int.from_bytes(number, "big"), layout.unpack_pin(value[1:])[1]

    def pins(self) -> list[Pin]:
        """Every whole set, by name."""
        found = []
        with self._read(self._names) as txn, txn.cursor() as cursor:
            for _, number in cursor:
                found.append(layout.unpack_pin(bytes(txn.get(number, db=self._sets))[1:])[1])
        return found

    def reserve_sets(self, txn: Any, above: int) -> None:
        """Never use set numbers up to this one."""
        number = int.from_bytes(txn.get(b"next-set", db=self._meta) or b"\1", "little")
        txn.put(b"next-set", max(number, above + 1).to_bytes(8, "little"), db=self._meta)

    # ── how far the files were followed ──

    def mark(self) -> Mark | None:
        """The last mark; None in a new index, or one that was not finished being made."""
        with self._read(self._meta) as txn:
            value = txn.get(b"mark")
            version = txn.get(b"version")
        if version is not None and version != bytes((_VERSION,)):
            raise HoldError("open", Kind.VERSION, "index", f"version {version[0]}, this program knows {_VERSION}")
        return None if value is None else Mark(*struct.unpack("<IQQQ", value))

    def set_mark(self, txn: Any, mark: Mark) -> None:
        """Say how far the files were followed."""
        txn.put(b"mark", struct.pack("<IQQQ", *mark), db=self._meta)
        txn.put(b"version", bytes((_VERSION,)), db=self._meta)

    def update_mark(self, txn: Any, **changed: int) -> None:
        """Change part of the mark within a transaction."""
        value = txn.get(b"mark", db=self._meta)
        mark = Mark(*struct.unpack("<IQQQ", value)) if value else Mark(0, 0, 0, 0)
        self.set_mark(txn, mark._replace(**changed))


_DATABASES = (b"blocks", b"sets", b"names", b"members", b"meta", b"damaged")


def _open(directory: Path) -> tuple[Any, list[Any]]:
    """Open the environment and its databases; one that LMDB does not recognise is set aside, to be made anew."""
    try:
        return _environment(directory)
    except (lmdb.InvalidError, lmdb.CorruptedError, lmdb.VersionMismatchError, lmdb.PanicError):
        (directory / "data.mdb").replace(directory / "damaged.mdb")
        return _environment(directory)


def _environment(directory: Path) -> tuple[Any, list[Any]]:
    # Rows lie in no order that reading ahead could guess.
    env = lmdb.open(
        str(directory),
        map_size=_MAP_SIZE,
        max_dbs=len(_DATABASES),
        mode=0o600,
        max_readers=256,
        max_spare_txns=8,
        readahead=False,
    )
    try:
        return env, [env.open_db(name) for name in _DATABASES]
    except lmdb.Error:
        env.close()
        raise


def _translated(error: lmdb.Error) -> HoldError:
    if isinstance(error, lmdb.MapFullError | lmdb.DiskError) or "No space" in str(error):
        return HoldError("index", Kind.DISK_FULL, "", str(error))
    return HoldError("index", Kind.CORRUPT, "", str(error), hint="hold verify --rebuild-index")


def _weight(key: bytes) -> int:
    return int.from_bytes(key[-8:], "little") | 1


def _number(set_id: int) -> bytes:
    return set_id.to_bytes(8, "big")
