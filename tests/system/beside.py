"""The same things done in two directories, which must come out the same: the one that is tried, and one of a file
system that is known to be right."""

import ctypes
import errno
import hashlib
import mmap
import os
import random
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

_NO_REPLACE, _EXCHANGE = 1, 2
_AT_FDCWD = -100
_NAMES = ["a", "b", "c", "d"]
_libc = ctypes.CDLL(None, use_errno=True)


def renamed(old: Path, new: Path, flags: int) -> None:
    """renameat2(2)."""
    if _libc.renameat2(_AT_FDCWD, os.fsencode(old), _AT_FDCWD, os.fsencode(new), flags) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def outcome(action: Callable[[], Any]) -> object:
    """What came of it: a value, or the name of an error."""
    try:
        return action()
    except OSError as error:
        return errno.errorcode[error.errno or 0]


class Pair:
    """Two directories, empty at first, and what is done in both."""

    def __init__(self, tried: Path, right: Path, seed: int) -> None:
        self._tops = (tried, right)
        self._rng = random.Random(seed)
        self._done: list[str] = []
        self._held: list[tuple[int, int]] = []  # open files, some without a name by now
        self._steps = [
            self._write, self._write, self._read, self._truncate, self._map, self._append, self._mkdir, self._rmdir,
            self._rename, self._rename, self._exchange, self._link, self._unlink, self._symlink, self._chmod,
            self._times, self._attribute, self._attribute_gone, self._hold, self._use, self._copy,
            self._allocate, self._list,
        ]  # fmt: skip

    def run(self, count: int) -> None:
        """Do so many things. AssertionError for the first that comes out otherwise."""
        for number in range(count):
            self._rng.choice(self._steps)()
            if number % 50 == 0:
                self._compare()
        self._compare()
        for pair in self._held:
            for fd in pair:
                os.close(fd)
        self._compare()

    # ── helpers ──

    def _path(self) -> str:
        depth = self._rng.choice([1, 1, 2, 3])
        return "/".join(self._rng.choice(_NAMES) for _ in range(depth))

    def _both(self, what: str, action: Callable[[Path], Any]) -> None:
        self._done.append(what)
        came = [outcome(lambda top=top: action(top)) for top in self._tops]  # type: ignore[misc]
        if came[0] != came[1]:
            raise AssertionError(f"{what}: {came[0]!r} where {came[1]!r} is right; {'; '.join(self._done[-10:])}")

    def _compare(self) -> None:
        tried, right = (look(top) for top in self._tops)
        if tried != right:
            other = {path: (tried.get(path), right.get(path)) for path in tried.keys() | right.keys()}
            wrong = {path: pair for path, pair in other.items() if pair[0] != pair[1]}
            raise AssertionError(f"found and right: {wrong}; {'; '.join(self._done[-10:])}")

    def _opened(self, top: Path, path: str, flags: int, use: Callable[[int], Any]) -> object:
        fd = os.open(top / path, flags, 0o640)
        try:
            return use(fd)
        finally:
            os.close(fd)

    # ── content ──

    def _write(self) -> None:
        path, offset, data = self._path(), self._rng.randrange(20_000), self._rng.randbytes(self._rng.randrange(9000))
        flags = os.O_WRONLY | os.O_CREAT | self._rng.choice([0, 0, os.O_EXCL, os.O_TRUNC, os.O_NOFOLLOW])
        self._both(f"write {path}", lambda top: self._opened(top, path, flags, lambda fd: os.pwrite(fd, data, offset)))

    def _append(self) -> None:
        path, data, flags = self._path(), self._rng.randbytes(100), os.O_WRONLY | os.O_APPEND
        self._both(f"append {path}", lambda top: self._opened(top, path, flags, lambda fd: os.write(fd, data)))

    def _read(self) -> None:
        path = self._path()
        self._both(f"read {path}", lambda top: (top / path).read_bytes())

    def _truncate(self) -> None:
        path, size = self._path(), self._rng.randrange(30_000)
        self._both(f"truncate {path}", lambda top: os.truncate(top / path, size))

    def _map(self) -> None:
        path, data = self._path(), self._rng.randbytes(50)

        def change(fd: int) -> None:
            size = os.fstat(fd).st_size
            if stat.S_ISREG(os.fstat(fd).st_mode) and size > 50:
                with mmap.mmap(fd, size) as shared:
                    shared[size - 50 :] = data

        self._both(f"map {path}", lambda top: self._opened(top, path, os.O_RDWR, change))

    def _copy(self) -> None:
        source, target = self._path(), self._path()

        def copy(top: Path) -> object:
            return self._opened(top, source, os.O_RDONLY, lambda one: self._opened(
                top, target, os.O_WRONLY, lambda two: os.copy_file_range(one, two, 3000, 100, 5000)
            ))  # fmt: skip

        if source != target:  # ranges that overlap are an error or not by how files share their bytes
            self._both(f"copy {source} to {target}", copy)

    def _allocate(self) -> None:
        path, offset, mode = self._path(), self._rng.randrange(10_000), self._rng.choice([0, 1, 3, 16, 17])

        def allocate(fd: int) -> None:
            if _libc.fallocate64(fd, mode, ctypes.c_longlong(offset), ctypes.c_longlong(5000)) != 0:
                raise OSError(ctypes.get_errno(), "fallocate")

        self._both(f"allocate {path} {mode}", lambda top: self._opened(top, path, os.O_RDWR, allocate))

    def _hold(self) -> None:
        path = self._path()
        if len(self._held) < 20:
            pair = [outcome(lambda top=top: os.open(top / path, os.O_RDWR)) for top in self._tops]  # type: ignore[misc]
            if isinstance(pair[0], int) and isinstance(pair[1], int):
                self._held.append((pair[0], pair[1]))
            elif pair[0] != pair[1]:
                raise AssertionError(f"open {path}: {pair}; {'; '.join(self._done[-10:])}")

    def _use(self) -> None:
        if not self._held:
            return
        pair = self._rng.choice(self._held)
        data, offset = self._rng.randbytes(500), self._rng.randrange(10_000)

        def use(top: Path) -> object:
            fd = pair[self._tops.index(top)]
            os.pwrite(fd, data, offset)
            found = os.fstat(fd)
            return found.st_size, found.st_nlink, os.pread(fd, 30_000, 0)

        self._both("use what is open", use)

    # ── names ──

    def _mkdir(self) -> None:
        path, mode = self._path(), self._rng.choice([0o755, 0o700, 0o2770])
        self._both(f"mkdir {path}", lambda top: os.mkdir(top / path, mode))

    def _rmdir(self) -> None:
        path = self._path()
        self._both(f"rmdir {path}", lambda top: os.rmdir(top / path))

    def _rename(self) -> None:
        old, new, flags = self._path(), self._path(), self._rng.choice([0, 0, _NO_REPLACE])
        self._both(f"rename {old} to {new} {flags}", lambda top: renamed(top / old, top / new, flags))

    def _exchange(self) -> None:
        old, new = self._path(), self._path()
        self._both(f"exchange {old} and {new}", lambda top: renamed(top / old, top / new, _EXCHANGE))

    def _link(self) -> None:
        old, new = self._path(), self._path()
        self._both(f"link {old} {new}", lambda top: os.link(top / old, top / new, follow_symlinks=False))

    def _unlink(self) -> None:
        path = self._path()
        self._both(f"unlink {path}", lambda top: os.unlink(top / path))

    def _symlink(self) -> None:
        path, target = self._path(), self._rng.choice(["a", "../b", "c/d", "nothing", "."])
        self._both(f"symlink {path}", lambda top: os.symlink(target, top / path))

    def _list(self) -> None:
        path = self._path()
        self._both(f"list {path}", lambda top: sorted(os.listdir(top / path)))

    # ── attributes ──

    def _chmod(self) -> None:
        path, mode = self._path(), self._rng.choice([0o644, 0o600, 0o755, 0o4755, 0o2755, 0o700])
        self._both(f"chmod {path}", lambda top: os.chmod(top / path, mode | 0o700))

    def _times(self) -> None:
        path, when = self._path(), self._rng.randrange(-(10**18), 3 * 10**18)

        def change(top: Path) -> tuple[int, int]:
            os.utime(top / path, ns=(when, when + 1))
            return os.stat(top / path).st_atime_ns // 10**9, os.stat(top / path).st_mtime_ns

        self._both(f"times {path}", change)

    def _attribute(self) -> None:
        path, name, flags = self._path(), self._rng.choice(["user.one", "user.two"]), self._rng.choice([0, 1, 2])
        value = self._rng.randbytes(self._rng.randrange(50))

        def change(top: Path) -> object:
            os.setxattr(top / path, name, value, flags)
            return os.getxattr(top / path, name), sorted(os.listxattr(top / path))

        self._both(f"attribute {path}", change)

    def _attribute_gone(self) -> None:
        path = self._path()
        self._both(f"no attribute {path}", lambda top: os.removexattr(top / path, "user.one"))


def look(top: Path) -> dict[str, object]:
    """All that is there."""
    found: dict[str, object] = {}
    for directory, names, files in os.walk(top):
        for name in [*names, *files]:
            path = Path(directory) / name
            status = path.lstat()
            content: object = None
            if stat.S_ISLNK(status.st_mode):
                content = os.readlink(path)
            elif stat.S_ISREG(status.st_mode):
                content = status.st_size, hashlib.sha256(path.read_bytes()).hexdigest()[:16]
            found[str(path.relative_to(top))] = (stat.filemode(status.st_mode), status.st_nlink, content)
    return found


def same(tried: Path, right: Path, seed: int, count: int) -> None:
    """Do things in two new directories; see `Pair.run`. Links lead out of these, but not further."""
    tops = tried / "top", right / "top"
    for top in tops:
        top.mkdir(parents=True)
    Pair(*tops, seed).run(count)
