"""The index's part about retain sets: which there are, under whose names, and what each keeps. Told by `index`."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from enum import IntEnum
from typing import Any

from commonhold.api import OWNERLESS, Pin
from commonhold.blockstore import layout
from commonhold.blockstore.holders import Holding

DATABASES = (b"sets", b"names", b"members", b"meta")

Read = Callable[[Any], AbstractContextManager[Any]]  # a transaction for reading one database


class State(IntEnum):
    """How far a retain set is."""

    STAGED = 0  # being filled; undone when its process dies
    WHOLE = 1
    LEAVING = 2  # dropped; its references are being undone


class Sets:
    """All retain sets of one index. Whoever changes them has the transaction."""

    def __init__(self, databases: list[Any], read: Read) -> None:
        self._sets, self._names, self._members, self._meta = databases
        self._read = read

    def new(self, txn: Any, holding: Holding) -> int:
        """Begin a set on somebody's behalf; its number is never used again."""
        number = int.from_bytes(txn.get(b"next-set", db=self._meta) or b"\1", "little")
        txn.put(b"next-set", (number + 1).to_bytes(8, "little"), db=self._meta)
        txn.put(_number(number), bytes((State.STAGED,)) + layout.pack_holding(holding), db=self._sets)
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

    def remove_members(self, txn: Any, row: bytes) -> None:
        """Forget one run of a set's keys."""
        txn.delete(row, db=self._members)

    def complete(self, txn: Any, set_id: int, pin: Pin) -> int | None:
        """Make a set whole under its owner's name for it; the number of the set that had it and is leaving now."""
        txn.put(_number(set_id), bytes((State.WHOLE,)) + layout.pack_owned(set_id, pin), db=self._sets)
        name = _name(pin.owner, pin.name)
        before = txn.get(name, db=self._names)
        txn.put(name, _number(set_id), db=self._names)
        if before is None or before == _number(set_id):
            return None
        self._mark_leaving(txn, before)
        return int.from_bytes(before, "big")

    def _mark_leaving(self, txn: Any, number: bytes) -> None:
        holding, _ = layout.unpack_holding(txn.get(number, db=self._sets)[1:])
        txn.put(number, bytes((State.LEAVING,)) + layout.pack_holding(holding), db=self._sets)

    def leave(self, txn: Any, set_id: int) -> None:
        """Mark a set as leaving, and free its name."""
        value = txn.get(_number(set_id), db=self._sets)
        if value is None:
            return
        if value[0] == State.WHOLE:
            pin = layout.unpack_owned(value[1:])[1]
            name = _name(pin.owner, pin.name)
            if txn.get(name, db=self._names) == _number(set_id):
                txn.delete(name, db=self._names)
        self._mark_leaving(txn, _number(set_id))

    def rename(self, txn: Any, set_id: int, name: str) -> None:
        """Give a whole set another name."""
        value = txn.get(_number(set_id), db=self._sets)
        if value is None or value[0] != State.WHOLE:
            return
        pin = layout.unpack_owned(value[1:])[1]
        before = _name(pin.owner, pin.name)
        if txn.get(before, db=self._names) == _number(set_id):
            txn.delete(before, db=self._names)
        self.complete(txn, set_id, pin._replace(name=name))

    def forget(self, txn: Any, set_id: int) -> None:
        """Forget a set whose references are undone."""
        txn.delete(_number(set_id), db=self._sets)

    def holding(self, set_id: int) -> Holding:
        """On whose behalf a set is."""
        with self._read(self._sets) as txn:
            value = txn.get(_number(set_id))
        return layout.unpack_holding(value[1:])[0] if value else Holding()

    def all(self) -> list[tuple[int, State, Pin | None]]:
        """Every set, oldest first; of a whole one, what its owner sees of it."""
        found = []
        with self._read(self._sets) as txn, txn.cursor() as cursor:
            for key, value in cursor:
                state = State(value[0])
                pin = layout.unpack_owned(value[1:])[1] if state is State.WHOLE else None
                found.append((int.from_bytes(key, "big"), state, pin))
        return found

    def named(self, name: str, owner: int = OWNERLESS) -> tuple[int, Pin] | None:
        """The whole set that an owner has under a name."""
        with self._read(self._names) as txn:
            number = txn.get(_name(owner, name))
            if number is None:
                return None
            value = bytes(txn.get(number, db=self._sets))
        return int.from_bytes(number, "big"), layout.unpack_owned(value[1:])[1]

    def pins(self, owner: int | None = None) -> list[Pin]:
        """Every whole set, or those of an owner, by name."""
        prefix = b"" if owner is None else _owner(owner)
        found = []
        with self._read(self._names) as txn, txn.cursor() as cursor:
            if not cursor.set_range(prefix or b"\0"):
                return []
            for name, number in cursor.iternext():
                if not name.startswith(prefix):
                    break
                found.append(layout.unpack_owned(bytes(txn.get(number, db=self._sets))[1:])[1])
        return found

    def reserve(self, txn: Any, above: int) -> None:
        """Never use set numbers up to this one."""
        number = int.from_bytes(txn.get(b"next-set", db=self._meta) or b"\1", "little")
        txn.put(b"next-set", max(number, above + 1).to_bytes(8, "little"), db=self._meta)


def _owner(owner: int) -> bytes:
    return owner.to_bytes(4, "big")


def _name(owner: int, name: str) -> bytes:
    return _owner(owner) + name.encode(errors="surrogateescape")  # of a name that is no text there is no set


def _number(set_id: int) -> bytes:
    return set_id.to_bytes(8, "big")
