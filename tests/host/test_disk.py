"""Files the way a store needs them."""

import ctypes
import fcntl
import mmap
import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from commonhold.host import disk

MUCH = 64 * disk.PAGE


@contextmanager
def opened(path: Path) -> Iterator[int]:
    fd = os.open(path, os.O_RDWR | os.O_CREAT)
    try:
        yield fd
    finally:
        os.close(fd)


def aligned(data: bytes) -> memoryview:
    memory = disk.aligned(len(data) + 1)
    memory[: len(data)] = data
    return memory[: len(data)]


def in_memory(fd: int) -> list[bool]:
    """Which pages of a file the page cache has. Source: mincore(2)."""
    size = os.fstat(fd).st_size
    with mmap.mmap(fd, size) as mapped:
        found = (ctypes.c_ubyte * -(-size // disk.PAGE))()
        there = ctypes.c_ubyte.from_buffer(mapped)
        failed = ctypes.CDLL(None, use_errno=True).mincore(ctypes.byref(there), ctypes.c_size_t(size), found)
        del there
    assert not failed, os.strerror(ctypes.get_errno())
    return [bool(one & 1) for one in found]


def test_a_forked_process_has_memory_of_its_own() -> None:
    """What two of them fill and send must not be what the other one wrote meanwhile."""
    memory = disk.aligned(3 * disk.PAGE)
    memory[:4] = b"mine"
    child = os.fork()
    if not child:
        memory[:4] = b"your"
        os._exit(0 if bytes(memory[:4]) == b"your" else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert bytes(memory[:4]) == b"mine"


@pytest.mark.parametrize("at", [0, 1, disk.PAGE, disk.PAGE + 1])
@pytest.mark.parametrize("size", [0, 1, disk.PAGE, MUCH - 1, MUCH, MUCH + 1])
@pytest.mark.parametrize("off", [0, 1])
def test_what_is_written_past_the_cache_is_what_was_given(tmp_path: Path, at: int, size: int, off: int) -> None:
    data = random.Random(size).randbytes(off + size)
    with opened(tmp_path / "file") as fd:
        os.write(fd, b"x" * (at + size + 3))
        before = fcntl.fcntl(fd, fcntl.F_GETFL)
        disk.write_past_cache(fd, aligned(data)[off:], at)
        assert fcntl.fcntl(fd, fcntl.F_GETFL) == before
    assert (tmp_path / "file").read_bytes() == b"x" * at + data[off:] + b"x" * 3


def test_whole_pages_do_not_stay_in_memory(tmp_path: Path) -> None:
    fd, direct = disk.open_direct(str(tmp_path / "file"), os.O_RDWR | os.O_CREAT)
    os.close(fd)
    if not direct:
        pytest.skip("this file system has no direct I/O")
    with opened(tmp_path / "file") as fd:
        disk.reserve(fd, 0, MUCH + 1)
        disk.write_past_cache(fd, aligned(bytes(MUCH + 1)), 0)
        assert not any(in_memory(fd)[:-1])
        os.pread(fd, 1, 0)
        assert in_memory(fd)[0]


def test_a_full_disk_is_no_reason_to_try_another_way(tmp_path: Path) -> None:
    with opened(Path("/dev/full")) as fd, pytest.raises(OSError, match="No space left"):
        disk.write_past_cache(fd, aligned(bytes(MUCH)), 0)


@pytest.mark.parametrize("reserved", [True, False])
@pytest.mark.parametrize("came", [0, 1, disk.PAGE, disk.PAGE + 1, 2 * disk.PAGE, MUCH, MUCH + 5])
def test_what_was_written_of_a_file_is_known_but_for_its_last_block(tmp_path: Path, reserved: bool, came: int) -> None:
    with opened(tmp_path / "file") as fd:
        os.ftruncate(fd, MUCH + 5)
        if reserved:
            disk.reserve(fd, 0, MUCH + 5)
        disk.write_past_cache(fd, aligned(b"x" * came), 0)
        block = max(disk.PAGE, os.fstat(fd).st_blksize)
        assert disk.written(fd) == max(0, came - 1) // block * block


def test_of_an_empty_file_nothing_was_written(tmp_path: Path) -> None:
    with opened(tmp_path / "file") as fd:
        assert disk.written(fd) == 0
