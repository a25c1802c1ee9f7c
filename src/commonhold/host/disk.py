"""Files the way a store needs them: page-aligned memory, direct I/O, preallocation, holes, syncs.

Linux only. Every call is one system call or a loop around one; errors are OSError, for the caller to name.
"""

import contextlib
import ctypes
import errno
import fcntl
import mmap
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

PAGE = 4096
_KEEP_SIZE = 0x01
_PUNCH_HOLE = 0x02
_MUCH = 256 << 10

_libc = ctypes.CDLL(None, use_errno=True)
_libc.fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
_libc.sync_file_range.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)
_START_WRITING = 2
_SOME = 64 << 10  # bytes, below which the page cache is as quick


def round_up(size: int) -> int:
    """Return size rounded up to a whole page."""
    return (size + PAGE - 1) & ~(PAGE - 1)


def aligned(size: int) -> memoryview:
    """Return zeroed, page-aligned memory of a whole number of pages; it costs nothing until it is touched. A process
    that is forked has a copy of its own."""
    return memoryview(mmap.mmap(-1, round_up(size), mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))


def _fallocate(fd: int, mode: int, start: int, size: int) -> None:
    if _libc.fallocate(fd, mode, start, size) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def reserve(fd: int, start: int, size: int) -> None:
    """Give a range of a file disk space, and the file that length; a file system that cannot do so is let be."""
    try:
        _fallocate(fd, 0, start, size)
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.ENOSYS):
            raise


def set_aside(fd: int, start: int, size: int) -> None:
    """The same, and the file keeps its length."""
    try:
        _fallocate(fd, _KEEP_SIZE, start, size)
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.ENOSYS):
            raise


def punch(fd: int, start: int, size: int) -> bool:
    """Give back the whole pages within a range; the file keeps its length. False where that is not supported."""
    first, last = round_up(start), (start + size) & ~(PAGE - 1)
    if last <= first:
        return True
    try:
        _fallocate(fd, _PUNCH_HOLE | _KEEP_SIZE, first, last - first)
    except OSError as error:
        if error.errno in (errno.EOPNOTSUPP, errno.ENOSYS):
            return False
        raise
    return True


def open_direct(path: str, flags: int, mode: int = 0o600) -> tuple[int, bool]:
    """Open a file past the page cache where the file system allows it; the descriptor, and whether it does."""
    try:
        return os.open(path, flags | os.O_DIRECT | os.O_CLOEXEC, mode), True
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        return os.open(path, flags | os.O_CLOEXEC, mode), False


def write_all(fd: int, parts: Sequence[memoryview], at: int) -> int:
    """Write parts one after another at an offset, all of them; bytes written."""
    left = list(parts)
    start = at
    while left:
        done = os.pwritev(fd, left[:512], at)
        at += done
        while left and done >= len(left[0]):
            done -= len(left[0])
            left.pop(0)
        if done:
            left[0] = left[0][done:]
    return at - start


def write_past_cache(fd: int, data: memoryview, at: int) -> None:
    """Write within a file's length: whole pages past the page cache, where there are many and offset, memory
    (`aligned`) and file system allow it; the rest through it. The descriptor is the caller's alone meanwhile.

    Within its length only: a write past the end that fails takes back the space that was reserved there.
    """
    whole = len(data) & ~(PAGE - 1) if at % PAGE == 0 else 0
    if whole < _SOME or not _write_direct(fd, data[:whole], at):
        whole = 0
    write_all(fd, [data[whole:]], at + whole)


def _write_direct(fd: int, data: memoryview, at: int) -> bool:
    """Whether that can be done with this data and file."""
    flags = fcntl.fcntl(fd, fcntl.F_GETFL)
    try:
        fcntl.fcntl(fd, fcntl.F_SETFL, flags | os.O_DIRECT)
        write_all(fd, [data], at)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        return False
    finally:
        fcntl.fcntl(fd, fcntl.F_SETFL, flags)
    return True


def written(fd: int) -> int:
    """How many bytes from a file's beginning were written for certain, of one that is written in order, and whose space
    may be reserved. The last block may be missing: it is not known how much of it was."""
    stat = os.fstat(fd)
    try:
        hole = os.lseek(fd, 0, os.SEEK_HOLE)
    except OSError as error:
        if error.errno != errno.ENXIO:  # an empty file
            raise
        return 0
    block = max(PAGE, stat.st_blksize)
    return max(0, hole - 1) // block * block


def expect(fd: int, size: int, at: int) -> None:
    """Have much be read from the disk in one go; by itself the kernel takes many small steps."""
    if size >= _MUCH:
        os.posix_fadvise(fd, at, size, os.POSIX_FADV_WILLNEED)


def start_writing(fd: int, start: int, size: int) -> None:
    """Have the kernel begin to write what is in memory of a range to the disk, so that a later sync has less to wait
    for. It promises nothing, and a file system that cannot do so is let be."""
    _libc.sync_file_range(fd, start, size, _START_WRITING)


def read_full(fd: int, into: memoryview, at: int) -> int:
    """Read until a buffer is full or the file ends; bytes read."""
    done = 0
    while done < len(into):
        got = os.preadv(fd, [into[done:]], at + done)
        if not got:
            break
        done += got
    return done


def read_at(fd: int, size: int, at: int) -> bytes:
    """Read up to size bytes at an offset; fewer only at the end."""
    data = os.pread(fd, size, at)
    while 0 < len(data) < size:
        more = os.pread(fd, size - len(data), at + len(data))
        if not more:
            break
        data += more
    return data


def sync_directory(path: str) -> None:
    """Make the names in a directory durable."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def make_directory(path: Path, mode: int) -> None:
    """Make a directory, and those above it that are missing, so that they outlast a power cut. It may be there."""
    missing = [parent for parent in path.parents if not parent.exists()]
    path.mkdir(mode=mode, parents=True, exist_ok=True)
    for made in (path, *missing):
        with contextlib.suppress(PermissionError):  # what only others may list
            sync_directory(str(made.parent))


@contextlib.contextmanager
def turn_on(directory: Path) -> Iterator[None]:
    """Wait for the turn on a directory among those who ask for it, and keep it while the block runs."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def replace_file(path: str, data: bytes, mode: int = 0o600) -> None:
    """Put a whole new file in the place of an old one: after a crash it is one or the other."""
    temporary = f"{path}.new"
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    try:
        write_all(fd, [memoryview(data)], 0)
        os.fsync(fd)
    finally:
        os.close(fd)
    os.replace(temporary, path)
    sync_directory(os.path.dirname(path) or ".")
