"""What is done to a directory, wherever it lies: each in a process of its own (`mounted`), which says what it took."""

import mmap
import os
import random
import time
from pathlib import Path

PAGE = 4096
_PIECE = 1 << 20
_C = """
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
int part{number}(int given) {{ char said[64]; snprintf(said, sizeof said, "%d", given); return (int)strlen(said); }}
"""
_MAKEFILE = """
parts = $(patsubst %.c,%.o,$(wildcard *.c))
all.a: $(parts)
	ar rcs $@ $^
clean:
	rm -f *.o all.a
"""
_SMALL = b"commonhold" * 102 + b"full"  # 1 KiB


def wait_until(start: float) -> None:
    """Return at a time."""
    time.sleep(max(0.0, start - time.monotonic()))


def read(path: Path) -> float:
    """Read a file in order, 1 MiB at a time; seconds."""
    room = memoryview(bytearray(_PIECE))
    began = time.monotonic()
    fd = os.open(path, os.O_RDONLY)
    while os.readv(fd, [room]):
        pass
    os.close(fd)
    return time.monotonic() - began


def write(source: Path, path: Path) -> float:
    """Write a new file of a file's bytes, 1 MiB at a time, and fsync it; seconds."""
    room = memoryview(bytearray(_PIECE))
    began = time.monotonic()
    given, fd = os.open(source, os.O_RDONLY), os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    while size := os.readv(given, [room]):
        os.write(fd, room[:size])
    os.fsync(fd)
    os.close(fd)
    os.close(given)
    return time.monotonic() - began


def read_pages(path: Path, seed: int, count: int, start: float) -> float:
    """Read pages of a file here and there, past the page cache; seconds since the start."""
    chosen = random.Random(seed)
    fd = os.open(path, os.O_RDONLY | os.O_DIRECT)
    pages = os.fstat(fd).st_size // PAGE
    room = [mmap.mmap(-1, PAGE)]  # aligned
    offsets = [chosen.randrange(pages) * PAGE for _ in range(count)]
    wait_until(start)
    for offset in offsets:
        if os.preadv(fd, room, offset) != PAGE:
            raise OSError(f"{path}: a short read at {offset}")
    return time.monotonic() - start


def create(directory: Path, count: int, start: float) -> float:
    """Create, write and close files of 1 KiB in a new directory; seconds since the start."""
    directory.mkdir()
    names = [f"{directory}/file-{number}" for number in range(count)]
    wait_until(start)
    for name in names:
        fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        os.write(fd, _SMALL)
        os.close(fd)
    return time.monotonic() - start


def stat(directory: Path, count: int, start: float) -> float:
    """Ask after each file that `create` made; seconds since the start."""
    names = [f"{directory}/file-{number}" for number in range(count)]
    wait_until(start)
    for name in names:
        os.stat(name)
    return time.monotonic() - start


def live(directory: Path, seconds: float, start: float) -> list[float]:
    """Create, write, ask after, read and remove a file, again and again, for some time; seconds of each turn."""
    took = []
    directory.mkdir()
    name = f"{directory}/file"
    wait_until(start)
    began = time.monotonic()
    while began < start + seconds:
        fd = os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644)
        os.write(fd, _SMALL)
        os.close(fd)
        os.stat(name)
        fd = os.open(name, os.O_RDONLY)
        if os.read(fd, PAGE) != _SMALL:
            raise OSError(f"{name}: not what was written")
        os.close(fd)
        os.unlink(name)
        began, before = time.monotonic(), began
        took.append(began - before)
    return took


def make_project(directory: Path, files: int, compiled: int) -> None:
    """Write a tree of so many small files, a hundred to a directory; in `c` are so many more, to be compiled."""
    for number in range(files):
        below = directory / f"part-{number // 1000:02}" / f"{number // 100 % 10}"
        if number % 100 == 0:
            below.mkdir(parents=True)
        (below / f"file-{number}.txt").write_bytes(_SMALL)
    below = directory / "c"
    below.mkdir()
    for number in range(compiled):
        (below / f"part{number}.c").write_text(_C.format(number=number))
    (below / "Makefile").write_text(_MAKEFILE)
