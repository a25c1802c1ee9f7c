"""kill -9 in the middle of uploads, drops and sweeps: nothing that was said to be there is lost."""

import os
import random
from pathlib import Path

import pytest

from tests.storage.killing import check_reopened, run_for

_ROUNDS = 200 if os.environ.get("HOLD_SOAK") else 15


@pytest.mark.slow
def test_kill_9_loses_no_share_that_was_finished_and_no_upload(tmp_path: Path) -> None:
    rng = random.Random(3)
    there: set[int] = set()
    resumed = 0
    for number in range(_ROUNDS):
        run_for(tmp_path, number, rng.uniform(0.0, 0.3), there)
        resumed += check_reopened(tmp_path, there, torn=False)
    assert resumed


@pytest.mark.slow
def test_kill_9_while_a_shelf_is_emptied_loses_nothing_and_leaves_nothing_over(tmp_path: Path) -> None:
    rng = random.Random(4)
    there: set[int] = set()
    moved = 0
    for number in range(_ROUNDS):
        moved += run_for(tmp_path, number, rng.uniform(0.0, 0.5), there, None, "moving")
        check_reopened(tmp_path, there, torn=False)
    assert moved > _ROUNDS // 3
