"""A file tree in memory that answers FUSE requests: just enough to see whether the kernel and the codec agree.

One thread, no disk. An ioctl on any file makes it send a notification first, so that those are seen too.
"""

import errno
import os
import stat
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from commonhold.formats import fusenotices, fusereplies
from commonhold.formats.fuse import Request
from commonhold.formats.fuseflags import EntryFlag, InitFlag, Opcode, PollFlag, SetattrFlag
from commonhold.formats.fuselisting import Listing, ListingPlus
from commonhold.formats.fusereplies import Attr, Entry, InitReply, Lock, Opened, Reply, Statfs, StatxReply

SECOND = 1_000_000_000
ROOM = 400  # a listing is given in small pieces
F_UNLCK = 2
READY = 1  # POLLIN
# The notification that each ioctl asks for: _IOWR('h', n, 8 bytes).
IOCTLS = {
    0xC0086800: "nothing",
    0xC0086801: "inval_inode",
    0xC0086802: "inval_entry",
    0xC0086803: "expire_entry",
    0xC0086804: "delete",
    0xC0086805: "store",
    0xC0086806: "retrieve",
    0xC0086807: "resend",
    0xC0086808: "inc_epoch",
    0xC0086809: "prune",
}


@dataclass
class Node:
    """A file, directory or link."""

    number: int
    mode: int
    uid: int
    gid: int
    rdev: int = 0
    nlink: int = 1
    data: bytearray = field(default_factory=bytearray)
    entries: dict[bytes, "Node"] = field(default_factory=dict)
    xattrs: dict[bytes, bytes] = field(default_factory=dict)
    locks: list[Any] = field(default_factory=list)  # Lock bodies that are held
    times: list[int] = field(default_factory=lambda: [time.time_ns()] * 3)  # of access, modification, change

    def attr(self) -> Attr:
        """What stat(2) says."""
        (atime, atimensec), (mtime, mtimensec), (ctime, ctimensec) = [divmod(moment, SECOND) for moment in self.times]
        return Attr(
            ino=self.number, size=len(self.data), blocks=-(-len(self.data) // 512), atime=atime, mtime=mtime,
            ctime=ctime, atimensec=atimensec, mtimensec=mtimensec, ctimensec=ctimensec, mode=self.mode,
            nlink=self.nlink, uid=self.uid, gid=self.gid, rdev=self.rdev, blksize=4096,
        )  # fmt: skip


class Refused(Exception):
    """An answer that is an errno."""


class Tree:
    """`flags` are agreed on as far as the kernel has them; opcodes of `unknown` are answered with ENOSYS."""

    def __init__(self, flags: int, unknown: frozenset[int]) -> None:
        self.offered = self.retrieved = b""
        self._flags, self._unknown = flags, unknown
        self._nodes: dict[int, Node] = {}
        self._waiting: dict[int, Request] = {}  # SETLKW by their unique
        self._polls: set[int] = set()
        self._make(stat.S_IFDIR | 0o755, 0, 0)
        self._handles = 100
        self.forgotten = 0
        self.resent = 0

    def _make(self, mode: int, uid: int, gid: int, rdev: int = 0) -> Node:
        node = Node(len(self._nodes) + 1, mode, uid, gid, rdev, 2 if stat.S_ISDIR(mode) else 1)
        self._nodes[node.number] = node
        return node

    def answer(self, request: Request) -> list[Reply]:
        """What to write, in order."""
        self.resent += request.resent
        opcode, unique = request.opcode, request.unique
        if opcode in self._unknown or not isinstance(opcode, Opcode):
            return [fusereplies.error(unique, errno.ENOSYS)]
        act: Callable[[Request, Any, Node], list[Reply]] = getattr(self, f"_{opcode.name.lower()}")
        node = self._nodes.get(request.nodeid, self._nodes[1])
        try:
            return act(request, request.body, node)
        except Refused as refused:
            return [fusereplies.error(unique, refused.args[0])]

    def _opened(self) -> Opened:
        self._handles += 1
        return Opened(self._handles)

    def _entry(self, node: Node) -> Entry:
        return Entry(node.number, 0, SECOND, SECOND, node.attr())

    def _init(self, request: Request, body: Any, _node: Node) -> list[Reply]:
        agreed = InitReply(
            flags=self._flags & body.flags & ~(InitFlag.SECURITY_CTX if body.minor < 38 else 0),
            max_readahead=body.max_readahead,
            max_background=16,
            congestion_threshold=12,
            max_write=1 << 20,
            max_pages=256,
        )
        return [fusereplies.init(request.unique, agreed)]

    def _lookup(self, request: Request, body: Any, node: Node) -> list[Reply]:
        if body.name not in node.entries:
            raise Refused(errno.ENOENT)
        return [fusereplies.entry(request.unique, self._entry(node.entries[body.name]))]

    def _forget(self, _request: Request, body: Any, _node: Node) -> list[Reply]:
        self.forgotten += len(body.items)
        return []

    _batch_forget = _forget

    def _getattr(self, request: Request, _body: Any, node: Node) -> list[Reply]:
        return [fusereplies.attr(request.unique, SECOND, node.attr())]

    def _statx(self, request: Request, body: Any, node: Node) -> list[Reply]:
        pairs = [divmod(moment, SECOND) for moment in node.times]
        attr = node.attr()
        found = StatxReply(
            attr_valid=SECOND, mask=body.sx_mask, blksize=4096, attributes=0, nlink=node.nlink, uid=node.uid,
            gid=node.gid, mode=node.mode, ino=node.number, size=attr.size, blocks=attr.blocks, attributes_mask=0,
            atime=pairs[0], btime=(1234567890, 987654321), ctime=pairs[2], mtime=pairs[1], rdev=(0, 0), dev=(0, 0),
        )  # fmt: skip
        return [fusereplies.statx(request.unique, found)]

    def _setattr(self, request: Request, body: Any, node: Node) -> list[Reply]:
        valid, now = body.valid, time.time_ns()
        if valid & SetattrFlag.MODE:
            node.mode = body.mode
        if valid & SetattrFlag.UID:
            node.uid = body.uid
        if valid & SetattrFlag.GID:
            node.gid = body.gid
        if valid & SetattrFlag.SIZE:
            del node.data[body.size :]
            node.data.extend(bytes(body.size - len(node.data)))
        for place, flag, seconds, nanos in (
            (0, SetattrFlag.ATIME, body.atime, body.atimensec),
            (1, SetattrFlag.MTIME, body.mtime, body.mtimensec),
        ):
            if valid & flag:
                at_once = valid & (flag << 3)  # ATIME_NOW, MTIME_NOW
                node.times[place] = now if at_once else seconds * SECOND + nanos
        node.times[2] = now
        return self._getattr(request, body, node)

    def _readlink(self, request: Request, _body: Any, node: Node) -> list[Reply]:
        return [fusereplies.data(request.unique, bytes(node.data))]

    def _new(self, request: Request, parent: Node, name: bytes, mode: int, rdev: int = 0) -> Node:
        if name in parent.entries:
            raise Refused(errno.EEXIST)
        gid = parent.gid if parent.gid in request.extensions.groups else request.gid
        parent.entries[name] = node = self._make(mode, request.uid, gid, rdev)
        return node

    def _symlink(self, request: Request, body: Any, parent: Node) -> list[Reply]:
        node = self._new(request, parent, body.name, stat.S_IFLNK | 0o777)
        node.data[:] = body.target
        return [fusereplies.entry(request.unique, self._entry(node))]

    def _mknod(self, request: Request, body: Any, parent: Node) -> list[Reply]:
        node = self._new(request, parent, body.name, body.mode & ~body.umask, body.rdev)
        return [fusereplies.entry(request.unique, self._entry(node))]

    def _mkdir(self, request: Request, body: Any, parent: Node) -> list[Reply]:
        node = self._new(request, parent, body.name, stat.S_IFDIR | body.mode & ~body.umask)
        return [fusereplies.entry(request.unique, self._entry(node))]

    def _create(self, request: Request, body: Any, parent: Node) -> list[Reply]:
        node = self._new(request, parent, body.name, body.mode & ~body.umask)
        return [fusereplies.created(request.unique, self._entry(node), self._opened())]

    def _tmpfile(self, request: Request, body: Any, _parent: Node) -> list[Reply]:
        node = self._make(body.mode & ~body.umask, request.uid, request.gid)
        node.nlink = 0
        return [fusereplies.created(request.unique, self._entry(node), self._opened())]

    def _unlink(self, request: Request, body: Any, parent: Node) -> list[Reply]:
        parent.entries.pop(body.name).nlink -= 1
        return [fusereplies.done(request.unique)]

    def _rmdir(self, request: Request, body: Any, parent: Node) -> list[Reply]:
        if parent.entries[body.name].entries:
            raise Refused(errno.ENOTEMPTY)
        return self._unlink(request, body, parent)

    def _rename(self, request: Request, body: Any, parent: Node) -> list[Reply]:
        target = self._nodes[body.newdir]
        if body.flags == 1 and body.new_name in target.entries:  # RENAME_NOREPLACE
            raise Refused(errno.EEXIST)
        moved = parent.entries.pop(body.name)
        if body.flags == 2:  # RENAME_EXCHANGE
            parent.entries[body.name] = target.entries[body.new_name]
        target.entries[body.new_name] = moved
        return [fusereplies.done(request.unique)]

    _rename2 = _rename

    def _link(self, request: Request, body: Any, parent: Node) -> list[Reply]:
        node = self._nodes[body.oldnodeid]
        parent.entries[body.name] = node
        node.nlink += 1
        return [fusereplies.entry(request.unique, self._entry(node))]

    def _open(self, request: Request, body: Any, node: Node) -> list[Reply]:
        if body.flags & os.O_TRUNC:
            node.data.clear()
        return [fusereplies.opened(request.unique, self._opened())]

    _opendir = _open

    def _read(self, request: Request, body: Any, node: Node) -> list[Reply]:
        with memoryview(node.data) as whole:
            return [fusereplies.data(request.unique, bytes(whole[body.offset : body.offset + body.size]))]

    def _write(self, request: Request, body: Any, node: Node) -> list[Reply]:
        end = body.offset + len(body.data)
        node.data.extend(bytes(max(0, end - len(node.data))))
        node.data[body.offset : end] = body.data
        return [fusereplies.written(request.unique, len(body.data))]

    def _statfs(self, request: Request, _body: Any, _node: Node) -> list[Reply]:
        return [fusereplies.statfs(request.unique, Statfs(1000, 900, 800, 700, 600, 4096, 255, 4096))]

    def _done(self, request: Request, _body: Any, _node: Node) -> list[Reply]:
        return [fusereplies.done(request.unique)]

    _releasedir = _fsync = _fsyncdir = _access = _syncfs = _destroy = _done

    def _release(self, request: Request, body: Any, node: Node) -> list[Reply]:
        """What the handle took and nobody gave up is free: flock and OFD locks."""
        node.locks = [held for held in node.locks if held.fh != body.fh]
        return [*self._woken(), fusereplies.done(request.unique)]

    def _flush(self, request: Request, body: Any, node: Node) -> list[Reply]:
        """A close frees what its owner holds."""
        node.locks = [held for held in node.locks if held.owner != body.lock_owner or held.lk_flags]
        return [*self._woken(), fusereplies.done(request.unique)]

    def _setxattr(self, request: Request, body: Any, node: Node) -> list[Reply]:
        if body.flags == 1 and body.name in node.xattrs:  # XATTR_CREATE
            raise Refused(errno.EEXIST)
        node.xattrs[body.name] = body.value
        return [fusereplies.done(request.unique)]

    def _sized(self, request: Request, room: int, value: bytes) -> list[Reply]:
        if not room:
            return [fusereplies.xattr_size(request.unique, len(value))]
        if room < len(value):
            raise Refused(errno.ERANGE)
        return [fusereplies.data(request.unique, value)]

    def _getxattr(self, request: Request, body: Any, node: Node) -> list[Reply]:
        if body.name not in node.xattrs:
            raise Refused(errno.ENODATA)
        return self._sized(request, body.size, node.xattrs[body.name])

    def _listxattr(self, request: Request, body: Any, node: Node) -> list[Reply]:
        return self._sized(request, body.size, b"".join(name + b"\0" for name in node.xattrs))

    def _removexattr(self, request: Request, body: Any, node: Node) -> list[Reply]:
        del node.xattrs[body.name]
        return [fusereplies.done(request.unique)]

    def _readdir(self, request: Request, body: Any, node: Node) -> list[Reply]:
        kind = Listing if request.opcode == Opcode.READDIR else ListingPlus
        listing = kind(min(body.size, ROOM))
        names = [(b".", node), (b"..", node), *sorted(node.entries.items())]
        for cookie, (name, child) in enumerate(names[body.offset :], body.offset + 1):
            if not isinstance(listing, ListingPlus):
                fits = listing.add(name, child.number, child.mode >> 12, cookie)
            else:
                entry = self._entry(child)
                fits = listing.add_entry(name, entry._replace(nodeid=0) if cookie <= 2 else entry, cookie)
            if not fits:
                break
        return [fusereplies.data(request.unique, listing.payload())]

    _readdirplus = _readdir

    def _conflict(self, node: Node, body: Any) -> Any:
        """A held lock that is in the way of another."""
        for held in node.locks:
            apart = held.end < body.start or body.end < held.start
            if held.owner != body.owner and not apart and (held.type or body.type) and held.lk_flags == body.lk_flags:
                return held
        return None

    def _getlk(self, request: Request, body: Any, node: Node) -> list[Reply]:
        held = self._conflict(node, body)
        found = Lock(held.start, held.end, held.type, held.pid) if held else Lock(0, 0, F_UNLCK, 0)
        return [fusereplies.lock(request.unique, found)]

    def _setlk(self, request: Request, body: Any, node: Node) -> list[Reply]:
        if body.type != F_UNLCK and self._conflict(node, body):
            if request.opcode == Opcode.SETLKW:
                self._waiting[request.unique] = request
                return []
            raise Refused(errno.EAGAIN)
        same = [held for held in node.locks if held.owner == body.owner and held.lk_flags == body.lk_flags]
        node.locks = [held for held in node.locks if held not in same]
        if body.type != F_UNLCK:
            node.locks.append(body)
        return [fusereplies.done(request.unique), *self._woken()]

    _setlkw = _setlk

    def _woken(self) -> list[Reply]:
        """Answers to those that waited for a lock and now get it."""
        for unique, request in list(self._waiting.items()):
            if not self._conflict(self._nodes[request.nodeid], request.body):
                return self._setlk(self._waiting.pop(unique), request.body, self._nodes[request.nodeid])
        return []

    def _interrupt(self, _request: Request, body: Any, _node: Node) -> list[Reply]:
        if self._waiting.pop(body.unique, None) is None:
            return []
        return [fusereplies.error(body.unique, errno.EINTR)]

    def _ioctl(self, request: Request, body: Any, node: Node) -> list[Reply]:
        name = IOCTLS.get(body.cmd)
        if name is None:
            raise Refused(errno.ENOTTY)
        reply = fusereplies.ioctl(request.unique, 42, bytes(body.data)[::-1])
        if name == "resend" and not request.resent:
            return [fusenotices.resend()]  # it comes again, and then it is answered
        notices = [] if name in ("nothing", "resend") else [self._notice(name, node)]
        return [*notices, reply]

    def _notice(self, name: str, node: Node) -> Reply:
        number = node.number
        match name:
            case "inval_inode":
                node.data[:] = b"changed behind the kernel's back"
                return fusenotices.inval_inode(number, 0, 0)
            case "inval_entry" | "expire_entry":
                self._nodes[1].entries.pop(b"vanishing", None)
                return fusenotices.inval_entry(1, b"vanishing", EntryFlag.EXPIRE_ONLY if name[0] == "e" else 0)
            case "delete":
                gone = self._nodes[1].entries.pop(b"vanishing")
                return fusenotices.delete(1, gone.number, b"vanishing")
            case "store":
                node.data[:4] = b"DISK"  # the kernel has it from its cache, not from here
                return fusenotices.store(number, 0, b"NEWS")
            case "retrieve":
                return fusenotices.retrieve(4711, number, 0, 4)
            case "prune":
                return fusenotices.prune([entry.number for entry in self._nodes[1].entries.values()])
            case _:
                return fusenotices.inc_epoch()

    def _notify_reply(self, request: Request, body: Any, _node: Node) -> list[Reply]:
        assert request.unique == 4711
        self.retrieved = bytes(body.data)
        return []

    def _poll(self, request: Request, body: Any, _node: Node) -> list[Reply]:
        if body.kh in self._polls or not body.flags & PollFlag.SCHEDULE_NOTIFY:
            return [fusereplies.polled(request.unique, READY if body.kh in self._polls else 0)]
        self._polls.add(body.kh)
        return [fusereplies.polled(request.unique, 0), fusenotices.ready(body.kh)]

    def _fallocate(self, request: Request, body: Any, node: Node) -> list[Reply]:
        end = body.offset + body.length
        if not body.mode & 1:  # FALLOC_FL_KEEP_SIZE
            node.data.extend(bytes(max(0, end - len(node.data))))
        if body.mode & 2:  # FALLOC_FL_PUNCH_HOLE
            end = min(end, len(node.data))
            node.data[body.offset : end] = bytes(end - body.offset)
        return [fusereplies.done(request.unique)]

    def _lseek(self, request: Request, body: Any, node: Node) -> list[Reply]:
        """The first byte that is, or is not, zero."""
        if not 0 <= body.offset < len(node.data):
            raise Refused(errno.ENXIO)
        for at in range(body.offset, len(node.data)):
            if bool(node.data[at]) == (body.whence == 3):  # SEEK_DATA
                return [fusereplies.position(request.unique, at)]
        return [fusereplies.position(request.unique, len(node.data))]

    def _copy(self, body: Any, node: Node) -> int:
        part = node.data[body.off_in : body.off_in + body.len]
        target = self._nodes[body.nodeid_out]
        target.data.extend(bytes(max(0, body.off_out + len(part) - len(target.data))))
        target.data[body.off_out : body.off_out + len(part)] = part
        return len(part)

    def _copy_file_range(self, request: Request, body: Any, node: Node) -> list[Reply]:
        return [fusereplies.written(request.unique, self._copy(body, node))]

    def _copy_file_range_64(self, request: Request, body: Any, node: Node) -> list[Reply]:
        return [fusereplies.copied(request.unique, self._copy(body, node))]


WANTED = int(
    InitFlag.ASYNC_READ | InitFlag.POSIX_LOCKS | InitFlag.FLOCK_LOCKS | InitFlag.ATOMIC_O_TRUNC | InitFlag.BIG_WRITES
    | InitFlag.DONT_MASK | InitFlag.HAS_IOCTL_DIR | InitFlag.DO_READDIRPLUS | InitFlag.READDIRPLUS_AUTO
    | InitFlag.PARALLEL_DIROPS | InitFlag.HANDLE_KILLPRIV_V2 | InitFlag.MAX_PAGES | InitFlag.CACHE_SYMLINKS
    | InitFlag.SETXATTR_EXT | InitFlag.INIT_EXT | InitFlag.SECURITY_CTX | InitFlag.CREATE_SUPP_GROUP
    | InitFlag.HAS_EXPIRE_ONLY | InitFlag.HAS_RESEND
)  # fmt: skip
PLAIN = int(InitFlag.POSIX_LOCKS | InitFlag.MAX_PAGES | InitFlag.BIG_WRITES | InitFlag.EXPLICIT_INVAL_DATA)
