"""A volume and its store on a disk that loses its power: what was synced is there."""

import os
import random
from pathlib import Path

import pytest

from tests.system.test_power import Disk
from tests.system.test_power import disk as disk
from tests.volume.killing import check_reopened, run_for
from tests.volume.workload import Files, opened

_POINTS = 200 if os.environ.get("HOLD_SOAK") else 12
ANOTHER_BOOT = b"another boot, 16"  # after a power cut: what the journal has on the disk by then is no journal

pytestmark = [pytest.mark.root, pytest.mark.slow]


def test_what_was_synced_is_there_after_a_power_cut(disk: Disk) -> None:
    rng = random.Random(5)
    place: Path = disk.mounted_at / "place"
    place.mkdir()
    with opened(place):
        pass
    os.sync()
    files: Files = {}
    for point in range(_POINTS):
        said = run_for(place, point, rng.uniform(0.02, 0.6), disk.cut)
        disk.unmount()
        disk.mount()
        check_reopened(place, files, point, said.synced, ANOTHER_BOOT)
