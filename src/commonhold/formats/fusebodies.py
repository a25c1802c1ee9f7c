"""The bodies of FUSE requests: one value a structure of the kernel's, its fields by the kernel's names. Pure.

Several opcodes share a structure; which it was says the request. Names have no NUL. Times are seconds and nanoseconds
since 1970, seconds possibly negative.
"""

from typing import NamedTuple


class Unknown(NamedTuple):
    """Of an opcode that we do not know: the answer is ENOSYS, and the kernel does without."""


class Nothing(NamedTuple):
    """READLINK, STATFS, DESTROY, SYNCFS."""


class Init(NamedTuple):
    """INIT. `flags` are InitFlag, those of `flags2` with them."""

    major: int
    minor: int
    max_readahead: int
    flags: int


class Named(NamedTuple):
    """LOOKUP, UNLINK, RMDIR; REMOVEXATTR, where it is the attribute's name."""

    name: bytes


class Forget(NamedTuple):
    """FORGET and BATCH_FORGET: (nodeid, nlookup) of each."""

    items: tuple[tuple[int, int], ...]


class Getattr(NamedTuple):
    """GETATTR."""

    getattr_flags: int
    fh: int


class Setattr(NamedTuple):
    """SETATTR: of the fields, only those count that `valid` (SetattrFlag) names."""

    valid: int
    fh: int
    size: int
    lock_owner: int
    atime: int
    mtime: int
    ctime: int
    atimensec: int
    mtimensec: int
    ctimensec: int
    mode: int
    uid: int
    gid: int


class Symlink(NamedTuple):
    """SYMLINK."""

    name: bytes
    target: bytes


class Mknod(NamedTuple):
    """MKNOD."""

    mode: int
    rdev: int
    umask: int
    name: bytes


class Mkdir(NamedTuple):
    """MKDIR."""

    mode: int
    umask: int
    name: bytes


class Rename(NamedTuple):
    """RENAME, with flags 0, and RENAME2, with those of renameat2(2)."""

    newdir: int
    flags: int
    name: bytes
    new_name: bytes


class Link(NamedTuple):
    """LINK."""

    oldnodeid: int
    name: bytes


class Open(NamedTuple):
    """OPEN and OPENDIR. `flags` are those of open(2)."""

    flags: int
    open_flags: int


class Create(NamedTuple):
    """CREATE and TMPFILE; of the latter the name says nothing and is empty."""

    flags: int
    mode: int
    umask: int
    open_flags: int
    name: bytes


class Release(NamedTuple):
    """RELEASE and RELEASEDIR."""

    fh: int
    flags: int
    release_flags: int
    lock_owner: int


class Flush(NamedTuple):
    """FLUSH."""

    fh: int
    lock_owner: int


class Read(NamedTuple):
    """READ, READDIR and READDIRPLUS."""

    fh: int
    offset: int
    size: int
    read_flags: int
    lock_owner: int
    flags: int


class Write(NamedTuple):
    """WRITE. `data` is a view of the buffer that was parsed."""

    fh: int
    offset: int
    write_flags: int
    lock_owner: int
    flags: int
    data: memoryview


class Fsync(NamedTuple):
    """FSYNC and FSYNCDIR."""

    fh: int
    fsync_flags: int


class Setxattr(NamedTuple):
    """SETXATTR. `setxattr_flags` is 0 where SETXATTR_EXT was not agreed on."""

    flags: int
    setxattr_flags: int
    name: bytes
    value: bytes


class Getxattr(NamedTuple):
    """GETXATTR; LISTXATTR, with an empty name. A size of 0 asks how many bytes there are."""

    size: int
    name: bytes


class Lock(NamedTuple):
    """GETLK, SETLK and SETLKW: bytes [start, end], F_RDLCK, F_WRLCK or F_UNLCK."""

    fh: int
    owner: int
    start: int
    end: int
    type: int
    pid: int
    lk_flags: int


class Access(NamedTuple):
    """ACCESS."""

    mask: int


class Interrupt(NamedTuple):
    """INTERRUPT: the request that nobody waits for any more."""

    unique: int


class Bmap(NamedTuple):
    """BMAP."""

    block: int
    blocksize: int


class Ioctl(NamedTuple):
    """IOCTL. `data` is a view of the buffer that was parsed."""

    fh: int
    flags: int
    cmd: int
    arg: int
    out_size: int
    data: memoryview


class Poll(NamedTuple):
    """POLL."""

    fh: int
    kh: int
    flags: int
    events: int


class Retrieved(NamedTuple):
    """NOTIFY_REPLY: what NOTIFY_RETRIEVE asked for. `data` is a view of the buffer that was parsed."""

    offset: int
    data: memoryview


class Fallocate(NamedTuple):
    """FALLOCATE."""

    fh: int
    offset: int
    length: int
    mode: int


class Lseek(NamedTuple):
    """LSEEK: SEEK_DATA or SEEK_HOLE, from an offset that may be negative."""

    fh: int
    offset: int
    whence: int


class CopyRange(NamedTuple):
    """COPY_FILE_RANGE and COPY_FILE_RANGE_64."""

    fh_in: int
    off_in: int
    nodeid_out: int
    fh_out: int
    off_out: int
    len: int
    flags: int


class Statx(NamedTuple):
    """STATX."""

    getattr_flags: int
    fh: int
    sx_flags: int
    sx_mask: int


Body = (
    Unknown | Nothing | Init | Named | Forget | Getattr | Setattr | Symlink | Mknod | Mkdir | Rename | Link
    | Open | Create | Release | Flush | Read | Write | Fsync | Setxattr | Getxattr | Lock | Access | Interrupt
    | Bmap | Ioctl | Poll | Retrieved | Fallocate | Lseek | CopyRange | Statx
)  # fmt: skip
