"""What must hold of a store after its process or its machine has died: the model beside the real thing."""

import copy
import json
import random
import select
import shutil
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from commonhold.blockstore.store import Store
from commonhold.blockstore.verify import verify
from commonhold.formats.multihash import Multihash
from tests.waiting import SECONDS, waiting

ROOT = Path(__file__).parents[2]


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


def run_for(store: Path, seed: int, seconds: float, model: Model, stop: "Stop") -> None:
    """Run the workload, stop it in that many seconds after it is ready, and take what it said. What it says is done
    once its power is gone is no promise (see `tests.volume.killing`)."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.system.workload", str(store), str(seed)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None and process.stderr is not None
    try:
        select.select([process.stdout], [], [], SECONDS)
        time.sleep(seconds)
        before = waiting(process.stdout.fileno()) if stop.noisy else b""
        stop(process)
        out, err = process.communicate(timeout=SECONDS)
    finally:
        process.kill()
        process.wait()
    assert not err or stop.noisy, err.decode()
    rows = [json.loads(line) for line in (before + out).split(b"\n")[:-1]]  # the last may be cut short
    promised = before.count(b"\n") if stop.noisy else len(rows)
    assert rows[0] == {"ready": True}
    for at, row in enumerate(rows):
        if at < promised or "op" in row:
            model.take(row)


class Stop:
    """How a run ends. `noisy`: its power goes first, so that the workload may complain before it is gone."""

    noisy = False

    def __call__(self, process: "subprocess.Popen[bytes]") -> None:
        """Kill it."""
        process.kill()


def reopen(store: Path, rng: random.Random) -> Store:
    """Open again; now and then after the index is lost as well."""
    if rng.random() < 0.3:
        shutil.rmtree(store / "index")
    return Store(store)
