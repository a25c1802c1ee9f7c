"""The clock of volumes, beside files that the kernel writes."""

import os
from pathlib import Path

from commonhold.volume.clock import KernelClock
from tests.opened import left_open, opened, opened_since


def test_it_is_the_clock_of_files(tmp_path: Path) -> None:
    clock = KernelClock()
    times = []
    with open(tmp_path / "file", "wb", buffering=0) as file:
        for _ in range(500):
            file.write(b"x")
            times += [os.fstat(file.fileno()).st_mtime_ns, clock()]
    assert times == sorted(times) and times[0] < times[-1]


def test_its_file_goes_with_it() -> None:
    before = opened()
    clocks = [KernelClock() for _ in range(10)]
    assert len(opened_since(before)) == 10
    del clocks
    assert left_open(before) == []
