"""The users of this host, as its user database has them, and their principals."""

import grp
import pwd
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Generic, TypeVar

from commonhold.formats.malformed import Malformed
from commonhold.identity.idmap import IdMap, Row
from commonhold.identity.principal import parse
from commonhold.ipc.peer import overflow_uid

K = TypeVar("K")
V = TypeVar("V")

_SECONDS = 60.0
_MOST = 4096


class _Known(Generic[K, V]):
    """Answers that take long to find, for a while."""

    def __init__(self, find: Callable[[K], V]) -> None:
        self._find = find
        self._found: dict[K, V] = {}
        self._until = 0.0

    def __call__(self, key: K) -> V:
        if time.monotonic() >= self._until or len(self._found) >= _MOST:
            self._found.clear()
            self._until = time.monotonic() + _SECONDS
        try:
            return self._found[key]
        except KeyError:
            found = self._found[key] = self._find(key)
            return found


def _uid(name: bytes) -> int | None:
    try:
        return pwd.getpwnam(name.decode()).pw_uid
    except (KeyError, ValueError):
        return None


def _name(uid: int) -> bytes | None:
    try:
        return pwd.getpwuid(uid).pw_name.encode()
    except (KeyError, ValueError, OverflowError):
        return None


def _gid(name: bytes) -> int | None:
    try:
        return grp.getgrnam(name.decode()).gr_gid
    except (KeyError, ValueError):
        return None


def _group(gid: int) -> bytes | None:
    try:
        return grp.getgrgid(gid).gr_name.encode()
    except (KeyError, ValueError, OverflowError):
        return None


class HostUsers:
    """See `ownnodes.Users`."""

    def __init__(self) -> None:
        self.named: Callable[[bytes], int | None] = _Known(_uid)
        self.name: Callable[[int], bytes | None] = _Known(_name)


class HostIds:
    """See `replies.Ids`: a realm of principals, by rows of the configuration and by the user database."""

    def __init__(self, realm: str, users: Iterable[Row] = (), groups: Iterable[Row] = ()) -> None:
        overflow = overflow_uid()
        people = IdMap(realm, users, _name, _uid, overflow)
        teams = IdMap(realm, groups, _group, _gid, overflow)
        self.user: Callable[[int], str | None] = _Known(partial(_principal, people))
        self.group: Callable[[int], str | None] = _Known(partial(_principal, teams))
        self.uid: Callable[[str], int | None] = _Known(partial(_id, people))
        self.gid: Callable[[str], int | None] = _Known(partial(_id, teams))


def _principal(ids: IdMap, number: int) -> str | None:
    """Whose an id is, by the database as it is now."""
    ids.forget()
    return ids.principal(number)


def _id(ids: IdMap, principal: str) -> int | None:
    """Which id a principal has by the database as it is now; what is none has none."""
    ids.forget()
    try:
        return ids.id(parse(principal))
    except Malformed:
        return None
