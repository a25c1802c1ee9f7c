"""The mount's decisions: what the kernel asks goes to the right agent, what an agent answers goes back. No I/O.

Node numbers of the kernel's are a slot, which says whose tree it is (`slots`), and the agent's number in that tree.
Slot 0 is the mount's own: its root, and the directory of users. docs/spec/mount.md.
"""

import errno
import os
import stat
import struct
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import msgspec

from commonhold.formats import acl, fuse, fusenotices, fusereplies
from commonhold.formats.fuse import NO_REPLY, BadRequest, Request
from commonhold.formats.fusebodies import Init
from commonhold.formats.fuseflags import (
    MAJOR,
    MIN_MINOR,
    MINOR,
    UNIQUE_RESEND,
    InitFlag,
    LockFlag,
    Opcode,
    OpenFlag,
    OpenInFlag,
    ReleaseFlag,
    SetattrFlag,
    SetxattrFlag,
    WriteFlag,
)
from commonhold.formats.fuselisting import Listing, ListingPlus
from commonhold.formats.fusereplies import Attr, Entry, InitReply, Lock, Opened, Payload, Reply, Statfs
from commonhold.formats.malformed import Malformed
from commonhold.identity.principal import MAX_PRINCIPAL
from commonhold.ipc.treeframes import Frame, head
from commonhold.ipc.treewords import BY_NAME, PROTOCOL, RESENT, Call, Notice, Welcome, Which, encode
from commonhold.mount.slots import IPFS_SLOT, IPNS_SLOT, Full, Slots
from commonhold.trees import (
    MAX_IO,
    MAX_NAME,
    MAX_NUMBER,
    MAX_SIZE,
    MAX_TARGET,
    MAX_XATTR,
    NOW,
    ROOT,
    XATTR_KILL,
    Change,
    Who,
)
from commonhold.trees import Attr as TreeAttr

SECOND = 1_000_000_000
HOUR = 3600 * SECOND
NOBODY = 65534
NOBODYS = "nobody"  # as a group: what nobody has is everybody's
HOLD = 2  # of the mount's own nodes
_ME = 1 << 40  # and from here on, each caller's link to their own tree
_SHIFT = 48
_OWN_DIRECTORIES = {ROOT, HOLD, IPFS_SLOT << _SHIFT | ROOT, IPNS_SLOT << _SHIFT | ROOT}
_IPNS_VALID = 5 * SECOND
_NAME_BYTES = 160  # of an entry in a listing with attributes, about
_MAX_ITEMS = 1024
_BACKGROUND = 512  # reads ahead and writes behind at once, of all users together
_MAX_WAITING = 4096  # calls for an agent that is not there yet
_MAX_KEPT = _BACKGROUND * MAX_IO  # bytes of these: all that the kernel writes behind
_MAX_ERRNO = 511  # that the kernel takes
_FIRST_TIME, _LAST_TIME = NOW + 1, (1 << 63) - 1
_TYPES = frozenset({1, 2, 4, 6, 8, 10, 12})  # S_IFIFO and the like, shifted
_BLOCK = 4096
_NOTHING = b""

WANTED = int(
    InitFlag.MAX_PAGES | InitFlag.BIG_WRITES | InitFlag.ASYNC_READ | InitFlag.ASYNC_DIO | InitFlag.ATOMIC_O_TRUNC
    | InitFlag.DO_READDIRPLUS | InitFlag.READDIRPLUS_AUTO | InitFlag.PARALLEL_DIROPS | InitFlag.HANDLE_KILLPRIV_V2
    | InitFlag.SETXATTR_EXT | InitFlag.EXPLICIT_INVAL_DATA | InitFlag.CACHE_SYMLINKS | InitFlag.HAS_EXPIRE_ONLY
    | InitFlag.HAS_RESEND | InitFlag.ABORT_ERROR | InitFlag.INIT_EXT | InitFlag.NO_EXPORT_SUPPORT
    | InitFlag.WRITEBACK_CACHE | InitFlag.POSIX_LOCKS | InitFlag.FLOCK_LOCKS | InitFlag.POSIX_ACL | InitFlag.DONT_MASK
)  # fmt: skip

_KEEP_CACHE = int(OpenFlag.KEEP_CACHE)
_KEEP_DIRECTORY = Opened(0, int(OpenFlag.KEEP_CACHE | OpenFlag.CACHE_DIR))
_FRESH = Opened(0, 0)
_S = SetattrFlag
_MODE, _UID, _GID, _SIZE = int(_S.MODE), int(_S.UID), int(_S.GID), int(_S.SIZE)
_ATIME, _MTIME, _CTIME = int(_S.ATIME), int(_S.MTIME), int(_S.CTIME)
_ATIME_NOW, _MTIME_NOW, _KILL = int(_S.ATIME_NOW), int(_S.MTIME_NOW), int(_S.KILL_SUIDGID)
_WRITE_KILL, _OPEN_KILL = int(WriteFlag.KILL_SUIDGID), int(OpenInFlag.KILL_SUIDGID)
_FLOCK, _UNLOCKED = int(LockFlag.FLOCK), 2
_MOST_LOCKED = 1 << 20  # nodes on which there may be locks
_FLOCK_UNLOCK = int(ReleaseFlag.FLOCK_UNLOCK)
_ACL_KILL = int(SetxattrFlag.ACL_KILL_SGID)

_COUNT = msgspec.msgpack.Decoder(int)
_OBJECT = msgspec.msgpack.Decoder(tuple[int])
_NAME = msgspec.msgpack.Decoder(tuple[int, bytes])

Finish = Callable[[int, Frame, Any], Reply]


class Ids(Protocol):
    """Uids and gids of this host as principals, and back. None for nobody."""

    def user(self, uid: int) -> str | None: ...

    def group(self, gid: int) -> str | None: ...

    def uid(self, principal: str) -> int | None: ...

    def gid(self, principal: str) -> int | None: ...


class Users(Protocol):
    """The users of this host who may have a tree, by their names."""

    def named(self, name: bytes) -> int | None: ...

    def name(self, uid: int) -> bytes | None: ...


class Outside(Protocol):
    """Whoever does what was decided."""

    def reply(self, reply: Reply) -> None:
        """Answer the kernel."""
        ...

    def call(self, uid: int, first: bytes, payload: Payload) -> None:
        """Send a frame to a user's agent, which is there. The payload is good until this returns."""
        ...

    def start(self, uid: int) -> None:
        """Have a user's agent come."""
        ...

    def tell(self, notice: Reply) -> None:
        """Tell the kernel what it did not ask for."""
        ...


class Refused(Exception):
    """What the kernel asks is refused, with an errno."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.errno = number


class Lied(Exception):
    """An agent has answered what cannot be."""


class _Asked:
    """A call under way."""

    __slots__ = ("call", "context", "finish", "first", "payload", "unique")

    def __init__(self, unique: int, call: Call, finish: Finish, context: Any, first: bytes, payload: Payload) -> None:
        self.unique = unique
        self.call = call
        self.finish = finish
        self.context = context
        self.first = first  # kept until it was sent
        self.payload = payload


class _Agent:
    """What is asked of one user's agent."""

    __slots__ = ("abandoned", "asked", "coming", "kept", "patient", "there", "waiting")

    def __init__(self) -> None:
        self.there = False
        self.coming = False
        self.asked: dict[int, _Asked] = {}
        self.waiting: dict[int, _Asked] = {}  # until it is there
        self.patient: dict[int, _Asked] = {}  # waits for locks, which take as long as they take
        self.kept = 0  # bytes of their payloads
        self.abandoned: set[int] = set()  # calls whose answers nobody waits for any more


class Desk:
    """See the module. Permissions are the kernel's business (`default_permissions`)."""

    def __init__(self, slots: Slots, ids: Ids, users: Users, outside: Outside) -> None:
        self._slots = slots
        self._ids = ids
        self._users = users
        self._outside = outside
        self._agents: dict[int, _Agent] = {}
        self._handles = slots.worker << 40
        self._written: dict[int, int] = {}  # how many have a node open for writing
        self._known: dict[int, int] = {}  # how often the kernel was given a node
        self._locked: set[int] = set()  # nodes on which there may be locks
        self._interrupted: list[tuple[_Agent, int]] = []  # since we looked
        self._late: list[tuple[_Agent, int]] = []  # before that
        self._answerers: dict[int, Callable[[Request, Any], None]] = {
            int(opcode): getattr(self, f"_{opcode.name.lower()}")
            for opcode in Opcode
            if hasattr(self, f"_{opcode.name.lower()}")
        }

    # ── from the kernel ──

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

    def _call(
        self, request: Request, name: str, given: Sequence[Any], finish: Finish, context: Any = None,
        payload: Payload = _NOTHING,
    ) -> None:  # fmt: skip
        """Ask the agent whose node a request is about."""
        tree = self._slots.tree(request.nodeid >> _SHIFT)
        if tree is None:
            raise Refused(errno.EPERM if request.nodeid >> _SHIFT == 0 else errno.ESTALE)
        uid, which = tree
        call = BY_NAME[name]
        unique = request.unique
        id_ = unique & ~UNIQUE_RESEND
        flags = RESENT if unique & UNIQUE_RESEND else 0
        first = head(id_, call.number, which, flags, encode(given), len(payload))
        agent = self._agents.get(uid)
        if agent is None:
            agent = self._agents[uid] = _Agent()
        asked = _Asked(unique, call, finish, context, first, payload)
        if agent.there:
            self._send(uid, agent, id_, asked)
            return
        if len(agent.waiting) >= _MAX_WAITING or agent.kept + len(payload) > _MAX_KEPT:
            raise Refused(errno.EBUSY)
        asked.payload = bytes(payload)
        agent.kept += len(payload)
        agent.waiting[id_] = asked
        if not agent.coming:
            agent.coming = True
            self._outside.start(uid)

    def _send(self, uid: int, agent: _Agent, id_: int, asked: _Asked) -> None:
        """Make a call of an agent that is there."""
        (agent.patient if asked.finish == self._as_locked else agent.asked)[id_] = asked
        self._outside.call(uid, asked.first, asked.payload)
        asked.payload = _NOTHING

    def _tell(self, nodeid: int, name: str, given: Sequence[Any]) -> None:
        """Tell an agent something that needs no answer, if it is there."""
        tree = self._slots.tree(nodeid >> _SHIFT)
        if tree is None:
            return
        uid, which = tree
        agent = self._agents.get(uid)
        if agent is not None and agent.there:
            self._outside.call(uid, head(0, BY_NAME[name].number, which, 0, encode(given), 0), _NOTHING)

    # ── from the agents ──

    def welcome(self, uid: int, epoch: bytes) -> Welcome:
        """What is wanted of a user's agent."""
        public = self._slots.tree(IPFS_SLOT) == (uid, Which.IPFS)
        trees = [Which.IPFS, Which.IPNS] if public else [Which.VOLUME]
        return Welcome(PROTOCOL, epoch, trees, self._ids.user(uid) or "")

    def asked(self, uid: int) -> bool:
        """Whether a user's agent owes an answer."""
        agent = self._agents.get(uid)
        return agent is not None and bool(agent.asked)

    @property
    def busy(self) -> bool:
        """Whether any agent does."""
        return any(agent.asked for agent in self._agents.values())

    def arrived(self, uid: int) -> None:
        """A user's agent is there: what waits for it is sent."""
        agent = self._agents.setdefault(uid, _Agent())
        agent.there, agent.coming = True, False
        waiting, agent.waiting, agent.kept = agent.waiting, {}, 0
        for id_, asked in waiting.items():
            self._send(uid, agent, id_, asked)

    def absent(self, uid: int) -> None:
        """A user's agent does not come: whoever waits for it is told."""
        agent = self._agents.get(uid)
        if agent is not None:
            agent.coming = False
            waiting, agent.waiting, agent.kept = agent.waiting, {}, 0
            self._fail(waiting)

    def left(self, uid: int) -> None:
        """A user's agent has hung up: nobody knows what became of what it was asked."""
        agent = self._agents.get(uid)
        if agent is not None:
            agent.there = False
            agent.abandoned.clear()
            asked, agent.asked = agent.asked, {}
            self._fail(asked)
            if agent.patient:  # whoever waits for a lock goes on waiting, with the agent that comes next
                agent.waiting |= agent.patient
                agent.patient = {}
                agent.coming = True
                self._outside.start(uid)

    def _fail(self, calls: dict[int, _Asked]) -> None:
        for asked in calls.values():
            self._outside.reply(fusereplies.error(asked.unique, errno.EIO))

    def answer(self, uid: int, frame: Frame) -> None:
        """Take a frame of a user's agent. Lied for what cannot be."""
        if frame.id == 0:
            self._notice(uid, frame)
            return
        agent = self._agents[uid]
        asked = agent.asked.pop(frame.id, None) or agent.patient.pop(frame.id, None)
        if asked is None:
            if frame.id in agent.abandoned:
                agent.abandoned.remove(frame.id)
                return
            raise Lied("an answer to what was not asked")
        try:
            if frame.code:
                reply = _failure(asked.unique, frame.code)
            else:
                reply = asked.finish(asked.unique, frame, asked.context)
        except (Lied, Malformed, msgspec.MsgspecError, struct.error) as error:
            self._outside.reply(fusereplies.error(asked.unique, errno.EIO))
            raise Lied(f"{asked.call.name}: {error}") from error
        self._outside.reply(reply)

    def _notice(self, uid: int, frame: Frame) -> None:
        """Pass on what an agent says of its user's own tree."""
        name = None
        try:
            if frame.code in (Notice.OBJECT, Notice.NAMELESS):
                (number,) = _OBJECT.decode(frame.body)
            elif frame.code == Notice.NAME:
                number, name = _NAME.decode(frame.body)
            else:
                raise Lied(f"notice {frame.code}")
        except msgspec.MsgspecError as error:
            raise Lied(str(error)) from error
        if not 0 < number <= MAX_NUMBER or (name is not None and not 0 < len(name) <= MAX_NAME):
            raise Lied(f"a notice of number {number}")
        slot = self._slots.of(uid, frame.tree)
        if slot is None:  # nor does the kernel know anything of it
            return
        nodeid = slot << _SHIFT | number
        if frame.code == Notice.NAMELESS:
            if nodeid not in self._known and self._slots.worker == 1:  # nobody knows what an earlier worker gave out
                self._forgotten([(nodeid, 0)])
            return
        notice = fusenotices.inval_inode(nodeid, 0, 0) if name is None else fusenotices.inval_entry(nodeid, name, 0)
        self._outside.tell(notice)

    # ── how answers become replies ──

    def _attr_of(self, base: int, found: TreeAttr) -> Attr:
        number, mode, links, owner, group, size, blocks, accessed, modified, changed, _, device = found
        if not 0 < number <= MAX_NUMBER:
            raise Lied(f"number {number}")
        if mode >> 12 not in _TYPES or not 0 <= size <= MAX_SIZE:
            raise Lied(f"mode {mode:o}, {size} bytes")
        if len(owner) > MAX_PRINCIPAL or len(group) > MAX_PRINCIPAL:
            raise Lied("an owner with a name that is too long")
        uid = self._ids.uid(owner)
        gid = self._ids.gid(group)
        return Attr(
            base | number, size, blocks,
            accessed // SECOND, modified // SECOND, changed // SECOND,
            accessed % SECOND, modified % SECOND, changed % SECOND,
            mode, links, NOBODY if uid is None else uid, NOBODY if gid is None else gid, device, _BLOCK,
        )  # fmt: skip

    def _entry_of(self, base: int, found: TreeAttr) -> Entry:
        """An entry as the kernel is given it, which counts as one reference more."""
        attr = self._attr_of(base, found)
        valid = _IPNS_VALID if base >> _SHIFT == IPNS_SLOT else HOUR
        self._known[attr.ino] = self._known.get(attr.ino, 0) + 1
        return Entry(attr.ino, 0, valid, valid, attr)

    def _as_entry(self, unique: int, frame: Frame, nodeid: int) -> Reply:
        base = nodeid >> _SHIFT << _SHIFT
        return fusereplies.entry(unique, self._entry_of(base, BY_NAME["lookup"].result.decode(frame.body)))  # type: ignore[union-attr]

    def _as_attr(self, unique: int, frame: Frame, nodeid: int) -> Reply:
        base = nodeid >> _SHIFT << _SHIFT
        found = BY_NAME["attr"].result.decode(frame.body)  # type: ignore[union-attr]
        shown = self._attr_of(base, found)
        if shown.ino != nodeid:
            raise Lied(f"number {found.number}, asked of another")
        return fusereplies.attr(unique, HOUR, shown)

    def _as_root(self, unique: int, frame: Frame, nodeid: int) -> Reply:
        """Where a user's name leads, which is for us to say."""
        found = self._entry_of(nodeid ^ ROOT, BY_NAME["attr"].result.decode(frame.body))  # type: ignore[union-attr]
        if found.nodeid != nodeid or not stat.S_ISDIR(found.attr.mode):
            raise Lied("no root")
        return fusereplies.entry(unique, found)

    @staticmethod
    def _as_done(unique: int, _frame: Frame, _context: object) -> Reply:
        return fusereplies.done(unique)

    @staticmethod
    def _as_data(unique: int, frame: Frame, most: int) -> Reply:
        if len(frame.payload) > most:
            raise Lied(f"{len(frame.payload)} bytes where {most} are the most")
        return fusereplies.data(unique, frame.payload)

    @staticmethod
    def _as_target(unique: int, frame: Frame, _context: object) -> Reply:
        target = bytes(frame.payload)
        if not 0 < len(target) <= MAX_TARGET or 0 in target:
            raise Lied(f"a target of {len(target)} bytes, or with a NUL")
        return fusereplies.data(unique, target)

    @staticmethod
    def _as_count(unique: int, frame: Frame, most: int) -> Reply:
        return fusereplies.written(unique, _count(frame, most))

    @staticmethod
    def _as_copied(unique: int, frame: Frame, most: int) -> Reply:
        return fusereplies.copied(unique, _count(frame, most))

    @staticmethod
    def _as_position(unique: int, frame: Frame, _context: object) -> Reply:
        position = BY_NAME["seek"].result.decode(frame.body)  # type: ignore[union-attr]
        if not 0 <= position <= MAX_SIZE:
            raise Lied(f"position {position}")
        return fusereplies.position(unique, position)

    @staticmethod
    def _as_locked(unique: int, _frame: Frame, _slot: object) -> Reply:
        """As `_as_done`, of what may be answered late."""
        return fusereplies.done(unique)

    @staticmethod
    def _as_held(unique: int, frame: Frame, _context: object) -> Reply:
        found = BY_NAME["test"].result.decode(frame.body)  # type: ignore[union-attr]
        if found is None:
            return fusereplies.lock(unique, Lock(0, 0, _UNLOCKED, 0))
        if not 0 <= found.start <= found.end <= MAX_SIZE or not 0 <= found.kind < _UNLOCKED:
            raise Lied("a lock that cannot be")
        return fusereplies.lock(unique, Lock(*found))

    def _as_opened(self, unique: int, _frame: Frame, context: tuple[int, int]) -> Reply:
        return fusereplies.opened(unique, self._handle(*context))

    def _as_created(self, unique: int, frame: Frame, context: tuple[int, int]) -> Reply:
        nodeid, flags = context
        base = nodeid >> _SHIFT << _SHIFT
        found = self._entry_of(base, BY_NAME["make"].result.decode(frame.body))  # type: ignore[union-attr]
        if not stat.S_ISREG(found.attr.mode):
            raise Lied("no file")
        return fusereplies.created(unique, found, self._handle(found.nodeid, flags))

    def _as_room(self, unique: int, frame: Frame, _context: object) -> Reply:
        size, free, objects, objects_free = BY_NAME["room"].result.decode(frame.body)  # type: ignore[union-attr]
        room = Statfs(size // _BLOCK, free // _BLOCK, free // _BLOCK, objects, objects_free, MAX_IO, 255, _BLOCK)
        return fusereplies.statfs(unique, room)

    @staticmethod
    def _as_xattr(unique: int, frame: Frame, size: int) -> Reply:
        return _sized(unique, bytes(frame.payload), size)

    def _as_list(self, unique: int, frame: Frame, size: int) -> Reply:
        """An ACL of a tree's, for the kernel. Whoever is nobody here is left out: it is of no use to them."""
        found = acl.parse(bytes(frame.payload))
        return _sized(unique, acl.to_kernel(acl.translated(found, self._ids.uid, self._ids.gid)), size)

    @staticmethod
    def _as_xattrs(unique: int, frame: Frame, context: tuple[int, bool]) -> Reply:
        size, root = context
        names = BY_NAME["xattrs"].result.decode(frame.body)  # type: ignore[union-attr]
        if any(not 0 < len(name) <= 255 or 0 in name for name in names):
            raise Lied("an attribute's name")
        if not root:  # the others are not to know of root's: xattr(7)
            names = [name for name in names if not name.startswith(b"trusted.")]
        return _sized(unique, b"".join(name + b"\0" for name in names), size)

    def _as_listing(self, unique: int, frame: Frame, context: tuple[int, int, int, bool]) -> Reply:
        nodeid, offset, size, plus = context
        base = nodeid >> _SHIFT << _SHIFT
        listing = (ListingPlus if plus else Listing)(size)
        if self._dots(listing, nodeid, offset):
            for name, position, number, mode, attr in BY_NAME["listing"].result.decode(frame.body):  # type: ignore[union-attr]
                if name in (b".", b".."):
                    raise Lied("a name that is every directory's")
                if not 0 < number <= MAX_NUMBER or position <= 0:
                    raise Lied(f"number {number} at {position}")
                if isinstance(listing, ListingPlus) and attr is not None:
                    fits = listing.add_entry(name, self._entry_of(base, attr), position + 2)
                else:
                    fits = listing.add(name, base | number, mode >> 12 & 15, position + 2)
                if not fits:
                    if attr is not None:
                        self._forgotten([(base | number, 1)])
                    break
        return fusereplies.data(unique, listing.payload())

    @staticmethod
    def _dots(listing: Listing, nodeid: int, offset: int) -> bool:
        """Add the two names that every directory has, as far as they are asked for; whether there is room for more."""
        directory = stat.S_IFDIR >> 12
        for cookie, name in ((1, b"."), (2, b"..")):
            if offset < cookie and not listing.add(name, nodeid, directory, cookie):
                return False
        return True

    # ── the mount's own nodes ──

    def _own_attr(self, number: int) -> Attr:
        if number in _OWN_DIRECTORIES:
            return Attr(number, 0, 0, 0, 0, 0, 0, 0, 0, stat.S_IFDIR | 0o755, 2, 0, 0, 0, _BLOCK)
        name = self._users.name(number & 0xFFFFFFFF)
        if number & ~0xFFFFFFFF != _ME or name is None:
            raise Refused(errno.ESTALE)
        uid = number & 0xFFFFFFFF
        return Attr(number, len(name), 0, 0, 0, 0, 0, 0, 0, stat.S_IFLNK | 0o777, 1, uid, NOBODY, 0, _BLOCK)

    def _own_lookup(self, request: Request, name: bytes) -> None:
        if request.nodeid == ROOT:
            if name == b"hold":
                self._outside.reply(fusereplies.entry(request.unique, Entry(HOLD, 0, HOUR, HOUR, self._own_attr(HOLD))))
                return
            slot = {b"ipfs": IPFS_SLOT, b"ipns": IPNS_SLOT}.get(name)
            if slot is None:
                raise Refused(errno.ENOENT)
            nodeid = slot << _SHIFT | ROOT
            self._outside.reply(fusereplies.entry(request.unique, Entry(nodeid, 0, HOUR, HOUR, self._own_attr(nodeid))))
            return
        if request.nodeid != HOLD:
            raise Refused(errno.ENOTDIR)
        if name == b"me":
            if self._users.name(request.uid) is None:
                raise Refused(errno.ENOENT)
            number = _ME | request.uid
            # To be asked for by everybody, each time: to another caller it is another link.
            self._outside.reply(fusereplies.entry(request.unique, Entry(number, 0, 0, HOUR, self._own_attr(number))))
            return
        uid = self._users.named(name)
        if uid is None:
            raise Refused(errno.ENOENT)
        try:
            nodeid = self._slots.slot(uid) << _SHIFT | ROOT
        except Full as error:
            raise Refused(errno.ENFILE) from error
        self._call(_about(request, nodeid), "attr", (ROOT,), self._as_root, nodeid)

    def _own_listing(self, request: Request, body: Any, plus: bool) -> None:
        listing = (ListingPlus if plus else Listing)(body.size)
        if request.nodeid == ROOT:
            names = [(b"hold", HOLD), (b"ipfs", IPFS_SLOT << _SHIFT | ROOT), (b"ipns", IPNS_SLOT << _SHIFT | ROOT)]
        elif request.nodeid == HOLD:
            known = [(self._users.name(uid), self._slots.slot(uid) << _SHIFT | ROOT) for uid in self._slots.users]
            names = [(b"me", _ME), *[(name, nodeid) for name, nodeid in known if name is not None]]
        else:
            raise Refused(errno.ENOTDIR)
        if self._dots(listing, request.nodeid, body.offset):
            for cookie, (name, nodeid) in enumerate(names, 3):
                kind = (stat.S_IFLNK if nodeid == _ME else stat.S_IFDIR) >> 12
                if body.offset < cookie and not listing.add(name, nodeid, kind, cookie):
                    break
        self._outside.reply(fusereplies.data(request.unique, listing.payload()))

    # ── requests, by their opcodes ──

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
            body.max_readahead,
            _BACKGROUND,
            _BACKGROUND,
            MAX_IO,
            1,
            256,
        )
        self._outside.reply(fusereplies.init(request.unique, agreed))

    def _destroy(self, request: Request, _body: Any) -> None:
        self._outside.reply(fusereplies.done(request.unique))

    def _lookup(self, request: Request, body: Any) -> None:
        nodeid = request.nodeid
        if nodeid >> _SHIFT == 0:
            self._own_lookup(request, body.name)
            return
        self._call(request, "lookup", (nodeid & MAX_NUMBER, body.name), self._as_entry, nodeid)

    def _forget(self, _request: Request, body: Any) -> None:
        self._forgotten(body.items)

    def _forgotten(self, items: Sequence[tuple[int, int]]) -> None:
        """The kernel has so many references less. Agents hear of those to which it has none left.

        What a worker before this one gave out is not counted: to that the first that is forgotten is the last.
        """
        known = self._known
        slots: dict[int, list[int]] = {}
        for nodeid, count in items:
            left = known.get(nodeid, 0) - count
            if left > 0:
                known[nodeid] = left
                continue
            known.pop(nodeid, None)
            slots.setdefault(nodeid >> _SHIFT, []).append(nodeid & MAX_NUMBER)
        for slot, numbers in slots.items():
            for start in range(0, len(numbers), _MAX_ITEMS):
                self._locked.difference_update([slot << _SHIFT | number for number in numbers] if self._locked else ())
                self._tell(slot << _SHIFT, "forget", (numbers[start : start + _MAX_ITEMS],))

    _batch_forget = _forget

    def _getattr(self, request: Request, _body: Any) -> None:
        nodeid = request.nodeid
        if nodeid >> _SHIFT == 0 or nodeid in _OWN_DIRECTORIES:
            self._outside.reply(fusereplies.attr(request.unique, HOUR, self._own_attr(nodeid)))
            return
        self._call(request, "attr", (nodeid & MAX_NUMBER,), self._as_attr, nodeid)

    def _setattr(self, request: Request, body: Any) -> None:
        valid = body.valid
        accessed = _time(body.atime, body.atimensec) if valid & _ATIME else None
        modified = _time(body.mtime, body.mtimensec) if valid & _MTIME else None
        change = Change(
            body.mode & 0o7777 if valid & _MODE else None,
            self._principal(body.uid, self._ids.user) if valid & _UID else None,
            self._principal(body.gid, self._group) if valid & _GID else None,
            body.size if valid & _SIZE else None,
            NOW if valid & _ATIME_NOW else accessed,
            NOW if valid & _MTIME_NOW else modified,
            _time(body.ctime, body.ctimensec) if valid & _CTIME else None,
            bool(valid & _KILL),
        )
        self._call(request, "change", (request.nodeid & MAX_NUMBER, change), self._as_attr, request.nodeid)

    @staticmethod
    def _principal(number: int, find: Callable[[int], str | None]) -> str:
        found = find(number)
        if found is None:
            raise Refused(errno.EINVAL)
        return found

    def _group(self, gid: int) -> str | None:
        return NOBODYS if gid == NOBODY else self._ids.group(gid)

    def _who(self, request: Request, mask: int = 0) -> Who:
        """Whose something new is. Nobody may have nothing."""
        owner = self._ids.user(request.uid)
        if owner is None:
            raise Refused(errno.EOVERFLOW)
        return Who(owner, self._ids.group(request.gid) or NOBODYS, mask & 0o777)

    def _readlink(self, request: Request, _body: Any) -> None:
        nodeid = request.nodeid
        if nodeid >> _SHIFT == 0:
            name = self._users.name(nodeid & 0xFFFFFFFF) if nodeid & _ME else None
            if name is None:
                raise Refused(errno.EINVAL)
            self._outside.reply(fusereplies.data(request.unique, name))
            return
        self._call(request, "target", (nodeid & MAX_NUMBER,), self._as_target)

    def _make(
        self, request: Request, body: Any, mode: int, device: int = 0, mask: int = 0, target: bytes = b""
    ) -> None:
        given = (request.nodeid & MAX_NUMBER, body.name, mode, device, target, self._who(request, mask), True)
        self._call(request, "make", given, self._as_entry, request.nodeid)

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
        self._call(request, "make", given, self._as_created, (request.nodeid, body.flags))

    def _tmpfile(self, request: Request, body: Any) -> None:
        mode = stat.S_IFREG | body.mode & 0o7777
        given = (request.nodeid & MAX_NUMBER, b"", mode, 0, b"", self._who(request, body.umask), True)
        self._call(request, "make", given, self._as_created, (request.nodeid, body.flags))

    def _unlink(self, request: Request, body: Any) -> None:
        self._call(request, "unlink", (request.nodeid & MAX_NUMBER, body.name), self._as_done)

    def _rmdir(self, request: Request, body: Any) -> None:
        self._call(request, "rmdir", (request.nodeid & MAX_NUMBER, body.name), self._as_done)

    def _rename(self, request: Request, body: Any) -> None:
        if body.newdir >> _SHIFT != request.nodeid >> _SHIFT:
            raise Refused(errno.EXDEV)
        given = (request.nodeid & MAX_NUMBER, body.name, body.newdir & MAX_NUMBER, body.new_name, body.flags)
        self._call(request, "rename", given, self._as_done)

    _rename2 = _rename

    def _link(self, request: Request, body: Any) -> None:
        if body.oldnodeid >> _SHIFT != request.nodeid >> _SHIFT:
            raise Refused(errno.EXDEV)
        given = (body.oldnodeid & MAX_NUMBER, request.nodeid & MAX_NUMBER, body.name)
        self._call(request, "link", given, self._as_entry, request.nodeid)

    def _handle(self, nodeid: int, flags: int) -> Opened:
        if flags & os.O_ACCMODE != os.O_RDONLY:
            self._written[nodeid] = self._written.get(nodeid, 0) + 1
        self._handles += 1
        return Opened(self._handles, _KEEP_CACHE)

    def _open(self, request: Request, body: Any) -> None:
        if request.nodeid >> _SHIFT == 0:
            raise Refused(errno.EACCES)
        given = (request.nodeid & MAX_NUMBER, bool(body.flags & os.O_TRUNC), bool(body.open_flags & _OPEN_KILL))
        self._call(request, "open", given, self._as_opened, (request.nodeid, body.flags))

    def _opendir(self, request: Request, _body: Any) -> None:
        slot = request.nodeid >> _SHIFT
        self._outside.reply(fusereplies.opened(request.unique, _FRESH if slot == 0 else _KEEP_DIRECTORY))

    def _read(self, request: Request, body: Any) -> None:
        size = min(body.size, MAX_IO)
        self._call(request, "read", (request.nodeid & MAX_NUMBER, body.offset, size), self._as_data, size)

    def _write(self, request: Request, body: Any) -> None:
        given = (request.nodeid & MAX_NUMBER, body.offset, bool(body.write_flags & _WRITE_KILL))
        self._call(request, "write", given, self._as_count, len(body.data), body.data)

    def _flush(self, request: Request, body: Any) -> None:
        """An owner closes a file. Its locks are free before anybody else can ask for them: calls keep their order."""
        if self._may_be_locked(request.nodeid):
            self._tell(request.nodeid, "closed", (request.nodeid & MAX_NUMBER, body.lock_owner))
        self._outside.reply(fusereplies.done(request.unique))

    def _release(self, request: Request, body: Any) -> None:
        if body.flags & os.O_ACCMODE != os.O_RDONLY:
            left = self._written.pop(request.nodeid, 0) - 1
            if left > 0:  # less: it was opened before this worker was
                self._written[request.nodeid] = left
        if self._may_be_locked(request.nodeid):
            owner = body.lock_owner if body.release_flags & _FLOCK_UNLOCK else None
            self._tell(request.nodeid, "released", (request.nodeid & MAX_NUMBER, body.fh, owner))
        self._outside.reply(fusereplies.done(request.unique))

    def _releasedir(self, request: Request, _body: Any) -> None:
        self._outside.reply(fusereplies.done(request.unique))

    # ── locks ──

    def _may_be_locked(self, nodeid: int) -> bool:
        return nodeid in self._locked or self._slots.worker > 1  # nobody knows what an earlier worker locked

    def _getlk(self, request: Request, body: Any) -> None:
        given = (request.nodeid & MAX_NUMBER, body.owner, body.start, body.end, body.type)
        self._call(request, "test", given, self._as_held)

    def _setlk(self, request: Request, body: Any) -> None:
        self._set_lock(request, body, self._as_done)

    def _setlkw(self, request: Request, body: Any) -> None:
        self._set_lock(request, body, self._as_locked)

    def _set_lock(self, request: Request, body: Any, finish: Finish) -> None:
        whole, wait = bool(body.lk_flags & _FLOCK), finish == self._as_locked
        given = (body.owner, body.fh, body.start, body.end, body.type, whole, wait, body.pid)
        if len(self._locked) >= _MOST_LOCKED:
            raise Refused(errno.ENOLCK)
        self._locked.add(request.nodeid)
        self._call(request, "lock", (request.nodeid & MAX_NUMBER, *given), finish, request.nodeid >> _SHIFT)

    def _fsync(self, request: Request, _body: Any) -> None:
        if request.nodeid >> _SHIFT == 0:
            self._outside.reply(fusereplies.done(request.unique))
            return
        self._call(request, "sync", (request.nodeid & MAX_NUMBER,), self._as_done)

    _fsyncdir = _fsync

    def _readdir(self, request: Request, body: Any) -> None:
        self._list(request, body, False)

    def _readdirplus(self, request: Request, body: Any) -> None:
        self._list(request, body, True)

    def _list(self, request: Request, body: Any, plus: bool) -> None:
        nodeid = request.nodeid
        if nodeid >> _SHIFT == 0:
            self._own_listing(request, body, plus)
            return
        most = min(body.size // (_NAME_BYTES if plus else _NAME_BYTES // 4) + 1, _MAX_ITEMS)
        given = (nodeid & MAX_NUMBER, max(0, body.offset - 2), most, plus)
        self._call(request, "listing", given, self._as_listing, (nodeid, body.offset, body.size, plus))

    def _statfs(self, request: Request, _body: Any) -> None:
        if request.nodeid >> _SHIFT == 0:
            self._outside.reply(fusereplies.statfs(request.unique, Statfs(0, 0, 0, 0, 0, MAX_IO, 255, _BLOCK)))
            return
        self._call(request, "room", (), self._as_room)

    def _getxattr(self, request: Request, body: Any) -> None:
        if request.nodeid >> _SHIFT == 0 or body.name.startswith(b"security."):  # asked for before every first write
            raise Refused(errno.ENODATA)
        _check_attribute(body.name)
        finish = self._as_list if body.name in acl.NAMES else self._as_xattr
        self._call(request, "xattr", (request.nodeid & MAX_NUMBER, body.name), finish, body.size)

    def _listxattr(self, request: Request, body: Any) -> None:
        if request.nodeid >> _SHIFT == 0:
            self._outside.reply(_sized(request.unique, b"", body.size))
            return
        given = (request.nodeid & MAX_NUMBER,)
        self._call(request, "xattrs", given, self._as_xattrs, (body.size, request.uid == 0))

    def _setxattr(self, request: Request, body: Any) -> None:
        _check_attribute(body.name)
        value, flags = body.value, body.flags
        if body.name in acl.NAMES:
            value = self._acl(value)
            flags |= XATTR_KILL if body.setxattr_flags & _ACL_KILL else 0
        self._call(request, "set_xattr", (request.nodeid & MAX_NUMBER, body.name, value, flags), self._as_done)

    def _acl(self, value: bytes) -> bytes:
        """An ACL of the kernel's, for a tree. Whom it names must be somebody."""
        try:
            found = acl.from_kernel(value)
        except Malformed as error:
            raise Refused(errno.EINVAL) from error
        told = acl.translated(found, self._ids.user, self._group)
        if (len(told.users), len(told.groups)) != (len(found.users), len(found.groups)):
            raise Refused(errno.EINVAL)
        return acl.text(told)

    def _removexattr(self, request: Request, body: Any) -> None:
        _check_attribute(body.name)
        self._call(request, "remove_xattr", (request.nodeid & MAX_NUMBER, body.name), self._as_done)

    def _fallocate(self, request: Request, body: Any) -> None:
        given = (request.nodeid & MAX_NUMBER, body.offset, body.length, body.mode)
        self._call(request, "allocate", given, self._as_done)

    def _lseek(self, request: Request, body: Any) -> None:
        """Where data and holes are, unless what was written may be in the kernel only: a hole there would be taken for
        a hole, and whoever copies the file would lose it. EINVAL makes them read all of it."""
        if self._slots.worker > 1 or request.nodeid in self._written:  # nobody knows what an earlier worker opened
            raise Refused(errno.EINVAL)
        self._call(request, "seek", (request.nodeid & MAX_NUMBER, body.offset, body.whence), self._as_position)

    def _copy_file_range(self, request: Request, body: Any) -> None:
        self._copy(request, body, self._as_count)

    def _copy_file_range_64(self, request: Request, body: Any) -> None:
        self._copy(request, body, self._as_copied)

    def _copy(self, request: Request, body: Any, finish: Finish) -> None:
        if body.nodeid_out >> _SHIFT != request.nodeid >> _SHIFT:
            raise Refused(errno.EXDEV)
        length = min(body.len, 1 << 30)
        given = (request.nodeid & MAX_NUMBER, body.off_in, body.nodeid_out & MAX_NUMBER, body.off_out, length)
        self._call(request, "copy", given, finish, length)

    def _interrupt(self, _request: Request, body: Any) -> None:
        """What waits for an agent that is not there yet ends now; what an agent does, unless it is done soon."""
        id_ = body.unique & ~UNIQUE_RESEND
        for agent in self._agents.values():
            asked = agent.waiting.pop(id_, None)
            if asked is not None:
                agent.kept -= len(asked.payload)
                self._outside.reply(fusereplies.error(asked.unique, errno.EINTR))
            elif id_ in agent.patient:
                self._interrupted.append((agent, id_))
                self._tell(agent.patient[id_].context << _SHIFT, "interrupt", (id_,))
            elif id_ in agent.asked:
                self._interrupted.append((agent, id_))

    def look(self) -> None:
        """End what was to be ended when we looked last, and is not done yet. Whoever was to be killed can die then."""
        late, self._late, self._interrupted = self._late, self._interrupted, []
        for agent, id_ in late:
            asked = agent.asked.pop(id_, None) or agent.patient.pop(id_, None)
            if asked is not None:
                agent.abandoned.add(id_)
                self._outside.reply(fusereplies.error(asked.unique, errno.EINTR))


def _count(frame: Frame, most: int) -> int:
    """How many bytes were written or copied."""
    count: int = _COUNT.decode(frame.body)
    if not 0 <= count <= most:
        raise Lied(f"{count} bytes of {most}")
    return count


def _about(request: Request, nodeid: int) -> Request:
    return request._replace(nodeid=nodeid)


def _time(seconds: int, nanos: int) -> int:
    """A time as trees have it: the first or the last of these where it is before or after all of them."""
    return min(max(seconds * SECOND + nanos, _FIRST_TIME), _LAST_TIME)


def _failure(unique: int, number: int) -> Reply:
    """An agent's errno. ENOSYS would end a call for everybody: the kernel takes it for the word of all."""
    if number > _MAX_ERRNO:
        raise Lied(f"errno {number}")
    return fusereplies.error(unique, errno.EOPNOTSUPP if number == errno.ENOSYS else number)


def _check_attribute(name: bytes) -> None:
    """Refuse attributes that are not kept: all but the user's own, root's, and ACLs."""
    if not name.startswith((b"user.", b"trusted.")) and name not in acl.NAMES:
        raise Refused(errno.EOPNOTSUPP)
    if name in (b"user.", b"trusted."):
        raise Refused(errno.EINVAL)


def _sized(unique: int, value: bytes, size: int) -> Reply:
    """A value for who has room for so many bytes, or 0 to ask how many there are."""
    if len(value) > MAX_XATTR:
        raise Lied(f"an attribute of {len(value)} bytes")
    if size == 0:
        return fusereplies.xattr_size(unique, len(value))
    return fusereplies.error(unique, errno.ERANGE) if len(value) > size else fusereplies.data(unique, value)
