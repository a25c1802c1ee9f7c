"""Words for what programs ask of a file system, so that what is done can be written in a line and done in two places.

A script is steps between semicolons: `mkdir d; bob: create d/f 0644`. A step is a word, which is a method of `Words`,
and what it is given; whoever is named before it does it, alice if nobody is. `%0a` in a name is that byte. `other`
before a word has another process do it, which has opened nothing.
"""

import contextlib
import ctypes
import errno
import faulthandler
import fcntl
import mmap
import os
import select
import signal
import socket
import stat
import struct
from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from tests.system.people import Doing

AT_FDCWD, AT_EMPTY_PATH, AT_SYMLINK_NOFOLLOW = -100, 0x1000, 0x100
EMPTY = "''"  # as a path
UTIME_NOW, UTIME_OMIT = (1 << 30) - 1, (1 << 30) - 2
_PR_SET_DUMPABLE = 4
_F_OFD_GETLK, _F_OFD_SETLK = 36, 37
_GETFLAGS = 0x80086601
_FLOCK = struct.Struct("hhqqi4x")
_DIRENT = struct.Struct("<QqHB")
_RENAME = {"NOREPLACE": 1, "EXCHANGE": 2, "WHITEOUT": 4}
_ALLOCATE = {"ALL": 0, "KEEP": 1, "PUNCH": 2, "COLLAPSE": 8, "ZERO": 16, "INSERT": 32}
_XATTR = {"CREATE": 1, "REPLACE": 2}
_ACCESS = {"F": os.F_OK, "R": os.R_OK, "W": os.W_OK, "X": os.X_OK}
_KINDS = {
    "file": stat.S_IFREG, "pipe": stat.S_IFIFO, "socket": stat.S_IFSOCK, "char": stat.S_IFCHR, "block": stat.S_IFBLK,
    "directory": stat.S_IFDIR,
}  # fmt: skip
_ACL_HEAD = struct.pack("<I", 2)
_ACL_ENTRY = struct.Struct("<HHI")
_ACL_TAGS = {"u": 1, "g": 4, "m": 16, "o": 32}  # those with a name are twice that
_PAGE = 4096
_NONE = 1 << 20  # more than there can be
_libc = ctypes.CDLL(None, use_errno=True)


class Caller(NamedTuple):
    """Whose process it is, for as long as a step takes."""

    uid: int
    gid: int
    groups: list[int]

    def become(self) -> None:
        """Be them, and root again when asked to."""
        os.seteuid(0)
        os.setresuid(0, 0, 0)
        os.setgroups(self.groups)
        os.setresgid(self.gid, self.gid, 0)
        os.setresuid(self.uid, self.uid, 0)
        _libc.prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0)


ROOT = Caller(0, 0, [])


class Entry(NamedTuple):
    """An entry of a directory, as getdents64(2) has it."""

    name: bytes
    number: int
    position: int
    kind: int


def entries(fd: int, size: int = 1 << 16) -> list[Entry]:
    """The next entries of a directory."""
    buffer = ctypes.create_string_buffer(size)
    length = _check(_libc.getdents64(fd, buffer, size))
    found, at = [], 0
    while at < length:
        number, position, record, kind = _DIRENT.unpack_from(buffer, at)
        name = buffer.raw[at + 19 : at + record].split(b"\0", 1)[0]
        found.append(Entry(name, number, position, kind))
        at += record
    return found


def _check(said: int) -> int:
    """What a call of the C library said, unless it is -1."""
    if said == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return said


def _flags(text: str, known: dict[str, int]) -> int:
    return sum(known[name] for name in text.split("|")) if text else 0


def _opening(text: str) -> int:
    names = text.split("|")
    flags = os.O_CLOEXEC
    for name in names:
        flags |= getattr(os, f"O_{name}")
    return flags


def _path(text: str) -> bytes:
    return b"" if text == EMPTY else unquote_to_bytes(text)


@contextlib.contextmanager
def _opened(path: str, flags: int) -> Iterator[int]:
    fd = os.open(_path(path), flags, 0o644)
    try:
        yield fd
    finally:
        os.close(fd)


def _flock(fd: int, how: str) -> None:
    """Never waits."""
    fcntl.flock(fd, fcntl.LOCK_NB | getattr(fcntl, f"LOCK_{how}"))


def _posix_lock(fd: int, command: int, kind: str, start: str, length: str) -> tuple[int, ...]:
    packed = _FLOCK.pack(getattr(fcntl, f"F_{kind}"), os.SEEK_SET, int(start), int(length), 0)
    return _FLOCK.unpack(fcntl.fcntl(fd, command, packed))


def _when(text: str) -> tuple[int, int]:
    """A time as utimensat(2) is given it."""
    if text in ("NOW", "OMIT"):
        return 0, UTIME_NOW if text == "NOW" else UTIME_OMIT
    seconds, _, nanos = text.partition(".")
    return int(seconds), int(nanos or 0)


class _Handles(dict[str, int]):
    def __missing__(self, handle: str) -> int:
        """What could not be opened is no descriptor."""
        return _NONE


GROUPS = ("staff", "crew", "others")


class Words:
    """What can be done in one place. A method's words are given as text, and its result is what programs can see."""

    def __init__(self, ids: dict[str, int]) -> None:
        self._ids = ids
        # A user and a group may have the same number.
        self._users = {number: name for name, number in ids.items() if name not in GROUPS}
        self._groups = {number: name for name, number in ids.items() if name in GROUPS or not number}
        self.handles: dict[str, int] = _Handles()

    def say(self, step: str) -> object:
        """Do a step; what came of it: a value, or the name of an error."""
        words = step.split()
        try:
            if words[0] == "other":
                return Doing(lambda: None, lambda: self._apart(words[1:])).result(20)
            return getattr(self, words[0])(*words[1:])
        except OSError as error:
            return errno.errorcode.get(error.errno or 0, str(error))

    def _apart(self, words: list[str]) -> object:
        self.end()
        return Words(self._ids).say(" ".join(words))

    def end(self) -> None:
        """Close what is open."""
        for fd in self.handles.values():
            with contextlib.suppress(OSError):
                os.close(fd)
        self.handles.clear()

    def _id(self, name: str) -> int:
        return -1 if name == "-" else self._ids[name] if name in self._ids else int(name)

    # ── opening ──

    def open(self, handle: str, path: str, flags: str, mode: str = "0644") -> None:
        fd = os.open(_path(path), _opening(flags) | os.O_NONBLOCK, int(mode, 8))
        if handle in self.handles:
            os.close(self.handles[handle])
        self.handles[handle] = fd

    def reopen(self, new: str, handle: str, flags: str) -> None:
        self.open(new, f"/proc/self/fd/{self.handles[handle]}", flags)

    def close(self, handle: str) -> None:
        os.close(self.handles.pop(handle, _NONE))

    def create(self, path: str, mode: str = "0644") -> None:
        os.close(os.open(_path(path), os.O_CREAT | os.O_EXCL | os.O_WRONLY, int(mode, 8)))

    def can(self, path: str, flags: str) -> None:
        os.close(os.open(_path(path), _opening(flags) | os.O_NONBLOCK, 0o644))

    # ── content ──

    def put(self, path: str, text: str, flags: str = "WRONLY|CREAT|TRUNC") -> int:
        with _opened(path, _opening(flags) | os.O_NONBLOCK) as fd:
            return os.write(fd, text.encode())

    def get(self, path: str) -> bytes:
        with _opened(path, os.O_RDONLY | os.O_NONBLOCK) as fd:
            return os.read(fd, 1 << 20)

    def write(self, handle: str, text: str = "") -> int:
        return os.write(self.handles[handle], text.encode())

    def pwrite(self, handle: str, offset: str, text: str = "") -> int:
        return os.pwrite(self.handles[handle], text.encode(), int(offset))

    def fill(self, handle: str, offset: str, length: str) -> int:
        return os.pwrite(self.handles[handle], b"x" * int(length), int(offset))

    def writev(self, handle: str, *texts: str) -> int:
        return os.writev(self.handles[handle], [text.encode() for text in texts])

    def read(self, handle: str, length: str) -> bytes:
        return os.read(self.handles[handle], int(length))

    def pread(self, handle: str, offset: str, length: str) -> bytes:
        return os.pread(self.handles[handle], int(length), int(offset))

    def readv(self, handle: str, *lengths: str) -> list[bytes]:
        buffers = [bytearray(int(length)) for length in lengths]
        os.readv(self.handles[handle], buffers)
        return [bytes(one) for one in buffers]

    def direct(self, handle: str, offset: str, length: str, what: str) -> object:
        """Read or write past the cache."""
        with mmap.mmap(-1, max(int(length), _PAGE)) as buffer:
            piece = memoryview(buffer)[: int(length)]
            try:
                if what == "read":
                    count = os.preadv(self.handles[handle], [piece], int(offset))
                    return bytes(piece[:count])
                piece[:] = b"d" * len(piece)
                return os.pwritev(self.handles[handle], [piece], int(offset))
            finally:
                piece.release()

    def seek(self, handle: str, offset: str, whence: str = "SET") -> int:
        return os.lseek(self.handles[handle], int(offset), getattr(os, f"SEEK_{whence}"))

    def truncate(self, path: str, size: str) -> None:
        os.truncate(_path(path), int(size))

    def ftruncate(self, handle: str, size: str) -> None:
        os.ftruncate(self.handles[handle], int(size))

    def allocate(self, handle: str, mode: str, offset: str, length: str) -> None:
        given = ctypes.c_longlong(int(offset)), ctypes.c_longlong(int(length))
        _check(_libc.fallocate64(self.handles[handle], _flags(mode, _ALLOCATE), *given))

    def copy(self, source: str, start: str, target: str, offset: str, length: str) -> int:
        given = self.handles[source], self.handles[target], int(length)
        return os.copy_file_range(*given, int(start), int(offset))

    def sync(self, handle: str, how: str = "all") -> None:
        fd = self.handles[handle]
        if how == "all":
            os.fsync(fd)
        elif how == "data":
            os.fdatasync(fd)
        elif how == "system":
            _check(_libc.syncfs(fd))
        elif how == "range":
            _check(_libc.sync_file_range(fd, ctypes.c_longlong(0), ctypes.c_longlong(0), 7))

    # ── maps ──

    def map(self, handle: str, length: str, kind: str, offset: str, text: str = "") -> object:
        """Read a byte, or write, through a map; in a process that may end by it."""
        said, say = os.pipe()
        pid = os.fork()
        if pid == 0:
            _mapped(self.handles[handle], int(length), kind, int(offset), text.encode(), say)
        os.close(say)
        with os.fdopen(said, "rb") as out:
            raw = out.read()
        _, status = os.waitpid(pid, 0)
        return signal.Signals(os.WTERMSIG(status)).name if os.WIFSIGNALED(status) else raw

    # ── names ──

    def mkdir(self, path: str, mode: str = "0755") -> None:
        os.mkdir(_path(path), int(mode, 8))

    def rmdir(self, path: str) -> None:
        os.rmdir(_path(path))

    def unlink(self, path: str) -> None:
        os.unlink(_path(path))

    def link(self, old: str, new: str, how: str = "") -> None:
        flags = 0x400 if how == "follow" else 0
        _check(_libc.linkat(AT_FDCWD, _path(old), AT_FDCWD, _path(new), flags))

    def name(self, handle: str, new: str) -> None:
        """Give what is open a name."""
        _check(_libc.linkat(AT_FDCWD, b"/proc/self/fd/%d" % self.handles[handle], AT_FDCWD, _path(new), 0x400))

    def symlink(self, target: str, path: str) -> None:
        os.symlink(_path(target), _path(path))

    def readlink(self, path: str) -> bytes:
        return os.readlink(_path(path))

    def rename(self, old: str, new: str, flags: str = "") -> None:
        _check(_libc.renameat2(AT_FDCWD, _path(old), AT_FDCWD, _path(new), _flags(flags, _RENAME)))

    def mknod(self, path: str, kind: str, mode: str = "0644", device: str = "0") -> None:
        os.mknod(_path(path), _KINDS[kind] | int(mode, 8), int(device, 0))

    def bind(self, path: str) -> None:
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(_path(path))

    def list(self, path: str) -> list[tuple[bytes, int]]:
        with _opened(path, os.O_RDONLY | os.O_DIRECTORY) as fd:
            return sorted((entry.name, entry.kind) for entry in entries(fd))

    # ── attributes ──

    def chmod(self, path: str, mode: str) -> None:
        os.chmod(_path(path), int(mode, 8))

    def fchmod(self, handle: str, mode: str) -> None:
        os.fchmod(self.handles[handle], int(mode, 8))

    def chown(self, path: str, owner: str, group: str) -> None:
        os.chown(_path(path), self._id(owner), self._id(group))

    def lchown(self, path: str, owner: str, group: str) -> None:
        os.lchown(_path(path), self._id(owner), self._id(group))

    def fchown(self, handle: str, owner: str, group: str) -> None:
        os.fchown(self.handles[handle], self._id(owner), self._id(group))

    def times(self, path: str, accessed: str, modified: str, how: str = "") -> None:
        pair = (ctypes.c_long * 4)(*_when(accessed), *_when(modified))
        _check(_libc.utimensat(AT_FDCWD, _path(path), pair, AT_SYMLINK_NOFOLLOW if how else 0))

    def touch(self, path: str) -> None:
        """Both times to now, as a null pointer asks for it, which is allowed to more than who gives a time."""
        _check(_libc.utimensat(AT_FDCWD, _path(path), None, 0))

    def stat(self, path: str) -> tuple[object, ...]:
        return self._status(os.stat(_path(path)))

    def fstat(self, handle: str) -> tuple[object, ...]:
        return self._status(os.fstat(self.handles[handle]))

    def _status(self, found: os.stat_result) -> tuple[object, ...]:
        owner, group = self._users.get(found.st_uid, found.st_uid), self._groups.get(found.st_gid, found.st_gid)
        size = None if stat.S_ISDIR(found.st_mode) else found.st_size
        return stat.filemode(found.st_mode), owner, group, found.st_nlink, size

    def access(self, path: str, how: str, who: str = "real") -> None:
        flags = 0x200 if who == "effective" else 0
        _check(_libc.faccessat(AT_FDCWD, _path(path), sum(_ACCESS[one] for one in how), flags))

    def setx(self, path: str, name: str, value: str = "", flags: str = "") -> None:
        os.setxattr(_path(path), _path(name), _path(value), _flags(flags, _XATTR))

    def fillx(self, path: str, name: str, length: str) -> None:
        os.setxattr(_path(path), _path(name), b"v" * int(length))

    def getx(self, path: str, name: str) -> bytes:
        return os.getxattr(_path(path), _path(name))

    def removex(self, path: str, name: str) -> None:
        os.removexattr(_path(path), _path(name))

    def listx(self, path: str) -> object:
        return sorted(os.listxattr(_path(path)))

    def acl(self, path: str, kind: str, text: str = "") -> None:
        """Set an access control list, as setfacl(1) is given it."""
        entries = [_ACL_HEAD]
        for word, who, letters in [entry.split(":") for entry in text.split(",") if entry]:
            tag = _ACL_TAGS[word] * (2 if who else 1)
            bits = sum(bit for bit, letter in zip((4, 2, 1), letters, strict=True) if letter != "-")
            entries.append(_ACL_ENTRY.pack(tag, bits, self._id(who) if who else 0xFFFFFFFF))
        os.setxattr(_path(path), f"system.posix_acl_{kind}", b"".join(entries))

    def noacl(self, path: str, kind: str) -> None:
        os.removexattr(_path(path), f"system.posix_acl_{kind}")

    def statfs(self, path: str) -> int:
        return os.statvfs(_path(path)).f_namemax

    def umask(self, mask: str) -> None:
        os.umask(int(mask, 8))

    def newer(self, path: str, other: str) -> bool:
        """Whether something was changed after something else."""
        return os.stat(_path(path)).st_mtime_ns > os.stat(_path(other)).st_mtime_ns

    def changed(self, path: str, other: str) -> bool:
        """Whether anything of something was changed after something else was."""
        return os.stat(_path(path)).st_ctime_ns > os.stat(_path(other)).st_mtime_ns

    def accessed(self, path: str) -> int:
        """When, in seconds."""
        return os.stat(_path(path)).st_atime_ns // 10**9

    def above(self, path: str) -> bool:
        """Whether a directory's listing has the number of the one above it."""
        with _opened(path, os.O_RDONLY | os.O_DIRECTORY) as fd:
            listed = {entry.name: entry.number for entry in entries(fd)}
        return listed[b".."] == os.stat(_path(path) + b"/..").st_ino

    def flags(self, path: str) -> bool:
        """Whether it has those of chattr(1)."""
        with _opened(path, os.O_RDONLY) as fd:
            return len(fcntl.ioctl(fd, _GETFLAGS, bytes(8))) == 8

    # ── locks ──

    def lease(self, handle: str, kind: str) -> None:
        fcntl.fcntl(self.handles[handle], fcntl.F_SETLEASE, getattr(fcntl, f"F_{kind}"))

    def flock(self, handle: str, how: str) -> None:
        _flock(self.handles[handle], how)

    def lock(self, handle: str, kind: str, start: str, length: str, whose: str = "process") -> None:
        command = _F_OFD_SETLK if whose == "handle" else fcntl.F_SETLK
        _posix_lock(self.handles[handle], command, kind, start, length)

    def flocked(self, path: str, how: str) -> None:
        """Whether an opening of its own may be locked."""
        with _opened(path, os.O_RDONLY) as fd:
            _flock(fd, how)

    def locked(self, path: str, kind: str, start: str, length: str, whose: str = "process") -> None:
        """Whether an opening of its own may be locked."""
        with _opened(path, os.O_RDWR) as fd:
            _posix_lock(fd, _F_OFD_SETLK if whose == "handle" else fcntl.F_SETLK, kind, start, length)

    def holder(self, path: str, kind: str, start: str, length: str) -> tuple[int, ...]:
        """Kind, start and length of a lock that is in the way."""
        with _opened(path, os.O_RDWR) as fd:
            found = _posix_lock(fd, _F_OFD_GETLK, kind, start, length)
            return (found[0], found[2], found[3]) if found[0] != fcntl.F_UNLCK else ()

    def ready(self, handle: str) -> bool:
        return bool(select.select([self.handles[handle]], [], [], 0)[0])


def _mapped(fd: int, length: int, kind: str, offset: int, text: bytes, say: int) -> None:
    """The process of `Words.map`."""
    faulthandler.disable()
    try:
        flags = mmap.MAP_PRIVATE if kind == "PRIVATE" else mmap.MAP_SHARED
        protection = mmap.PROT_READ | (mmap.PROT_WRITE if text else 0)
        address = _map(length, protection, flags, fd)
        if text:
            ctypes.memmove(address + offset, text, len(text))
        os.write(say, ctypes.string_at(address + offset, max(1, len(text))))
    except OSError as error:
        os.write(say, errno.errorcode[error.errno or 0].encode())
    finally:
        os._exit(0)


def _map(length: int, protection: int, flags: int, fd: int) -> int:
    """mmap(2), which Python does not let go beyond the end."""
    call = _libc.mmap64
    call.restype = ctypes.c_void_p
    found: int | None = call(None, ctypes.c_size_t(length), protection, flags, fd, ctypes.c_longlong(0))
    return _check(-1) if found in (None, ctypes.c_void_p(-1).value) else found
