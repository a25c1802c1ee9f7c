"""FUSE replies: what a file system's server answers the kernel. Pure; docs/spec/fuse.md.

A reply is a head, with the header and what is small, and a payload of the caller's: both in one writev(2), the payload
not copied. Source: include/uapi/linux/fuse.h of Linux, protocol 7.31 to 7.45, little-endian. Times that say how long
something may be cached are nanoseconds.
"""

import struct
from typing import NamedTuple

from commonhold.formats.fuseflags import MAJOR, MINOR

Payload = bytes | bytearray | memoryview
Reply = tuple[bytes, Payload]

_SECOND = 1_000_000_000
_NOTHING = b""
_HEAD = struct.Struct("<IiQ")
_ATTR_FORM = "QQQqqqIIIIIIIIII"
_ENTRY_FORM = "QQQQII" + _ATTR_FORM
_ENTRY = struct.Struct("<" + _ENTRY_FORM)
_ENTRY_REPLY = struct.Struct("<IiQ" + _ENTRY_FORM)
_OPENED = struct.Struct("<QIi")
_ATTR_REPLY = struct.Struct("<IiQ" + "QI4x" + _ATTR_FORM)
_OPEN_REPLY = struct.Struct("<IiQ" + "QIi")
_NUMBER_REPLY = struct.Struct("<IiQ" + "I4x")
_OFFSET_REPLY = struct.Struct("<IiQ" + "Q")
_STATFS_REPLY = struct.Struct("<IiQ" + "QQQQQIII28x")
_LOCK_REPLY = struct.Struct("<IiQ" + "QQII")
_INIT_REPLY = struct.Struct("<IiQ" + "IIIIHHIIHHIIH22x")
_IOCTL_REPLY = struct.Struct("<IiQ" + "iI8x")
_STATX_REPLY = struct.Struct("<IiQ" + "QII16x" + "IIQIIIH2xQQQQ" + "qI4x" * 4 + "IIII112x")


class Attr(NamedTuple):
    """fuse_attr. Seconds since 1970 may be negative; blocks have 512 bytes; `flags` are AttrFlag."""

    ino: int
    size: int
    blocks: int
    atime: int
    mtime: int
    ctime: int
    atimensec: int
    mtimensec: int
    ctimensec: int
    mode: int
    nlink: int
    uid: int
    gid: int
    rdev: int
    blksize: int
    flags: int = 0


class Entry(NamedTuple):
    """fuse_entry_out. A nodeid of 0 says that there is no such name, and that this may be cached."""

    nodeid: int
    generation: int
    entry_valid: int
    attr_valid: int
    attr: Attr


class Opened(NamedTuple):
    """fuse_open_out. `open_flags` are OpenFlag; `backing_id` counts with PASSTHROUGH only."""

    fh: int
    open_flags: int = 0
    backing_id: int = 0


class Statfs(NamedTuple):
    """fuse_kstatfs; blocks have `frsize` bytes."""

    blocks: int
    bfree: int
    bavail: int
    files: int
    ffree: int
    bsize: int
    namelen: int
    frsize: int


class Lock(NamedTuple):
    """fuse_file_lock: who holds bytes [start, end], or F_UNLCK."""

    start: int
    end: int
    type: int
    pid: int


class InitReply(NamedTuple):
    """fuse_init_out. `flags` are InitFlag, of which INIT_EXT makes those of `flags2` count."""

    flags: int
    minor: int = MINOR
    max_readahead: int = 0
    max_background: int = 0
    congestion_threshold: int = 0
    max_write: int = 4096
    time_gran: int = 1
    max_pages: int = 0
    map_alignment: int = 0
    max_stack_depth: int = 0
    request_timeout: int = 0


class StatxReply(NamedTuple):
    """fuse_statx, with pairs of seconds and nanoseconds, and how long it may be cached."""

    attr_valid: int
    mask: int
    blksize: int
    attributes: int
    nlink: int
    uid: int
    gid: int
    mode: int
    ino: int
    size: int
    blocks: int
    attributes_mask: int
    atime: tuple[int, int]
    btime: tuple[int, int]
    ctime: tuple[int, int]
    mtime: tuple[int, int]
    rdev: tuple[int, int]
    dev: tuple[int, int]


def error(unique: int, errno: int) -> Reply:
    """Return the refusal of a request, by an errno of at least 1."""
    return _HEAD.pack(16, -errno, unique), _NOTHING


def done(unique: int) -> Reply:
    """Return that it was done, where nothing more is to be said."""
    return _HEAD.pack(16, 0, unique), _NOTHING


def data(unique: int, payload: Payload) -> Reply:
    """Return bytes: of READ, READLINK, READDIR, READDIRPLUS; of GETXATTR and LISTXATTR if they have room."""
    return _HEAD.pack(16 + len(payload), 0, unique), payload


def entry(unique: int, found: Entry) -> Reply:
    """Return what is at a name: LOOKUP, MKNOD, MKDIR, SYMLINK, LINK."""
    nodeid, generation, entry_valid, attr_valid, attr = found
    names, attrs = divmod(entry_valid, _SECOND), divmod(attr_valid, _SECOND)
    fields = (nodeid, generation, names[0], attrs[0], names[1], attrs[1])
    return _ENTRY_REPLY.pack(144, 0, unique, *fields, *attr), _NOTHING


def pack_entry(found: Entry) -> bytes:
    """Return fuse_entry_out alone."""
    nodeid, generation, entry_valid, attr_valid, attr = found
    names, attrs = divmod(entry_valid, _SECOND), divmod(attr_valid, _SECOND)
    return _ENTRY.pack(nodeid, generation, names[0], attrs[0], names[1], attrs[1], *attr)


def created(unique: int, found: Entry, opened: Opened) -> Reply:
    """Return what was made and opened: CREATE, TMPFILE."""
    return b"".join((_HEAD.pack(160, 0, unique), pack_entry(found), _OPENED.pack(*opened))), _NOTHING


def attr(unique: int, valid: int, found: Attr) -> Reply:
    """Return attributes: GETATTR, SETATTR."""
    seconds, nanos = divmod(valid, _SECOND)
    return _ATTR_REPLY.pack(120, 0, unique, seconds, nanos, *found), _NOTHING


def opened(unique: int, handle: Opened) -> Reply:
    """Return what was opened: OPEN, OPENDIR."""
    return _OPEN_REPLY.pack(32, 0, unique, *handle), _NOTHING


def written(unique: int, size: int) -> Reply:
    """Return how many bytes were taken: WRITE, COPY_FILE_RANGE."""
    return _NUMBER_REPLY.pack(24, 0, unique, size), _NOTHING


def copied(unique: int, size: int) -> Reply:
    """Return how many bytes were copied: COPY_FILE_RANGE_64."""
    return _OFFSET_REPLY.pack(24, 0, unique, size), _NOTHING


def xattr_size(unique: int, size: int) -> Reply:
    """Return how many bytes there are: GETXATTR and LISTXATTR without room."""
    return _NUMBER_REPLY.pack(24, 0, unique, size), _NOTHING


def statfs(unique: int, found: Statfs) -> Reply:
    """Return how much room there is: STATFS."""
    return _STATFS_REPLY.pack(96, 0, unique, *found), _NOTHING


def lock(unique: int, found: Lock) -> Reply:
    """Return who is in the way: GETLK."""
    return _LOCK_REPLY.pack(40, 0, unique, *found), _NOTHING


def position(unique: int, offset: int) -> Reply:
    """Return where the data or the hole begins: LSEEK."""
    return _OFFSET_REPLY.pack(24, 0, unique, offset), _NOTHING


def mapped(unique: int, block: int) -> Reply:
    """Return a block's place on the device: BMAP."""
    return _OFFSET_REPLY.pack(24, 0, unique, block), _NOTHING


def polled(unique: int, revents: int) -> Reply:
    """Return what is ready: POLL."""
    return _NUMBER_REPLY.pack(24, 0, unique, revents), _NOTHING


def ioctl(unique: int, result: int, payload: Payload = b"") -> Reply:
    """Return what an ioctl(2) of a well-formed command returns, and what it writes to its argument."""
    return _IOCTL_REPLY.pack(32 + len(payload), 0, unique, result, 0), payload


def statx(unique: int, found: StatxReply) -> Reply:
    """Return attributes in the form of statx(2): STATX."""
    seconds, nanos = divmod(found.attr_valid, _SECOND)
    pairs = [number for pair in found[12:] for number in pair]
    return _STATX_REPLY.pack(304, 0, unique, seconds, nanos, 0, *found[1:12], *pairs), _NOTHING


def init(unique: int, agreed: InitReply) -> Reply:
    """Return what was agreed on: INIT."""
    low, high = agreed.flags & 0xFFFFFFFF, agreed.flags >> 32
    _, minor, readahead, background, congestion, write, *rest = agreed
    grain, pages, alignment, depth, timeout = rest
    fields = (readahead, low, background, congestion, write, grain, pages, alignment, high, depth, timeout)
    return _INIT_REPLY.pack(80, 0, unique, MAJOR, minor, *fields), _NOTHING


def other_major(unique: int) -> Reply:
    """Return that we speak major version 7 and wait for another INIT."""
    return _INIT_REPLY.pack(80, 0, unique, MAJOR, MINOR, *[0] * 11), _NOTHING
