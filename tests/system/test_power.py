"""A power cut at 20 points: ext4's shutdown ioctl on a loop device of the test's own. What was not synced is gone."""

import fcntl
import os
import random
import struct
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from commonhold.blockstore.store import Store, create
from tests.system.crashing import Model, reopen, run_for

_EXT4_IOC_SHUTDOWN = 0x8004587D
_NO_LOG_FLUSH = 2
_POINTS = 200 if os.environ.get("HOLD_SOAK") else 20
_SIZE = 1 << 30

pytestmark = [pytest.mark.root, pytest.mark.slow]


class Disk:
    """A file system of our own that can lose its power.

    Whoever makes a mount namespace meanwhile, as other tests do, has it mounted there too, until that ends: after a cut
    it would be found as it is in memory. So then a copy of what had reached the device is mounted.
    """

    def __init__(self, directory: Path) -> None:
        self.image = directory / "image"
        self._dead = False
        self.mounted_at = directory / "mounted"
        self.mounted_at.mkdir()
        with open(self.image, "wb") as image:
            image.truncate(_SIZE)
        subprocess.run(["mkfs.ext4", "-q", "-F", str(self.image)], check=True)

    def mount(self) -> None:
        if self._dead:
            there = self.image.with_name("there")
            subprocess.run(["dd", f"if={self.image}", f"of={there}", "bs=1M", "conv=sparse", "status=none"], check=True)
            os.truncate(there, _SIZE)
            there.replace(self.image)
            self._dead = False
        subprocess.run(["mount", "-o", "loop", str(self.image), str(self.mounted_at)], check=True)

    def unmount(self) -> None:
        subprocess.run(["umount", str(self.mounted_at)], check=True)

    def cut(self) -> None:
        """From now on nothing reaches the device, not even what the journal had."""
        fd = os.open(self.mounted_at, os.O_RDONLY)
        try:
            fcntl.ioctl(fd, _EXT4_IOC_SHUTDOWN, struct.pack("I", _NO_LOG_FLUSH))
            device = os.fstat(fd).st_dev
        finally:
            os.close(fd)
        under_way = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}/inflight")
        while under_way.read_text().split() != ["0", "0"]:  # writes that had begun
            time.sleep(0.001)
        self._dead = True


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    if os.geteuid() != 0:
        pytest.skip("needs root to mount")
    made = Disk(tmp_path)
    made.mount()
    try:
        yield made
    finally:
        if os.path.ismount(made.mounted_at):
            made.unmount()


def test_the_cut_is_real(disk: Disk) -> None:
    victim = disk.mounted_at / "not-synced"
    victim.write_bytes(b"x" * 100_000)
    disk.cut()
    disk.unmount()
    disk.mount()
    assert not victim.exists() or victim.stat().st_size == 0


def test_a_power_cut_loses_nothing_acknowledged_and_brings_back_nothing_deleted(disk: Disk) -> None:
    rng = random.Random(7)
    store = disk.mounted_at / "store"
    create(store)
    os.sync()
    model = Model()
    for point in range(_POINTS):
        run_for(store, point, 0.05 + rng.random() * 0.6, model, disk.cut)
        disk.unmount()
        disk.mount()
        with reopen(store, rng) as opened:
            model.check(opened)


def test_what_was_taken_up_after_a_kill_survives_a_power_cut(disk: Disk) -> None:
    """A killed process leaves frames and records that the kernel has and the disk may not."""
    rng = random.Random(11)
    store = disk.mounted_at / "store"
    create(store)
    os.sync()
    model = Model()
    for point in range(_POINTS):
        run_for(store, point, 0.05 + rng.random() * 0.2, model)
        with reopen(store, rng) as opened:
            model.check(opened)
            before = set(opened.keys())
        disk.cut()
        disk.unmount()
        disk.mount()
        with Store(store) as opened:
            assert before <= set(opened.keys())
            model.check(opened)
