"""The FUSE protocol's numbers, by the kernel's own names without their prefix. Pure.

Source: include/uapi/linux/fuse.h of Linux, protocol 7.45, without what is for CUSE, virtio's DAX windows and io_uring.
Values of requests keep plain ints: an IntFlag costs a microsecond to make or to combine with an int. Whoever asks often
makes an int of the flag first.
"""

from enum import IntEnum, IntFlag

MAJOR = 7
MINOR = 45  # the newest that we know
MIN_MINOR = 31  # the oldest that we speak

ROOT_ID = 1
UNIQUE_RESEND = 1 << 63  # set in the `unique` of a request that is sent a second time
UNIQUE_INTERRUPT = 1  # set in that of an INTERRUPT
INVALID_UIDGID = 0xFFFFFFFF  # whose it is is not said: ALLOW_IDMAP
MIN_READ_BUFFER = 8192


class Opcode(IntEnum):
    """What is asked for."""

    LOOKUP = 1
    FORGET = 2
    GETATTR = 3
    SETATTR = 4
    READLINK = 5
    SYMLINK = 6
    MKNOD = 8
    MKDIR = 9
    UNLINK = 10
    RMDIR = 11
    RENAME = 12
    LINK = 13
    OPEN = 14
    READ = 15
    WRITE = 16
    STATFS = 17
    RELEASE = 18
    FSYNC = 20
    SETXATTR = 21
    GETXATTR = 22
    LISTXATTR = 23
    REMOVEXATTR = 24
    FLUSH = 25
    INIT = 26
    OPENDIR = 27
    READDIR = 28
    RELEASEDIR = 29
    FSYNCDIR = 30
    GETLK = 31
    SETLK = 32
    SETLKW = 33
    ACCESS = 34
    CREATE = 35
    INTERRUPT = 36
    BMAP = 37
    DESTROY = 38
    IOCTL = 39
    POLL = 40
    NOTIFY_REPLY = 41
    BATCH_FORGET = 42
    FALLOCATE = 43
    READDIRPLUS = 44
    RENAME2 = 45
    LSEEK = 46
    COPY_FILE_RANGE = 47
    SYNCFS = 50
    TMPFILE = 51
    STATX = 52
    COPY_FILE_RANGE_64 = 53


class NotifyCode(IntEnum):
    """What the server tells unasked."""

    POLL = 1
    INVAL_INODE = 2
    INVAL_ENTRY = 3
    STORE = 4
    RETRIEVE = 5
    DELETE = 6
    RESEND = 7
    INC_EPOCH = 8
    PRUNE = 9


class InitFlag(IntFlag):
    """INIT, both ways; `flags2` has the upper 32 bits."""

    ASYNC_READ = 1 << 0
    POSIX_LOCKS = 1 << 1
    FILE_OPS = 1 << 2
    ATOMIC_O_TRUNC = 1 << 3
    EXPORT_SUPPORT = 1 << 4
    BIG_WRITES = 1 << 5
    DONT_MASK = 1 << 6
    SPLICE_WRITE = 1 << 7
    SPLICE_MOVE = 1 << 8
    SPLICE_READ = 1 << 9
    FLOCK_LOCKS = 1 << 10
    HAS_IOCTL_DIR = 1 << 11
    AUTO_INVAL_DATA = 1 << 12
    DO_READDIRPLUS = 1 << 13
    READDIRPLUS_AUTO = 1 << 14
    ASYNC_DIO = 1 << 15
    WRITEBACK_CACHE = 1 << 16
    NO_OPEN_SUPPORT = 1 << 17
    PARALLEL_DIROPS = 1 << 18
    HANDLE_KILLPRIV = 1 << 19
    POSIX_ACL = 1 << 20
    ABORT_ERROR = 1 << 21
    MAX_PAGES = 1 << 22
    CACHE_SYMLINKS = 1 << 23
    NO_OPENDIR_SUPPORT = 1 << 24
    EXPLICIT_INVAL_DATA = 1 << 25
    MAP_ALIGNMENT = 1 << 26
    SUBMOUNTS = 1 << 27
    HANDLE_KILLPRIV_V2 = 1 << 28
    SETXATTR_EXT = 1 << 29
    INIT_EXT = 1 << 30
    INIT_RESERVED = 1 << 31
    SECURITY_CTX = 1 << 32
    HAS_INODE_DAX = 1 << 33
    CREATE_SUPP_GROUP = 1 << 34
    HAS_EXPIRE_ONLY = 1 << 35
    DIRECT_IO_ALLOW_MMAP = 1 << 36
    PASSTHROUGH = 1 << 37
    NO_EXPORT_SUPPORT = 1 << 38
    HAS_RESEND = 1 << 39
    ALLOW_IDMAP = 1 << 40
    OVER_IO_URING = 1 << 41
    REQUEST_TIMEOUT = 1 << 42


class SetattrFlag(IntFlag):
    """FATTR_: which fields of a SETATTR count."""

    MODE = 1 << 0
    UID = 1 << 1
    GID = 1 << 2
    SIZE = 1 << 3
    ATIME = 1 << 4
    MTIME = 1 << 5
    FH = 1 << 6
    ATIME_NOW = 1 << 7
    MTIME_NOW = 1 << 8
    LOCKOWNER = 1 << 9
    CTIME = 1 << 10
    KILL_SUIDGID = 1 << 11


class OpenFlag(IntFlag):
    """FOPEN_: how the kernel shall treat what was opened."""

    DIRECT_IO = 1 << 0
    KEEP_CACHE = 1 << 1
    NONSEEKABLE = 1 << 2
    CACHE_DIR = 1 << 3
    STREAM = 1 << 4
    NOFLUSH = 1 << 5
    PARALLEL_DIRECT_WRITES = 1 << 6
    PASSTHROUGH = 1 << 7


class OpenInFlag(IntFlag):
    """FUSE_OPEN_: `open_flags` of OPEN and CREATE."""

    KILL_SUIDGID = 1 << 0


class GetattrFlag(IntFlag):
    """GETATTR and STATX."""

    FH = 1 << 0


class LockFlag(IntFlag):
    """FUSE_LK_: of GETLK, SETLK and SETLKW."""

    FLOCK = 1 << 0


class ReadFlag(IntFlag):
    """READ."""

    LOCKOWNER = 1 << 1


class WriteFlag(IntFlag):
    """WRITE."""

    CACHE = 1 << 0
    LOCKOWNER = 1 << 1
    KILL_SUIDGID = 1 << 2


class ReleaseFlag(IntFlag):
    """RELEASE."""

    FLUSH = 1 << 0
    FLOCK_UNLOCK = 1 << 1


class FsyncFlag(IntFlag):
    """FSYNC and FSYNCDIR."""

    FDATASYNC = 1 << 0


class IoctlFlag(IntFlag):
    """IOCTL, both ways."""

    COMPAT = 1 << 0
    UNRESTRICTED = 1 << 1
    RETRY = 1 << 2
    BIT32 = 1 << 3  # FUSE_IOCTL_32BIT
    DIR = 1 << 4
    COMPAT_X32 = 1 << 5


class PollFlag(IntFlag):
    """POLL."""

    SCHEDULE_NOTIFY = 1 << 0


class SetxattrFlag(IntFlag):
    """SETXATTR in its longer form."""

    ACL_KILL_SGID = 1 << 0


class AttrFlag(IntFlag):
    """What is special about an object."""

    SUBMOUNT = 1 << 0
    DAX = 1 << 1


class EntryFlag(IntFlag):
    """NOTIFY_INVAL_ENTRY."""

    EXPIRE_ONLY = 1 << 0
