"""A volume whose disk is full: it says so, loses nothing, and goes on when there is room."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from commonhold.trees import ROOT
from tests.system.disks import small_ext4
from tests.volume.volumes import Place, everything, listed, make, names

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


def test_what_a_full_disk_refuses_has_not_been_done_and_what_was_done_outlives_the_process(small_disk: Path) -> None:
    (small_disk / "volume").mkdir()
    place = Place(small_disk / "volume")
    volume = place.open()
    file = make(volume, b"file").number
    ballast = small_disk / "ballast"
    with open(ballast, "wb", buffering=0) as filler, contextlib.suppress(OSError):
        while True:
            filler.write(bytes(1 << 16))
    with pytest.raises(OSError, match="No space"):
        for n in range(100):
            volume.write(file, n << 20, memoryview(bytes([n + 1]) * (1 << 20)), False, False)
    made = [make(volume, b"%d" % n).number for n in range(100)]  # the journal's first part is always there
    volume.unlink(ROOT, b"0")
    volume.forget(made[:1])
    seen = everything(volume, [])
    volume.abandon()
    volume = place.open()
    assert everything(volume, []) == seen
    ballast.unlink()
    volume.sync(0)
    volume.close()
    assert everything(place.open(), []) == seen
    place.close()
