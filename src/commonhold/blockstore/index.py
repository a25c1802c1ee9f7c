"""The index: which block is where and how often it is kept, and what each retain set keeps. On LMDB, fully synced.

It can be lost: `recovery` makes it anew from the segments and the catalogue. Every change is one transaction.
"""

import contextlib
import struct
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import lmdb

from commonhold.api import NOT_A_USER, OWNERLESS
from commonhold.blockstore import holders, layout, sets
from commonhold.blockstore.holders import Holding
from commonhold.blockstore.layout import Place
from commonhold.blockstore.sets import Sets
from commonhold.errors import HoldError, Kind
from commonhold.formats.multihash import Multihash

_ROW = struct.Struct("<IIQQ")
_ACCOUNT = struct.Struct("<QQ")
_MAP_SIZE = 1 << 40  # address space, not disk
PIECE = 100  # rows that are looked at in one go, while others wait
_VERSION = 2  # an older index is made anew


class Row(NamedTuple):
    """What the index knows of a block. `refs` counts how often sets keep it; `gc` takes what has none and no holder."""

    place: Place
    length: int
    refs: int
    holders: bytes = b""  # see `holders`

    @classmethod
    def unpack(cls, value: bytes) -> "Row":
        """The row in an index's value."""
        segment, length, offset, refs = _ROW.unpack_from(value)
        return cls(Place(segment, offset), length, refs, value[_ROW.size :])

    def pack(self) -> bytes:
        """The index's value."""
        return _ROW.pack(self.place.segment, self.length, self.place.offset, self.refs) + self.holders


_NOBODYS_ROW = Row(Place(0, 0), 0, 0, holders.first(Holding(NOT_A_USER))).pack()


class Account(NamedTuple):
    """What an owner is charged for."""

    blocks: int
    bytes: int


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
        self._env, self._all = _open(directory)
        self._blocks, self._meta, self._damaged, self._accounts = (self._all[name] for name in _OWN)
        self._members = self._all[b"members"]
        self.sets = Sets([self._all[name] for name in sets.DATABASES], self._read)
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
        value = self._value(key, txn)
        return None if value is None else Row.unpack(value)

    def visible(self, key: bytes, owner: int, txn: Any = None) -> Row | None:
        """What an owner may know of a block. What is hidden and what does not exist take the same steps."""
        row = Row.unpack(self._value(key, txn) or _NOBODYS_ROW)
        return row if holders.may_read(row.holders, owner) else None

    def _value(self, key: bytes, txn: Any) -> bytes | None:
        try:
            if txn is None:
                with self._env.begin(self._blocks) as fresh:
                    return fresh.get(key)  # type: ignore[no-any-return]
            return txn.get(key, db=self._blocks)  # type: ignore[no-any-return]
        except lmdb.Error as error:
            raise _translated(error) from error

    def put_new(self, txn: Any, rows: Sequence[tuple[Multihash, Row]]) -> list[tuple[Multihash, Row]]:
        """Enter blocks; those that were there already stay as they are and are given back."""
        packed = {key: row.pack() for key, row in rows}
        with txn.cursor(self._blocks) as cursor:
            _, added = cursor.putmulti([(key, packed[key]) for key in _in_order(packed)], overwrite=False)
        known = []
        if added < len(rows):
            known = [(key, row) for key, row in rows if txn.get(key, db=self._blocks) != row.pack()]
        self._count_bytes(txn, sum(row.length for _, row in rows) - sum(row.length for _, row in known))
        return known

    def take(
        self, txn: Any, rows: Sequence[tuple[Multihash, Row]], holding: Holding
    ) -> tuple[list[tuple[Multihash, Row]], int]:
        """Enter blocks that one set keeps; one that was there already stays as it is, and one set more keeps it.

        Those given back, and how many bytes are charged anew. Either takes as long: an owner could tell by the time
        what others have.
        """
        own = {key: row.pack() for key, row in rows}
        with txn.cursor(self._blocks) as cursor:
            there = dict(cursor.getmulti(_in_order(own)))
            known = []
            added = blocks = size = 0
            for key, row in rows:
                value = there.get(key, own[key])
                segment, length, offset, refs = _ROW.unpack_from(value)
                held, charged = holders.change(value[_ROW.size :], holding, 1)
                blocks += charged
                size += charged * length
                if key in there:
                    known.append((key, row))
                    refs += 1
                else:
                    added += length
                own[key] = _ROW.pack(segment, length, offset, refs) + held
            cursor.putmulti([(key, own[key]) for key in _in_order(own)])
        self._count_bytes(txn, added)
        self.charge(txn, holding.owner, blocks, size)
        return known, size

    def put(self, txn: Any, key: Multihash, row: Row) -> None:
        """Change a block's row."""
        txn.put(key, row.pack(), db=self._blocks)

    def remove(self, txn: Any, key: Multihash) -> None:
        """Forget a block; whoever held it is charged for it no longer."""
        row = self.row(key, txn)
        if row is not None:
            txn.delete(key, db=self._blocks)
            self._count_bytes(txn, -row.length)
            for who in holders.charged(row.holders):
                self.charge(txn, who, -1, -row.length)

    def add_refs(self, txn: Any, keys: Iterable[Multihash], sign: int, holding: Holding) -> tuple[int, int]:
        """Count each key's references up or down by how often it is named, on somebody's behalf.

        Bytes charged anew, and how many of the keys are not there.
        """
        counts = Counter(keys)
        changed = []
        blocks = size = 0
        with txn.cursor(self._blocks) as cursor:
            for key, value in cursor.getmulti(_in_order(counts)):
                row = Row.unpack(value)
                times = sign * counts[key]
                held, charged = holders.change(row.holders, holding, times)
                blocks += charged
                size += charged * row.length
                changed.append((key, row._replace(refs=max(0, row.refs + times), holders=held).pack()))
            cursor.putmulti(changed)
        self.charge(txn, holding.owner, blocks, size)
        return size, len(counts) - len(changed)

    def charge(self, txn: Any, owner: int, blocks: int, size: int) -> None:
        """Charge an owner for blocks, or no longer."""
        if owner == OWNERLESS or not (blocks or size):
            return
        now = _account(txn.get(_owner(owner), db=self._accounts))
        value = _ACCOUNT.pack(max(0, now.blocks + blocks), max(0, now.bytes + size))
        txn.put(_owner(owner), value, db=self._accounts)

    def account(self, owner: int) -> Account:
        """What an owner is charged for."""
        with self._read(self._accounts) as txn:
            return _account(txn.get(_owner(owner)))

    def scan(self, after: bytes, limit: int) -> list[tuple[Multihash, Row]]:
        """The rows after a key, in key order."""
        found = []
        with self._read(self._blocks) as txn, txn.cursor() as cursor:
            if not cursor.set_range(after + b"\0" if after else b"\0"):
                return []
            for key, value in cursor.iternext():
                found.append((Multihash(key), Row.unpack(value)))
                if len(found) == limit:
                    break
        return found

    def rows(self) -> Iterator[tuple[Multihash, Row]]:
        """Every row, in key order, from a snapshot per page: what changes meanwhile may or may not be seen."""
        for page in self.pages(10_000):
            yield from page

    def pages(self, size: int) -> Iterator[list[tuple[Multihash, Row]]]:
        """The same, so many at a time."""
        last = b""
        while page := self.scan(last, size):
            yield page
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

    def doubt(self) -> str:
        """Why pins may be missing that there were, since the index was made anew; empty if nothing says so."""
        with self._read(self._meta) as txn:
            return (txn.get(b"doubt") or b"").decode()

    def set_doubt(self, txn: Any, why: str) -> None:
        """Say why pins may be missing, or that they are not."""
        txn.put(b"doubt", why.encode(), db=self._meta)

    def clear(self) -> None:
        """Forget everything, before it is made anew."""
        with self.write() as txn:
            for db in self._all.values():
                txn.drop(db, delete=False)

    # ── what adds up ──

    def audit(self) -> list[str]:
        """What does not add up: references against the sets' members, accounts against what their owners hold.

        All in one snapshot. Each key is weighted by its own digest, so that no list of all keys is needed: a wrong
        count of references is missed with a chance of 2⁻⁶⁴.
        """
        balance = 0
        accounts: Counter[int] = Counter()
        with self._read() as txn:
            with txn.cursor(self._blocks) as blocks:
                for key, value in blocks:
                    row = Row.unpack(value)
                    balance += _weight(key) * row.refs
                    for who in holders.charged(row.holders):
                        accounts[who] += row.length
            with txn.cursor(self._members) as members:
                for _, packed in members:
                    balance -= sum(map(_weight, layout.unpack_keys(packed)))
            with txn.cursor(self._accounts) as charged:
                for owner, value in charged:
                    accounts[int.from_bytes(owner, "big")] -= _account(value).bytes
        found = ["counts of references in the index do not agree with the pins"] if balance else []
        wrong = sorted(owner for owner, difference in accounts.items() if difference)
        return found + [f"uid {owner} is charged for other than what they hold" for owner in wrong]

    # ── how far the files were followed ──

    def mark(self) -> Mark | None:
        """The last mark; None in a new index, or one that was not finished being made."""
        with self._read(self._meta) as txn:
            value = txn.get(b"mark")
            version = txn.get(b"version")
        if version is not None and version[0] > _VERSION:
            raise HoldError("open", Kind.VERSION, "index", f"version {version[0]}, this program knows {_VERSION}")
        return None if value is None or version != bytes((_VERSION,)) else Mark(*struct.unpack("<IQQQ", value))

    def set_mark(self, txn: Any, mark: Mark) -> None:
        """Say how far the files were followed."""
        txn.put(b"mark", struct.pack("<IQQQ", *mark), db=self._meta)
        txn.put(b"version", bytes((_VERSION,)), db=self._meta)

    def update_mark(self, txn: Any, **changed: int) -> None:
        """Change part of the mark within a transaction."""
        value = txn.get(b"mark", db=self._meta)
        mark = Mark(*struct.unpack("<IQQQ", value)) if value else Mark(0, 0, 0, 0)
        self.set_mark(txn, mark._replace(**changed))


_OWN = (b"blocks", b"meta", b"damaged", b"accounts")
_DATABASES = sorted({*_OWN, *sets.DATABASES})


def _open(directory: Path) -> tuple[Any, dict[bytes, Any]]:
    """Open the environment and its databases; one that LMDB does not recognise is set aside, to be made anew."""
    try:
        return _environment(directory)
    except (lmdb.InvalidError, lmdb.CorruptedError, lmdb.VersionMismatchError, lmdb.PanicError):
        (directory / "data.mdb").replace(directory / "damaged.mdb")
        return _environment(directory)
    except lmdb.Error as error:
        raise _translated(error) from error


def _environment(directory: Path) -> tuple[Any, dict[bytes, Any]]:
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
        return env, {name: env.open_db(name) for name in _DATABASES}
    except lmdb.Error:
        env.close()
        raise


def _translated(error: lmdb.Error) -> HoldError:
    if isinstance(error, lmdb.MapFullError | lmdb.DiskError) or "No space" in str(error):
        return HoldError("index", Kind.DISK_FULL, "", str(error))
    if isinstance(error, lmdb.ReadonlyError):
        return HoldError("index", Kind.DENIED, "", str(error))
    if isinstance(error, lmdb.MemoryError):
        return HoldError("index", Kind.NO_MEMORY, "", f"{error}; it needs a TiB of address space, not of memory")
    return HoldError("index", Kind.CORRUPT, "", str(error), hint="hold verify --rebuild-index")


def _in_order(keys: Iterable[Multihash]) -> list[Multihash]:
    """Sorted, a few at a time: one long sort would let no other thread run until it is done."""
    parts: defaultdict[bytes, list[Multihash]] = defaultdict(list)
    for key in keys:
        parts[key[:3]].append(key)  # its function, its length, and a byte that is different in most
    return [key for start in sorted(parts) for key in sorted(parts[start])]


def _weight(key: bytes) -> int:
    return int.from_bytes(key[-8:], "little") | 1


def _account(value: bytes | None) -> Account:
    return Account(*_ACCOUNT.unpack(value)) if value else Account(0, 0)


def _owner(owner: int) -> bytes:
    return owner.to_bytes(4, "big")
