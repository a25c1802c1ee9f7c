"""A volume and its store on a disk that loses its power: what was synced is there."""

import contextlib
import os
import random
import time
from pathlib import Path

import pytest

from tests.system.test_power import Disk
from tests.system.test_power import disk as disk
from tests.volume.killing import check_reopened, run_for
from tests.volume.workload import Files, opened

_POINTS = 200 if os.environ.get("HOLD_SOAK") else 12

pytestmark = [pytest.mark.root, pytest.mark.slow]


def power_up(disk: Disk, place: Path) -> None:
    """Mount again. What was cut off is mounted still while another's mount namespace, made meanwhile, has it too."""
    for _ in range(480):
        disk.unmount()
        disk.mount()
        with contextlib.suppress(OSError):
            (place / "store" / "format.json").read_bytes()
            return
        time.sleep(0.25)
    raise AssertionError("the disk does not come back")


def test_what_was_synced_is_there_after_a_power_cut(disk: Disk) -> None:
    rng = random.Random(5)
    place: Path = disk.mounted_at / "place"
    place.mkdir()
    with opened(place):
        pass
    os.sync()
    files: Files = {}
    for point in range(_POINTS):
        said = run_for(place, point, rng.uniform(0.02, 0.6), disk.cut, noisy=True)
        power_up(disk, place)
        check_reopened(place, files, point, said.synced)
