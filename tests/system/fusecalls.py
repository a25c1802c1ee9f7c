"""System calls on a mounted tree of `fusetree`, and what each must give. Runs as a process of its own: its word is the
mount's path; it prints the name of each part that went well.

The server's caches are on, so that each part uses names of its own.
"""

import contextlib
import ctypes
import errno
import fcntl
import mmap
import os
import select
import signal
import stat
import struct
import sys
import time
from collections.abc import Callable, Iterator

from tests.system.fusetree import IOCTLS

_libc = ctypes.CDLL(None, use_errno=True)
_AT_FDCWD, _AT_SYMLINK_FOLLOW = -100, 0x400
_SEEK_DATA, _SEEK_HOLE = 3, 4
_PARTS: list[Callable[[], None]] = []


def part(action: Callable[[], None]) -> Callable[[], None]:
    """Mark one part; they run in order."""
    _PARTS.append(action)
    return action


@contextlib.contextmanager
def fails(number: int) -> Iterator[None]:
    """The block must fail with this errno."""
    try:
        yield
    except OSError as error:
        assert error.errno == number, error
    else:
        raise AssertionError(f"did not fail with {errno.errorcode[number]}")


@contextlib.contextmanager
def opened(name: str, flags: int = os.O_RDWR | os.O_CREAT, mode: int = 0o644) -> Iterator[int]:
    """A descriptor."""
    fd = os.open(name, flags, mode)
    try:
        yield fd
    finally:
        os.close(fd)


def call(result: int) -> int:
    """A result of the C library, or its error."""
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def ask(fd: int, name: str) -> None:
    """An ioctl, by the name of the notification that comes before its answer."""
    number = next(key for key, value in IOCTLS.items() if value == name)
    argument = bytearray(b"12345678")
    assert fcntl.ioctl(fd, number, argument) == 42 and argument == b"87654321"


@part
def files() -> None:
    with opened("file", os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o640) as fd:
        assert os.write(fd, b"hello world") == 11
        assert os.pread(fd, 5, 6) == b"world"
        os.ftruncate(fd, 8)
        os.fsync(fd)
        os.fdatasync(fd)
        os.fchmod(fd, 0o600)
        os.utime(fd, ns=(1_600_000_000_123_456_789, -1_000_000_001))
        found = os.fstat(fd)
        assert (found.st_size, stat.S_IMODE(found.st_mode), found.st_nlink) == (8, 0o600, 1)
        assert (found.st_atime_ns, found.st_mtime_ns) == (1_600_000_000_123_456_789, -1_000_000_001)
    with opened("file", os.O_WRONLY | os.O_APPEND) as fd:
        os.write(fd, b" more")
    with opened("file", os.O_RDONLY) as fd:
        assert os.read(fd, 100) == b"hello wo more"
    with opened("file", os.O_WRONLY | os.O_TRUNC):
        pass
    assert os.stat("file").st_size == 0
    with fails(errno.EEXIST):
        os.mkdir("file")
    with fails(errno.ENOENT):
        os.stat("nothing")
    with fails(errno.ENAMETOOLONG):
        os.stat("n" * 300)
    os.mkdir("n" * 255)
    assert os.access("file", os.R_OK)
    os.chown("file", 12, 34)
    assert (os.stat("file").st_uid, os.stat("file").st_gid) == (12, 34)


@part
def long_reads_and_writes() -> None:
    block = os.urandom(1 << 20)
    with opened("long") as fd:
        assert os.write(fd, block) == len(block)
    with opened("long", os.O_RDONLY | os.O_DIRECT) as fd:
        memory = mmap.mmap(-1, 1 << 20)
        assert os.preadv(fd, [memory], 0) == len(block) and memory[:] == block
    with opened("long") as fd, mmap.mmap(fd, 4096) as shared:
        shared[:4] = b"mmap"
        shared.flush()
        assert os.pread(fd, 8, 0) == b"mmap" + block[4:8]


@part
def short_maps() -> None:
    with opened("mapped") as fd:
        os.write(fd, b"thirty bytes and a few, to map")
        with mmap.mmap(fd, 30) as shared:
            shared[:6] = b"THIRTY"
            shared.flush()
        assert os.pread(fd, 12, 0) == b"THIRTY bytes"


@part
def names() -> None:
    os.mkdir("dir", 0o750)
    os.mkdir("dir/sub")
    with fails(errno.ENOTEMPTY):
        os.rmdir("dir")
    os.rmdir("dir/sub")
    os.symlink("../some where/else", "dir/link")
    assert os.readlink("dir/link") == "../some where/else"
    with opened("dir/a") as fd:
        os.write(fd, b"a")
    with opened("dir/b") as fd:
        os.write(fd, b"bb")
    os.link("dir/a", "dir/hard")
    assert os.stat("dir/a").st_nlink == 2
    os.rename("dir/a", "moved")
    exchange = call(_libc.renameat2(_AT_FDCWD, b"moved", _AT_FDCWD, b"dir/b", 2))
    assert exchange == 0 and os.stat("moved").st_size == 2 and os.stat("dir/b").st_size == 1
    with fails(errno.EEXIST):
        call(_libc.renameat2(_AT_FDCWD, b"moved", _AT_FDCWD, b"dir/b", 1))
    os.unlink("dir/hard")
    os.mkfifo("dir/fifo")
    assert stat.S_ISFIFO(os.stat("dir/fifo").st_mode)
    os.mknod("dir/null", stat.S_IFCHR | 0o600, os.makedev(1, 3))
    assert os.stat("dir/null").st_rdev == os.makedev(1, 3)


@part
def listings() -> None:
    os.mkdir("many")
    expected = [f"{'entry' * (number % 4 + 1)}{number}" for number in range(12)]
    for name in expected:
        os.mkdir(f"many/{name}")
    assert sorted(os.listdir("many")) == sorted(expected)
    with os.scandir("many") as entries:
        assert all(entry.is_dir(follow_symlinks=False) for entry in entries)
    with opened("many", os.O_RDONLY) as fd:
        os.fsync(fd)


@part
def attributes() -> None:
    with opened("attributes") as fd:
        os.setxattr(fd, "user.one", b"value\0with zeros")
        assert os.getxattr(fd, "user.one") == b"value\0with zeros"
    os.setxattr("attributes", "user.empty", b"")
    assert os.getxattr("attributes", "user.empty") == b""
    with fails(errno.EEXIST):
        os.setxattr("attributes", "user.one", b"again", os.XATTR_CREATE)
    assert set(os.listxattr("attributes")) >= {"user.one", "user.empty"}
    os.removexattr("attributes", "user.one")
    with fails(errno.ENODATA):
        os.getxattr("attributes", "user.one")
    os.setxattr("attributes", "user.large", bytes(65536))
    assert os.getxattr("attributes", "user.large") == bytes(65536)


def _forked(action: Callable[[], None]) -> int:
    """A child that does something and goes."""
    child = os.fork()
    if child:
        return child
    try:
        action()
        os._exit(0)
    except BaseException as error:  # noqa: BLE001 - a child must not come back
        os.write(2, f"child: {error!r}\n".encode())
        os._exit(1)


def _ended_well(child: int) -> None:
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def _lock_bytes(kind: int, start: int, length: int) -> bytes:
    return struct.pack("hhqqi4x", kind, os.SEEK_SET, start, length, 0)


@part
def locks() -> None:
    with opened("locks") as fd:
        fcntl.lockf(fd, fcntl.LOCK_EX, 10, 5)

        def other() -> None:
            with opened("locks") as mine:
                found = fcntl.fcntl(mine, fcntl.F_GETLK, _lock_bytes(fcntl.F_WRLCK, 0, 0))
                assert struct.unpack("hhqqi4x", found)[:4] == (fcntl.F_WRLCK, 0, 5, 10)
                free = fcntl.fcntl(mine, fcntl.F_GETLK, _lock_bytes(fcntl.F_RDLCK, 100, 1))
                assert struct.unpack("hhqqi4x", free)[0] == fcntl.F_UNLCK
                with fails(errno.EAGAIN):
                    fcntl.lockf(mine, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 6)
                fcntl.lockf(mine, fcntl.LOCK_EX, 1, 6)  # waits

        child = _forked(other)
        time.sleep(0.3)
        assert os.waitpid(child, os.WNOHANG) == (0, 0)
        fcntl.lockf(fd, fcntl.LOCK_UN, 10, 5)
        _ended_well(child)


@part
def locks_of_open_files() -> None:
    get, take = 36, 37  # F_OFD_GETLK, F_OFD_SETLK
    with opened("ofd") as one, opened("ofd") as two:
        fcntl.fcntl(one, take, _lock_bytes(fcntl.F_WRLCK, 0, 10))
        with fails(errno.EAGAIN):
            fcntl.fcntl(two, take, _lock_bytes(fcntl.F_RDLCK, 9, 1))
        found = fcntl.fcntl(two, get, _lock_bytes(fcntl.F_WRLCK, 0, 0))
        assert struct.unpack("hhqqi4x", found)[:4] == (fcntl.F_WRLCK, 0, 0, 10)
        fcntl.fcntl(one, take, _lock_bytes(fcntl.F_UNLCK, 0, 10))
        fcntl.fcntl(two, take, _lock_bytes(fcntl.F_WRLCK, 9, 1))
    with opened("ofd") as three:  # a close gives up what is left, not quite at once
        fcntl.fcntl(three, take + 1, _lock_bytes(fcntl.F_WRLCK, 0, 10))


@part
def interruptions() -> None:
    with opened("interrupted") as fd:
        fcntl.lockf(fd, fcntl.LOCK_EX)

        def other() -> None:
            def rung(_number: int, _frame: object) -> None:
                raise TimeoutError

            signal.signal(signal.SIGALRM, rung)
            signal.setitimer(signal.ITIMER_REAL, 0.2)
            with opened("interrupted") as mine, contextlib.suppress(TimeoutError):
                fcntl.lockf(mine, fcntl.LOCK_EX)
                raise AssertionError("it was not interrupted")

        _ended_well(_forked(other))


@part
def whole_file_locks() -> None:
    with opened("flock") as one, opened("flock") as two:
        fcntl.flock(one, fcntl.LOCK_EX)
        with fails(errno.EAGAIN):
            fcntl.flock(two, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.flock(one, fcntl.LOCK_UN)
        fcntl.flock(two, fcntl.LOCK_SH)


@part
def ranges() -> None:
    with opened("ranges") as fd, opened("copy") as copy:
        os.posix_fallocate(fd, 0, 20000)
        assert os.fstat(fd).st_size == 20000
        os.pwrite(fd, b"data", 12000)
        os.pwrite(fd, b"gone", 100)
        hole = ctypes.c_longlong
        call(_libc.fallocate64(fd, 3, hole(0), hole(4096)))
        assert os.pread(fd, 4, 100) == bytes(4)
        assert os.lseek(fd, 0, _SEEK_DATA) == 12000 and os.lseek(fd, 12000, _SEEK_HOLE) == 12004
        with fails(errno.ENXIO):
            os.lseek(fd, 20000, _SEEK_DATA)
        assert os.copy_file_range(fd, copy, 10, 11999, 2) == 10
        assert os.pread(copy, 100, 0) == b"\0\0\0data" + bytes(5)


@part
def file_systems() -> None:
    found = os.statvfs(".")
    assert (found.f_blocks, found.f_bfree, found.f_bavail, found.f_files, found.f_ffree) == (1000, 900, 800, 700, 600)
    assert (found.f_bsize, found.f_frsize, found.f_namemax) == (4096, 4096, 255)
    with opened(".", os.O_RDONLY) as fd:
        call(_libc.syncfs(fd))


@part
def birth_times() -> None:
    buffer = ctypes.create_string_buffer(256)
    with opened("born"):
        pass
    call(_libc.statx(_AT_FDCWD, b"born", 0, 0xFFF, buffer))
    mask, birth = struct.unpack_from("<I", buffer)[0], struct.unpack_from("<qI", buffer, 80)
    assert not mask & 0x800 or birth == (1234567890, 987654321)


@part
def unnamed_files() -> None:
    try:
        fd = os.open(".", os.O_TMPFILE | os.O_RDWR, 0o600)
    except OSError as error:
        assert error.errno in (errno.EOPNOTSUPP, errno.EISDIR)
        return
    os.write(fd, b"unnamed")
    assert os.fstat(fd).st_nlink == 0
    link = _libc.linkat(_AT_FDCWD, f"/proc/self/fd/{fd}".encode(), _AT_FDCWD, b"named", _AT_SYMLINK_FOLLOW)
    assert call(link) == 0 and os.stat("named").st_size == 7
    os.close(fd)


@part
def readiness() -> None:
    with opened("polled") as fd:
        waiting = select.poll()
        waiting.register(fd, select.POLLIN)
        begun = time.monotonic()
        found = waiting.poll(5000)
        assert found == [(fd, select.POLLIN)] and time.monotonic() - begun < 4


@part
def groups() -> None:
    os.mkdir("shared")
    os.chown("shared", 0, 5000)
    os.chmod("shared", 0o2777)

    def other() -> None:
        os.setgroups([5000, 6000])
        os.setresgid(1000, 1000, 1000)
        os.setresuid(1000, 1000, 1000)
        with opened("shared/theirs") as fd:
            found = os.fstat(fd)
            assert (found.st_uid, found.st_gid) in ((1000, 5000), (1000, 1000))

    _ended_well(_forked(other))


@part
def ioctls() -> None:
    with opened("ioctl") as fd:
        ask(fd, "nothing")
        with fails(errno.ENOTTY):
            fcntl.ioctl(fd, 0xC0086899, bytearray(8))


@part
def notifications() -> None:
    with opened("notified") as fd:
        os.write(fd, b"as it was, and rather longer than what comes")
        assert os.pread(fd, 9, 0) == b"as it was"
        ask(fd, "inval_inode")
        assert os.pread(fd, 100, 0) == b"changed behind the kernel's back"
        ask(fd, "store")
        assert os.pread(fd, 8, 0) == b"NEWSged "
        ask(fd, "retrieve")
        for notice in ("inval_entry", "expire_entry", "delete"):
            with opened("vanishing"):
                pass
            ask(fd, notice)
            if notice != "expire_entry":  # what is expired is asked for when its second is over
                with fails(errno.ENOENT):
                    os.stat("vanishing")
            with contextlib.suppress(FileNotFoundError):
                os.unlink("vanishing")


@part
def later_notifications() -> None:
    with opened("later") as fd:
        for notice in ("resend", "inc_epoch", "prune"):
            ask(fd, notice)


def main() -> None:
    os.umask(0o022)
    os.chdir(sys.argv[1])
    for action in _PARTS:
        if action.__name__ not in sys.argv[2:]:
            action()
            sys.stdout.write(action.__name__ + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
