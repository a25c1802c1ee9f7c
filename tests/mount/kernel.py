"""What a kernel asks, as bytes: for tests of whoever answers. Source: include/uapi/linux/fuse.h."""

import struct

from commonhold.formats.fusebodies import Setattr
from commonhold.formats.fuseflags import InitFlag, Opcode

HEADER = 40
ALICE, BOB, CAROL, PUBLIC, STRANGER = 1000, 1001, 1002, 990, 4711
SHIFT = 48


GONE = (1 << 31) - 1  # no process has such a number


def request(opcode: int, body: bytes = b"", node: int = 1, uid: int = ALICE, unique: int = 8) -> bytes:
    """A request with a sound header."""
    return struct.pack("<IIQQIIIH2x", HEADER + len(body), opcode, unique, node, uid, uid, GONE, 0) + body


def init(major: int = 7, minor: int = 45, flags: int = (1 << 43) - 1) -> bytes:
    flags &= ~int(InitFlag.INIT_RESERVED)
    return struct.pack("<IIIII44x", major, minor, 65536, flags & 0xFFFFFFFF, flags >> 32)


def named(name: bytes) -> bytes:
    """LOOKUP, UNLINK, RMDIR, REMOVEXATTR."""
    return name + b"\0"


def setattr_(valid: int, **fields: int) -> bytes:
    return struct.pack("<I4xQQQqqqIIII4xII4x", valid, *(fields.get(name, 0) for name in Setattr._fields[1:]))


def mknod(mode: int, rdev: int, name: bytes) -> bytes:
    return struct.pack("<III4x", mode, rdev, 0o22) + named(name)


def mkdir(mode: int, name: bytes) -> bytes:
    return struct.pack("<II", mode, 0o22) + named(name)


def create(flags: int, mode: int, name: bytes) -> bytes:
    """CREATE, and TMPFILE with the name that it has there."""
    return struct.pack("<IIII", flags, mode, 0o22, 0) + named(name)


def rename(directory: int, old: bytes, new: bytes) -> bytes:
    return struct.pack("<Q", directory) + named(old) + named(new)


def rename2(directory: int, flags: int, old: bytes, new: bytes) -> bytes:
    return struct.pack("<QI4x", directory, flags) + named(old) + named(new)


def link(node: int, name: bytes) -> bytes:
    return struct.pack("<Q", node) + named(name)


def opening(flags: int = 0, open_flags: int = 0) -> bytes:
    """OPEN and OPENDIR."""
    return struct.pack("<II", flags, open_flags)


def reading(offset: int, size: int) -> bytes:
    """READ, READDIR and READDIRPLUS."""
    return struct.pack("<QQIIQI4x", 1, offset, size, 0, 0, 0)


def write(offset: int, data: bytes, flags: int = 0) -> bytes:
    return struct.pack("<QQIIQI4x", 1, offset, len(data), flags, 0, 0) + data


def setxattr(name: bytes, value: bytes, flags: int = 0) -> bytes:
    return struct.pack("<II", len(value), flags) + named(name) + value


def getxattr(size: int, name: bytes) -> bytes:
    return struct.pack("<II", size, 0) + named(name)


def listxattr(size: int) -> bytes:
    return struct.pack("<II", size, 0)


def fallocate(offset: int, length: int, mode: int) -> bytes:
    return struct.pack("<QQQI4x", 1, offset, length, mode)


def lseek(offset: int, whence: int) -> bytes:
    return struct.pack("<QqI4x", 1, offset, whence)


def release(flags: int) -> bytes:
    """RELEASE, of a file that was opened with these flags."""
    return struct.pack("<QIIQ", 1, flags, 0, 0)


def copy(start: int, node: int, offset: int, length: int) -> bytes:
    return struct.pack("<QQQQQQQ", 1, start, node, 2, offset, length, 0)


def forget(count: int = 1) -> bytes:
    return struct.pack("<Q", count)


def batch_forget(*nodes: int) -> bytes:
    return struct.pack("<II", len(nodes), 0) + b"".join(struct.pack("<QQ", node, 1) for node in nodes)


def interrupt(unique: int) -> bytes:
    return struct.pack("<Q", unique)


GETATTR = bytes(16)
FSYNC = bytes(16)
FLUSH = bytes(24)
RELEASE = bytes(24)
LOCK = struct.pack("<QQQQIIII", 1, 2, 0, 9, 1, 77, 0, 0)
BODIES = {
    Opcode.ACCESS: bytes(8),
    Opcode.FLUSH: FLUSH,
    Opcode.RELEASE: RELEASE,
    Opcode.RELEASEDIR: RELEASE,
    Opcode.OPENDIR: opening(),
    Opcode.GETLK: LOCK,
    Opcode.SETLK: LOCK,
    Opcode.SETLKW: LOCK,
    Opcode.BMAP: bytes(16),
    Opcode.IOCTL: bytes(32),
    Opcode.POLL: bytes(24),
    Opcode.SYNCFS: bytes(8),
    Opcode.STATX: bytes(24),
    Opcode.DESTROY: b"",
}  # of requests that are no call of a tree's
