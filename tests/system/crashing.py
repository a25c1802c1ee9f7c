"""What must hold of a store after its process or its machine has died: the model beside the real thing."""

import copy
import json
import random
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from commonhold.blockstore.store import Store
from commonhold.blockstore.verify import verify
from commonhold.formats.multihash import Multihash
from tests.killing import killed


class Model:
    """What was acknowledged: pins and their keys, and what was deleted for good."""

    def __init__(self) -> None:
        self.pins: dict[str, tuple[str, list[str]]] = {}
        self.deleted: set[str] = set()
        self.open: list[dict[str, Any]] = []  # intents without a success that counts, in their order

    def take(self, row: dict[str, Any]) -> None:
        """One line of the workload."""
        if "op" in row:
            self.open.append(row)
        elif "ok" in row:
            self.apply(self.open.pop())

    def apply(self, row: dict[str, Any]) -> None:
        if row["op"] == "commit":
            self.pins[row["name"]] = (row["root"], row["keys"])
            self.deleted -= set(row["keys"])
        elif row["op"] == "unpin":
            self.pins.pop(row["name"], None)
        else:
            self.deleted.add(row["key"])

    def settle(self, store: Store) -> None:
        """Find out how far the operations under way came: each may have happened after those before it, and wholly."""
        rows, self.open = self.open, []
        found = _roots(store)
        for count in range(len(rows), -1, -1):
            after = copy.deepcopy(self)
            for row in rows[:count]:
                after.apply(row)
            gone = [row["key"] for row in rows[:count] if row["op"] == "delete"]
            if after.roots() == found and not any(_has(store, key) for key in gone):
                self.pins, self.deleted = after.pins, after.deleted
                return

    def roots(self) -> dict[str, str]:
        """Each pin's root."""
        return {name: root for name, (root, _) in self.pins.items()}

    def check(self, store: Store) -> None:
        """Nothing acknowledged is lost, nothing deleted is back, every count is right."""
        self.settle(store)
        assert _roots(store) == self.roots()
        for name, (_, keys) in self.pins.items():
            assert sorted(key.hex() for key in store.pin_keys(name)) == sorted(keys)
            for key in store.pin_keys(name):
                store.get(key)
        for deleted in self.deleted:
            assert not _has(store, deleted)
        counts: Counter[Multihash] = Counter()
        for name in self.pins:
            counts.update(store.pin_keys(name))
        for key, row in store.index.rows():
            assert row.refs == counts[key]
        damage = verify(store).damage
        assert damage == [], damage


def _roots(store: Store) -> dict[str, str]:
    return {pin.name: str(pin.root) for pin in store.pins()}


def _has(store: Store, key: str) -> bool:
    return store.has(Multihash(bytes.fromhex(key)))


def run_for(store: Path, seed: int, seconds: float, model: Model, cut: Callable[[], object] | None = None) -> None:
    """Run the workload and take what it said; see `killed`."""
    said = killed(["tests.system.workload", store, seed], seconds, cut)
    rows = [json.loads(line) for line in said.lines]
    assert rows[0] == {"ready": True}
    for at, row in enumerate(rows):
        if at < said.promises or "op" in row:
            model.take(row)


def reopen(store: Path, rng: random.Random) -> Store:
    """Open again; now and then after the index is lost as well."""
    if rng.random() < 0.3:
        shutil.rmtree(store / "index")
    return Store(store)
