"""Requests that are about attributes: a change of those that stat(2) shows, extended ones, and ACLs.

Where the kernel has ids, trees have principals: whom nobody knows, nothing is given to.
"""

import errno
from collections.abc import Callable
from typing import Any

from commonhold.formats import acl
from commonhold.formats.fuse import Request
from commonhold.formats.fuseflags import SetattrFlag, SetxattrFlag
from commonhold.formats.malformed import Malformed
from commonhold.mount.agents import Agents, Outside, Refused
from commonhold.mount.replies import NOBODY, SECOND, Ids, Replies, as_done, as_xattr, as_xattrs, sized
from commonhold.mount.slots import SHIFT
from commonhold.trees import MAX_NUMBER, NOW, XATTR_KILL, Change

NOBODYS = "nobody"  # as a group: what nobody has is everybody's
_FIRST_TIME, _LAST_TIME = NOW + 1, (1 << 63) - 1
_S = SetattrFlag
_MODE, _UID, _GID, _SIZE = int(_S.MODE), int(_S.UID), int(_S.GID), int(_S.SIZE)
_ATIME, _MTIME, _CTIME = int(_S.ATIME), int(_S.MTIME), int(_S.CTIME)
_ATIME_NOW, _MTIME_NOW, _KILL = int(_S.ATIME_NOW), int(_S.MTIME_NOW), int(_S.KILL_SUIDGID)
_ACL_KILL = int(SetxattrFlag.ACL_KILL_SGID)


class Attributes:
    """See the module. Each method takes a request and its body. Refused."""

    def __init__(self, ids: Ids, agents: Agents, replies: Replies, outside: Outside) -> None:
        self._ids = ids
        self._agents = agents
        self._as_attr = replies.attr
        self._as_acl = replies.access_list
        self._outside = outside

    def change(self, request: Request, body: Any) -> None:
        valid = body.valid
        accessed = _time(body.atime, body.atimensec) if valid & _ATIME else None
        modified = _time(body.mtime, body.mtimensec) if valid & _MTIME else None
        change = Change(
            body.mode & 0o7777 if valid & _MODE else None,
            _principal(body.uid, self._ids.user) if valid & _UID else None,
            _principal(body.gid, self._group) if valid & _GID else None,
            body.size if valid & _SIZE else None,
            NOW if valid & _ATIME_NOW else accessed,
            NOW if valid & _MTIME_NOW else modified,
            _time(body.ctime, body.ctimensec) if valid & _CTIME else None,
            bool(valid & _KILL),
        )
        self._agents.call(request, "change", (request.nodeid & MAX_NUMBER, change), self._as_attr, request.nodeid)

    def _group(self, gid: int) -> str | None:
        return NOBODYS if gid == NOBODY else self._ids.group(gid)

    def xattr(self, request: Request, body: Any) -> None:
        if request.nodeid >> SHIFT == 0 or body.name.startswith(b"security."):  # asked for before every first write
            raise Refused(errno.ENODATA)
        _check_attribute(body.name)
        finish = self._as_acl if body.name in acl.NAMES else as_xattr
        self._agents.call(request, "xattr", (request.nodeid & MAX_NUMBER, body.name), finish, body.size)

    def xattrs(self, request: Request, body: Any) -> None:
        if request.nodeid >> SHIFT == 0:
            self._outside.reply(sized(request.unique, b"", body.size))
            return
        given = (request.nodeid & MAX_NUMBER,)
        self._agents.call(request, "xattrs", given, as_xattrs, (body.size, request.uid == 0))

    def set_xattr(self, request: Request, body: Any) -> None:
        _check_attribute(body.name)
        value, flags = body.value, body.flags
        if body.name in acl.NAMES:
            value = self._acl(value)
            flags |= XATTR_KILL if body.setxattr_flags & _ACL_KILL else 0
        self._agents.call(request, "set_xattr", (request.nodeid & MAX_NUMBER, body.name, value, flags), as_done)

    def remove_xattr(self, request: Request, body: Any) -> None:
        _check_attribute(body.name)
        self._agents.call(request, "remove_xattr", (request.nodeid & MAX_NUMBER, body.name), as_done)

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


def _principal(number: int, find: Callable[[int], str | None]) -> str:
    found = find(number)
    if found is None:
        raise Refused(errno.EINVAL)
    return found


def _time(seconds: int, nanos: int) -> int:
    """A time as trees have it: the first or the last of these where it is before or after all of them."""
    return min(max(seconds * SECOND + nanos, _FIRST_TIME), _LAST_TIME)


def _check_attribute(name: bytes) -> None:
    """Refuse attributes that are not kept: all but the user's own, root's, and ACLs."""
    if not name.startswith((b"user.", b"trusted.")) and name not in acl.NAMES:
        raise Refused(errno.EOPNOTSUPP)
    if name in (b"user.", b"trusted."):
        raise Refused(errno.EINVAL)
