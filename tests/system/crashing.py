"""What must hold of a store after its process or its machine has died: the model beside the real thing."""

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
from tests.waiting import SECONDS

ROOT = Path(__file__).parents[2]


class Model:
    """What was acknowledged: pins and their keys, and what was deleted for good."""

    def __init__(self) -> None:
        self.pins: dict[str, tuple[str, list[str]]] = {}
        self.deleted: set[str] = set()
        self.open: dict[str, Any] | None = None  # an intent without its success

    def take(self, row: dict[str, Any]) -> None:
        """One line of the workload."""
        if "op" in row:
            self.open = row
        elif "ok" in row and self.open is not None:
            self.apply(self.open)
            self.open = None

    def apply(self, row: dict[str, Any]) -> None:
        if row["op"] == "commit":
            self.pins[row["name"]] = (row["root"], row["keys"])
            self.deleted -= set(row["keys"])
        elif row["op"] == "unpin":
            del self.pins[row["name"]]
        else:
            self.deleted.add(row["key"])

    def settle(self, store: Store) -> None:
        """Find out which way the operation under way went: either is right, halfway is not."""
        row, self.open = self.open, None
        if row is None:
            return
        found = {pin.name: str(pin.root) for pin in store.pins()}
        if row["op"] == "commit":
            happened = found.get(row["name"]) == row["root"]
        elif row["op"] == "unpin":
            happened = row["name"] not in found
        else:
            happened = not store.has(Multihash(bytes.fromhex(row["key"])))
        if happened:
            self.apply(row)

    def check(self, store: Store) -> None:
        """Nothing acknowledged is lost, nothing deleted is back, every count is right."""
        self.settle(store)
        assert {pin.name: str(pin.root) for pin in store.pins()} == {
            name: root for name, (root, _) in self.pins.items()
        }
        for name, (_, keys) in self.pins.items():
            assert sorted(key.hex() for key in store.pin_keys(name)) == sorted(keys)
            for key in store.pin_keys(name):
                store.get(key)
        for deleted in self.deleted:
            assert not store.has(Multihash(bytes.fromhex(deleted)))
        counts: Counter[Multihash] = Counter()
        for name in self.pins:
            counts.update(store.pin_keys(name))
        for key, row in store.index.rows():
            assert row.refs == counts[key]
        damage = verify(store).damage
        assert damage == [], damage


def run_for(store: Path, seed: int, seconds: float, model: Model, stop: "Stop") -> None:
    """Run the workload, stop it in that many seconds after it is ready, and take what it said."""
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
        stop(process)
        out, err = process.communicate(timeout=SECONDS)
    finally:
        process.kill()
        process.wait()
    assert not err or stop.noisy, err.decode()
    lines = out.decode().split("\n")
    assert json.loads(lines[0]) == {"ready": True}
    for line in lines[1:-1]:  # the last may be cut short
        model.take(json.loads(line))


class Stop:
    """How a run ends. `noisy`: the workload may complain before it is gone."""

    noisy = False

    def __call__(self, process: "subprocess.Popen[bytes]") -> None:
        """Kill it."""
        process.kill()


def reopen(store: Path, rng: random.Random) -> Store:
    """Open again; now and then after the index is lost as well."""
    if rng.random() < 0.3:
        shutil.rmtree(store / "index")
    return Store(store)
