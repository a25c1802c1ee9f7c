"""A full disk: an error that says so, nothing half done, everything that was there stays readable, and gc works."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.disks import small_ext4

pytestmark = [pytest.mark.root]

_HOLD = [sys.executable, "-m", "tests.cli.hold"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    if os.geteuid() != 0:
        pytest.skip("needs root to mount")
    with small_ext4(tmp_path) as mounted:
        yield mounted


def hold(repository: Path, *words: str, code: int = 0) -> "subprocess.CompletedProcess[bytes]":
    done = subprocess.run([*_HOLD, "--repo", str(repository), *words], capture_output=True, check=False)
    assert done.returncode == code, done.stderr.decode()
    return done


def test_a_full_disk_is_an_error_and_what_was_stored_stays(small_disk: Path, tmp_path: Path) -> None:
    repository = small_disk / "repo"
    (tmp_path / "fits").write_bytes(os.urandom(10 << 20))
    (tmp_path / "too-large").write_bytes(os.urandom(200 << 20))
    hold(repository, "init")
    root = hold(repository, "add", "-Q", "--name", "fits", str(tmp_path / "fits")).stdout.decode().strip()
    done = hold(repository, "add", "--name", "too-large", str(tmp_path / "too-large"), code=1)
    assert b"E-DISK-FULL" in done.stderr
    assert hold(repository, "cat", root).stdout == (tmp_path / "fits").read_bytes()
    assert len(hold(repository, "pin", "ls").stdout.splitlines()) == 1
    hold(repository, "gc")
    hold(repository, "verify")
    with pytest.raises(OSError, match="No space"), open(small_disk / "the rest", "wb", buffering=0) as rest:
        while True:
            rest.write(bytes(4096))
    assert hold(repository, "cat", root).stdout == (tmp_path / "fits").read_bytes()
    (small_disk / "the rest").unlink()
    (tmp_path / "more").write_bytes(os.urandom(20 << 20))
    hold(repository, "add", "--name", "more", str(tmp_path / "more"))
    assert len(hold(repository, "pin", "ls").stdout.splitlines()) == 2
