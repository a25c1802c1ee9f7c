"""kill -9 at random points of a concurrent add, unpin, delete, gc and compaction: 200 of them."""

import os
import random
from pathlib import Path

import pytest

from commonhold.blockstore.store import create
from tests.system.crashing import Model, reopen, run_for

_ROUNDS = 10
_SERIES = 200 if os.environ.get("HOLD_SOAK") else 20


@pytest.mark.slow
@pytest.mark.parametrize("series", range(_SERIES))
def test_kill_9_loses_nothing_acknowledged_and_brings_back_nothing_deleted(tmp_path: Path, series: int) -> None:
    rng = random.Random(series)
    store = tmp_path / "store"
    create(store)
    model = Model()
    for round_number in range(_ROUNDS):
        run_for(store, series * 1000 + round_number, rng.random() * 0.4, model)
        with reopen(store, rng) as opened:
            model.check(opened)
