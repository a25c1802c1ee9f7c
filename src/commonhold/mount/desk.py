"""The mount's decisions: what the kernel asks goes to the right agent, what an agent answers goes back. No I/O.

Node numbers of the kernel's are a slot, which says whose tree it is (`slots`), and the agent's number in that tree.
Slot 0 is the mount's own: its root, and the directory of users. docs/spec/mount.md.
"""

import errno
import os
import stat
from collections.abc import Callable
from typing import Any

from commonhold.formats import fuse, fusereplies
from commonhold.formats.fuse import NO_REPLY, BadRequest, Request
from commonhold.formats.fusebodies import Init
from commonhold.formats.fuseflags import (
    MAJOR,
    MIN_MINOR,
    MINOR,
    InitFlag,
    LockFlag,
    Opcode,
    OpenFlag,
    OpenInFlag,
    ReleaseFlag,
    WriteFlag,
)
from commonhold.formats.fusereplies import InitReply, Opened, Statfs
from commonhold.ipc.treewords import PROTOCOL, Welcome, Which
from commonhold.mount.agents import BACKGROUND, Agents, Outside, Refused
from commonhold.mount.attributes import NOBODYS, Attributes
from commonhold.mount.known import Known
from commonhold.mount.ownnodes import HOLD, OWN_DIRECTORIES, OwnNodes, Users
from commonhold.mount.replies import (
    BLOCK,
    HOUR,
    Finish,
    Ids,
    Replies,
    as_copied,
    as_count,
    as_data,
    as_done,
    as_held,
    as_locked,
    as_position,
    as_room,
    as_target,
)
from commonhold.mount.slots import IPFS_SLOT, SHIFT, Slots
from commonhold.trees import MAX_IO, MAX_NUMBER, ROOT, Who

_NAME_BYTES = 160  # of an entry in a listing with attributes, about
_MAX_ITEMS = 1024

WANTED = int(
    InitFlag.MAX_PAGES | InitFlag.BIG_WRITES | InitFlag.ASYNC_READ | InitFlag.ASYNC_DIO | InitFlag.ATOMIC_O_TRUNC
    | InitFlag.DO_READDIRPLUS | InitFlag.READDIRPLUS_AUTO | InitFlag.PARALLEL_DIROPS | InitFlag.HANDLE_KILLPRIV_V2
    | InitFlag.SETXATTR_EXT | InitFlag.EXPLICIT_INVAL_DATA | InitFlag.CACHE_SYMLINKS | InitFlag.HAS_EXPIRE_ONLY
    | InitFlag.HAS_RESEND | InitFlag.ABORT_ERROR | InitFlag.INIT_EXT | InitFlag.NO_EXPORT_SUPPORT
    | InitFlag.WRITEBACK_CACHE | InitFlag.POSIX_LOCKS | InitFlag.FLOCK_LOCKS | InitFlag.POSIX_ACL | InitFlag.DONT_MASK
)  # fmt: skip

_KEEP_DIRECTORY = Opened(0, int(OpenFlag.KEEP_CACHE | OpenFlag.CACHE_DIR))
_FRESH = Opened(0, 0)
_WRITE_KILL, _OPEN_KILL = int(WriteFlag.KILL_SUIDGID), int(OpenInFlag.KILL_SUIDGID)
_WRITE_LATE = int(WriteFlag.CACHE)
_FLOCK, _FLOCK_UNLOCK = int(LockFlag.FLOCK), int(ReleaseFlag.FLOCK_UNLOCK)


class Desk:
    """See the module. Permissions are the kernel's business (`default_permissions`)."""

    def __init__(self, slots: Slots, ids: Ids, users: Users, outside: Outside) -> None:
        self._slots = slots
        self._ids = ids
        self._known = Known(slots)
        self.agents = Agents(slots, self._known, outside)
        self._replies = Replies(ids, self._known, self.agents.forget)
        self._own = OwnNodes(slots, users)
        self._outside = outside
        self._as_entry, self._as_attr = self._replies.entry, self._replies.attr
        attributes = Attributes(ids, self.agents, self._replies, outside)
        self._answerers: dict[int, Callable[[Request, Any], None]] = {
            int(Opcode.SETATTR): attributes.change,
            int(Opcode.GETXATTR): attributes.xattr,
            int(Opcode.LISTXATTR): attributes.xattrs,
            int(Opcode.SETXATTR): attributes.set_xattr,
            int(Opcode.REMOVEXATTR): attributes.remove_xattr,
        }
        for opcode in Opcode:
            answer = getattr(self, f"_{opcode.name.lower()}", None)
            if answer is not None:
                self._answerers[int(opcode)] = answer

    def welcome(self, uid: int, epoch: bytes) -> Welcome:
        """What is wanted of a user's agent."""
        public = self._slots.tree(IPFS_SLOT) == (uid, Which.IPFS)
        trees = [Which.IPFS, Which.IPNS] if public else [Which.VOLUME]
        return Welcome(PROTOCOL, epoch, trees, self._ids.user(uid) or "")

    def ask(self, data: memoryview) -> None:
        """Take one request, as it was read from the device. Malformed if it is none."""
        try:
            request = fuse.parse(data)
        except BadRequest as bad:
            if bad.opcode not in NO_REPLY:
                self._outside.reply(fusereplies.error(bad.unique, bad.errno))
            return
        answer = self._answerers.get(request.opcode)
        try:
            if answer is None:
                raise Refused(errno.ENOSYS)
            answer(request, request.body)
        except Refused as refused:
            if request.opcode not in NO_REPLY:
                self._outside.reply(fusereplies.error(request.unique, refused.errno))

    # ── the connection ──

    def _init(self, request: Request, body: Init) -> None:
        if body.major > MAJOR:
            self._outside.reply(fusereplies.other_major(request.unique))
            return
        if body.major < MAJOR or body.minor < MIN_MINOR:
            raise Refused(errno.EPROTO)
        self._slots.minor = min(body.minor, MINOR)
        agreed = InitReply(
            WANTED & (body.flags | int(InitFlag.INIT_EXT)),
            self._slots.minor,
            MAX_IO,  # as the keeper has it, or what the kernel has
            BACKGROUND,
            BACKGROUND,
            MAX_IO,
            1,
            256,
        )
        self._outside.reply(fusereplies.init(request.unique, agreed))

    def _destroy(self, request: Request, _body: Any) -> None:
        self._outside.reply(fusereplies.done(request.unique))

    def _interrupt(self, _request: Request, body: Any) -> None:
        self.agents.interrupt(body.unique)

    def _statfs(self, request: Request, _body: Any) -> None:
        if request.nodeid >> SHIFT == 0:
            self._outside.reply(fusereplies.statfs(request.unique, Statfs(0, 0, 0, 0, 0, MAX_IO, 255, BLOCK)))
            return
        self.agents.call(request, "room", (), as_room)

    # ── names ──

    def _lookup(self, request: Request, body: Any) -> None:
        nodeid = request.nodeid
        if nodeid >> SHIFT == 0:
            self._own_lookup(request, body.name)
            return
        self.agents.call(request, "lookup", (nodeid & MAX_NUMBER, body.name), self._as_entry, nodeid)

    def _own_lookup(self, request: Request, name: bytes) -> None:
        if request.nodeid == HOLD and name != b"me":
            nodeid = self._own.home(name)
            self.agents.call(request._replace(nodeid=nodeid), "attr", (ROOT,), self._replies.root, nodeid)
            return
        self._outside.reply(fusereplies.entry(request.unique, self._own.entry(request.nodeid, name, request.uid)))

    def _forget(self, _request: Request, body: Any) -> None:
        self.agents.forget(body.items)

    _batch_forget = _forget

    def _who(self, request: Request, mask: int = 0) -> Who:
        """Whose something new is. Nobody may have nothing."""
        owner = self._ids.user(request.uid)
        if owner is None:
            raise Refused(errno.EOVERFLOW)
        return Who(owner, self._ids.group(request.gid) or NOBODYS, mask & 0o777)

    def _make(
        self, request: Request, body: Any, mode: int, device: int = 0, mask: int = 0, target: bytes = b""
    ) -> None:
        given = (request.nodeid & MAX_NUMBER, body.name, mode, device, target, self._who(request, mask), True)
        self.agents.call(request, "make", given, self._as_entry, request.nodeid)

    def _symlink(self, request: Request, body: Any) -> None:
        self._make(request, body, stat.S_IFLNK | 0o777, target=body.target)

    def _mknod(self, request: Request, body: Any) -> None:
        self._make(request, body, body.mode, body.rdev, body.umask)

    def _mkdir(self, request: Request, body: Any) -> None:
        self._make(request, body, stat.S_IFDIR | body.mode & 0o7777, 0, body.umask)

    def _create(self, request: Request, body: Any) -> None:
        mode = stat.S_IFREG | body.mode & 0o7777
        exclusive = bool(body.flags & os.O_EXCL)
        who = self._who(request, body.umask)
        given = (request.nodeid & MAX_NUMBER, body.name, mode, 0, b"", who, exclusive)
        self.agents.call(request, "make", given, self._replies.created, (request.nodeid, body.flags))

    def _tmpfile(self, request: Request, body: Any) -> None:
        mode = stat.S_IFREG | body.mode & 0o7777
        given = (request.nodeid & MAX_NUMBER, b"", mode, 0, b"", self._who(request, body.umask), True)
        self.agents.call(request, "make", given, self._replies.created, (request.nodeid, body.flags))

    def _unlink(self, request: Request, body: Any) -> None:
        self.agents.call(request, "unlink", (request.nodeid & MAX_NUMBER, body.name), as_done)

    def _rmdir(self, request: Request, body: Any) -> None:
        self.agents.call(request, "rmdir", (request.nodeid & MAX_NUMBER, body.name), as_done)

    def _rename(self, request: Request, body: Any) -> None:
        if body.newdir >> SHIFT != request.nodeid >> SHIFT:
            raise Refused(errno.EXDEV)
        given = (request.nodeid & MAX_NUMBER, body.name, body.newdir & MAX_NUMBER, body.new_name, body.flags)
        self.agents.call(request, "rename", given, as_done)

    _rename2 = _rename

    def _link(self, request: Request, body: Any) -> None:
        if body.oldnodeid >> SHIFT != request.nodeid >> SHIFT:
            raise Refused(errno.EXDEV)
        given = (body.oldnodeid & MAX_NUMBER, request.nodeid & MAX_NUMBER, body.name)
        self.agents.call(request, "link", given, self._as_entry, request.nodeid)

    def _getattr(self, request: Request, _body: Any) -> None:
        nodeid = request.nodeid
        if nodeid >> SHIFT == 0 or nodeid in OWN_DIRECTORIES:
            self._outside.reply(fusereplies.attr(request.unique, HOUR, self._own.attr(nodeid)))
            return
        self.agents.call(request, "attr", (nodeid & MAX_NUMBER,), self._as_attr, nodeid)

    def _readlink(self, request: Request, _body: Any) -> None:
        nodeid = request.nodeid
        if nodeid >> SHIFT == 0:
            self._outside.reply(fusereplies.data(request.unique, self._own.target(nodeid)))
            return
        self.agents.call(request, "target", (nodeid & MAX_NUMBER,), as_target)

    # ── files ──

    def _open(self, request: Request, body: Any) -> None:
        if request.nodeid >> SHIFT == 0:
            raise Refused(errno.EACCES)
        given = (request.nodeid & MAX_NUMBER, bool(body.flags & os.O_TRUNC), bool(body.open_flags & _OPEN_KILL))
        self.agents.call(request, "open", given, self._replies.opened, (request.nodeid, body.flags))

    def _read(self, request: Request, body: Any) -> None:
        size = min(body.size, MAX_IO)
        self.agents.call(request, "read", (request.nodeid & MAX_NUMBER, body.offset, size), as_data, size)

    def _write(self, request: Request, body: Any) -> None:
        flags = body.write_flags
        given = (request.nodeid & MAX_NUMBER, body.offset, bool(flags & _WRITE_KILL), bool(flags & _WRITE_LATE))
        self.agents.call(request, "write", given, as_count, len(body.data), body.data)

    def _flush(self, request: Request, body: Any) -> None:
        """An owner closes a file. Its locks are free before anybody else can ask for them: calls keep their order."""
        if self._known.may_be_locked(request.nodeid):
            self.agents.tell(request.nodeid, "closed", (request.nodeid & MAX_NUMBER, body.lock_owner))
        self._outside.reply(fusereplies.done(request.unique))

    def _release(self, request: Request, body: Any) -> None:
        if body.flags & os.O_ACCMODE != os.O_RDONLY:
            self._known.closed(request.nodeid)
        if self._known.may_be_locked(request.nodeid):
            owner = body.lock_owner if body.release_flags & _FLOCK_UNLOCK else None
            self.agents.tell(request.nodeid, "released", (request.nodeid & MAX_NUMBER, body.fh, owner))
        self._outside.reply(fusereplies.done(request.unique))

    def _fallocate(self, request: Request, body: Any) -> None:
        given = (request.nodeid & MAX_NUMBER, body.offset, body.length, body.mode)
        self.agents.call(request, "allocate", given, as_done)

    def _lseek(self, request: Request, body: Any) -> None:
        """Where data and holes are, unless what was written may be in the kernel only: a hole there would be taken for
        a hole, and whoever copies the file would lose it. EINVAL makes them read all of it."""
        if self._known.may_be_written(request.nodeid):
            raise Refused(errno.EINVAL)
        self.agents.call(request, "seek", (request.nodeid & MAX_NUMBER, body.offset, body.whence), as_position)

    def _copy_file_range(self, request: Request, body: Any) -> None:
        self._copy(request, body, as_count)

    def _copy_file_range_64(self, request: Request, body: Any) -> None:
        self._copy(request, body, as_copied)

    def _copy(self, request: Request, body: Any, finish: Finish) -> None:
        if body.nodeid_out >> SHIFT != request.nodeid >> SHIFT:
            raise Refused(errno.EXDEV)
        length = min(body.len, 1 << 30)
        given = (request.nodeid & MAX_NUMBER, body.off_in, body.nodeid_out & MAX_NUMBER, body.off_out, length)
        self.agents.call(request, "copy", given, finish, length)

    def _fsync(self, request: Request, _body: Any) -> None:
        if request.nodeid >> SHIFT == 0:
            self._outside.reply(fusereplies.done(request.unique))
            return
        self.agents.call(request, "sync", (request.nodeid & MAX_NUMBER,), as_done)

    _fsyncdir = _fsync

    # ── locks ──

    def _getlk(self, request: Request, body: Any) -> None:
        given = (request.nodeid & MAX_NUMBER, body.owner, body.start, body.end, body.type)
        self.agents.call(request, "test", given, as_held)

    def _setlk(self, request: Request, body: Any) -> None:
        self._set_lock(request, body, as_done)

    def _setlkw(self, request: Request, body: Any) -> None:
        self._set_lock(request, body, as_locked)

    def _set_lock(self, request: Request, body: Any, finish: Finish) -> None:
        whole, wait = bool(body.lk_flags & _FLOCK), finish is as_locked
        given = (body.owner, body.fh, body.start, body.end, body.type, whole, wait, body.pid)
        if not self._known.lock(request.nodeid):
            raise Refused(errno.ENOLCK)
        self.agents.call(request, "lock", (request.nodeid & MAX_NUMBER, *given), finish, request.nodeid >> SHIFT)

    # ── directories ──

    def _opendir(self, request: Request, _body: Any) -> None:
        slot = request.nodeid >> SHIFT
        self._outside.reply(fusereplies.opened(request.unique, _FRESH if slot == 0 else _KEEP_DIRECTORY))

    def _readdir(self, request: Request, body: Any) -> None:
        self._list(request, body, False)

    def _readdirplus(self, request: Request, body: Any) -> None:
        self._list(request, body, True)

    def _list(self, request: Request, body: Any, plus: bool) -> None:
        nodeid = request.nodeid
        if nodeid >> SHIFT == 0:
            listing = self._own.listing(nodeid, body.offset, body.size, plus)
            self._outside.reply(fusereplies.data(request.unique, listing))
            return
        most = min(body.size // (_NAME_BYTES if plus else _NAME_BYTES // 4) + 1, _MAX_ITEMS)
        given = (nodeid & MAX_NUMBER, max(0, body.offset - 2), most, plus)
        self.agents.call(request, "listing", given, self._replies.listing, (nodeid, body.offset, body.size, plus))

    def _releasedir(self, request: Request, _body: Any) -> None:
        self._outside.reply(fusereplies.done(request.unique))
