"""A volume whose disk is full: it says so, loses nothing, and goes on when there is room."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from commonhold.trees import ROOT
from tests.system.disks import small_ext4
from tests.volume.volumes import Place, listed, make, names

pytestmark = [pytest.mark.root]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    if os.geteuid() != 0:
        pytest.skip("needs root to mount")
    with small_ext4(tmp_path) as mounted:
        yield mounted


def test_a_full_disk_is_found_before_a_commit_begins(small_disk: Path) -> None:
    (small_disk / "volume").mkdir()
    place = Place(small_disk / "volume")
    volume = place.open()
    ballast = small_disk / "ballast"
    with open(ballast, "wb", buffering=0) as file:
        os.posix_fallocate(file.fileno(), 0, 78 << 20)
    made = committed = 0
    with pytest.raises(OSError, match="No space"):
        while True:
            for _ in range(5000):
                made += 1
                make(volume, b"%d" % made)
            volume.sync(0)
            committed = made
    assert committed
    assert volume.attr(ROOT).size == made
    with pytest.raises(OSError, match="No space"):
        volume.sync(0)
    ballast.unlink()
    volume.sync(0)
    volume.close()
    volume = place.open()
    assert sorted(names(volume)) == sorted(b"%d" % n for n in range(1, made + 1))
    assert len(listed(volume)) == made and list(volume.verify()) == []
    volume.close()
