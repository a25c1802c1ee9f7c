"""What a mount asks of a user's agent: one tree of files, by the numbers of its objects. docs/spec/mount.md.

Owners and groups are principals, never uids; times are nanoseconds since 1970. Errors are OSError with an errno, as a
program is told it. The kernel has checked permissions by the attributes that it was given, and knows more of the caller
than anybody here does: a tree checks what it must to stay a tree. `ipc/treewords` has these calls on the wire.
"""

from typing import NamedTuple, Protocol

ROOT = 1  # every tree's own
MAX_NUMBER = (1 << 48) - 1
MAX_NAME = 255
MAX_TARGET = 4095
MAX_IO = 1 << 20
MAX_XATTR = 64 << 10
MAX_SIZE = (1 << 63) - 1
NOW = -(1 << 63)  # as a time to set: that of the tree's own clock
KEEP_SIZE, PUNCH_HOLE, COLLAPSE_RANGE, ZERO_RANGE, INSERT_RANGE = 1, 2, 8, 16, 32  # fallocate(2)
NO_REPLACE, EXCHANGE, WHITEOUT = 1, 2, 4  # renameat2(2)
XATTR_CREATE, XATTR_REPLACE = 1, 2  # setxattr(2)
XATTR_KILL = 4  # with an ACL: whoever asks may not keep the set-group-ID bit
SEEK_DATA, SEEK_HOLE = 3, 4  # lseek(2)


class Attr(NamedTuple):
    """What stat(2) says of an object. `mode` has type and permissions, `blocks` have 512 bytes."""

    number: int
    mode: int
    links: int
    owner: str
    group: str
    size: int
    blocks: int
    accessed: int
    modified: int
    changed: int
    born: int
    device: int


class Who(NamedTuple):
    """Whose something new is: the caller and its group, and the permissions that the caller lets nobody have, unless
    the directory has a list of what there shall be: umask(2)."""

    owner: str
    group: str
    mask: int = 0


class Change(NamedTuple):
    """What is to be different from now on; None stays as it is.

    `kill`: whoever asks may not keep set-user-ID and set-group-ID bits of what is truncated.
    """

    mode: int | None = None  # permissions alone
    owner: str | None = None
    group: str | None = None
    size: int | None = None
    accessed: int | None = None
    modified: int | None = None
    changed: int | None = None
    kill: bool = False


class Item(NamedTuple):
    """An entry of a directory. `position` is where a listing goes on after it; `attr` only where it was asked for."""

    name: bytes
    position: int
    number: int
    mode: int
    attr: Attr | None


class Room(NamedTuple):
    """How much there is and how much is left: bytes, and objects."""

    bytes: int
    bytes_free: int
    objects: int
    objects_free: int


class Tree(Protocol):
    """One tree. Calls come from one thread, one after the other, but `slow` ones from any number at once.

    An object lives as long as it has a name, and without one until it is forgotten. Numbers are never used again.
    """

    slow: frozenset[str]  # calls that may wait for something, by their names

    # ── names ──

    def lookup(self, parent: int, name: bytes) -> Attr:
        """What a name leads to. ENOENT, ENOTDIR."""
        ...

    def make(self, parent: int, name: bytes, mode: int, device: int, target: bytes, who: Who, exclusive: bool) -> Attr:
        """Make an object of the type in `mode`: a file, directory, symbolic link, device, pipe or socket. EEXIST if
        the name is taken; ESTALE unless `exclusive`: whoever found it free is to look again, and may find what they may
        not open. An empty name makes a file without one.

        In a directory with the set-group-ID bit it has the directory's group, and a directory the bit too; in one with
        a default ACL it has that, and a directory the default too.
        """
        ...

    def link(self, number: int, parent: int, name: bytes) -> Attr:
        """Give an object that is no directory another name. EEXIST, EMLINK; ENOENT for what is forgotten."""
        ...

    def unlink(self, parent: int, name: bytes) -> None:
        """Take a name away. EISDIR for a directory."""
        ...

    def rmdir(self, parent: int, name: bytes) -> None:
        """Remove an empty directory. ENOTEMPTY, ENOTDIR."""
        ...

    def rename(self, parent: int, name: bytes, new_parent: int, new_name: bytes, flags: int) -> None:
        """Move a name, over what has the new one; as renameat2(2)."""
        ...

    def listing(self, number: int, position: int, most: int, attributes: bool) -> list[Item]:
        """Up to so many entries of a directory from a position on, 0 being the first. Not `.` and `..`. What is there
        all the time comes once, whatever else is made or removed meanwhile."""
        ...

    def parent(self, number: int) -> int:
        """The directory that a directory is in; the root's is the root."""
        ...

    def forget(self, numbers: list[int]) -> None:
        """The kernel has no reference to these left: those without a name go."""
        ...

    # ── attributes ──

    def attr(self, number: int) -> Attr:
        """What stat(2) says. ENOENT for a number that is nobody's."""
        ...

    def change(self, number: int, change: Change) -> Attr:
        """Change attributes. A file is made longer by a hole. A new owner ends set-ID bits of what is no directory."""
        ...

    def target(self, number: int) -> bytes:
        """Where a symbolic link leads."""
        ...

    def xattr(self, number: int, name: bytes) -> bytes:
        """An extended attribute. ENODATA."""
        ...

    def xattrs(self, number: int) -> list[bytes]:
        """Their names."""
        ...

    def set_xattr(self, number: int, name: bytes, value: bytes, flags: int) -> None:
        """Set one; as setxattr(2). EEXIST, ENODATA. `system.posix_acl_access` and `_default` are ACLs as `formats/acl`
        writes them: permissions are those of the list then, and change with them. EACCES for a default of what is no
        directory."""
        ...

    def remove_xattr(self, number: int, name: bytes) -> None:
        """Remove one. ENODATA; but for ACLs, which there need not be."""
        ...

    # ── content ──

    def open(self, number: int, truncate: bool, kill: bool) -> None:
        """A file is opened, and emptied if asked to."""
        ...

    def cached(self, number: int, offset: int, size: int) -> bytes | None:
        """As `read`, if that need not wait for anything."""
        ...

    def read(self, number: int, offset: int, size: int) -> bytes:
        """A file's bytes, fewer only at its end."""
        ...

    def write(self, number: int, offset: int, data: memoryview, kill: bool, late: bool) -> int:
        """Write bytes; how many. ENOSPC and EDQUOT may come as late as `sync`.

        `late`: they come out of a kernel's memory, which says by `change` when the file was changed, before that or
        after it. So its times stay as they are.
        """
        ...

    def allocate(self, number: int, offset: int, length: int, mode: int) -> None:
        """As fallocate(2). EOPNOTSUPP."""
        ...

    def seek(self, number: int, offset: int, whence: int) -> int:
        """Where the next data or the next hole begins. ENXIO beyond the end."""
        ...

    def copy(self, source: int, start: int, number: int, offset: int, length: int) -> int:
        """Copy bytes within the tree, from file to file or inside one; how many."""
        ...

    def sync(self, number: int) -> None:
        """All that was done to an object is on disk on return. 0: to any."""
        ...

    def room(self) -> Room:
        """As statfs(2)."""
        ...


# ── locks ──


class Held(NamedTuple):
    """A lock that is in the way: bytes [start, end], F_RDLCK or F_WRLCK, and whose process it is, if that is known."""

    start: int
    end: int
    kind: int
    process: int


class Locking(Protocol):
    """Locks on a tree's objects. Owners and handles are numbers of the kernel's and the mount's, no more than that."""

    def test(self, number: int, owner: int, start: int, end: int, kind: int) -> Held | None:
        """Who would be in the way of a lock, F_RDLCK or F_WRLCK."""
        ...

    def lock(
        self,
        number: int,
        owner: int,
        handle: int,
        start: int,
        end: int,
        kind: int,
        whole: bool,
        wait: bool,
        process: int,
    ) -> None:
        """Take or give up a lock: of POSIX, or of flock(2) if `whole`. EAGAIN; with `wait` it is answered late, or with
        EINTR or EDEADLK. ENOLCK for too many."""
        ...

    def interrupt(self, call: int) -> None:
        """Nobody waits any more for a call that has that id."""
        ...

    def closed(self, number: int, owner: int) -> None:
        """An owner has closed an object: its POSIX locks on it are free."""
        ...

    def released(self, number: int, handle: int, owner: int | None) -> None:
        """A handle is gone for good, and what was locked by it is free; so are the flock(2) locks of an owner."""
        ...
