"""The users of this host, as its user database has them, and their principals."""

import grp
import pwd
import time
from collections.abc import Callable
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")

_SECONDS = 60.0
_MOST = 4096


class _Known(Generic[K, V]):
    """Answers of a slow database, for a while."""

    def __init__(self, find: Callable[[K], V]) -> None:
        self._find = find
        self._found: dict[K, tuple[float, V]] = {}

    def __call__(self, key: K) -> V:
        now = time.monotonic()
        known = self._found.get(key)
        if known is None or known[0] <= now:
            if len(self._found) >= _MOST:
                self._found.clear()
            known = self._found[key] = (now + _SECONDS, self._find(key))
        return known[1]


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


class HostUsers:
    """See `desk.Users`."""

    def __init__(self) -> None:
        self.named: Callable[[bytes], int | None] = _Known(_uid)
        self.name: Callable[[int], bytes | None] = _Known(_name)


class HostIds:
    """See `desk.Ids`: everybody whom the user database has, as `name@realm`."""

    def __init__(self, realm: str) -> None:
        self._end = f"@{realm}"
        self._users = _Known(_name)
        self._groups = _Known(_group)
        self._uids = _Known(_uid)
        self._gids = _Known(_gid)

    def user(self, uid: int) -> str | None:
        """See `desk.Ids`."""
        name = self._users(uid)
        return None if name is None else name.decode() + self._end

    def group(self, gid: int) -> str | None:
        """See `desk.Ids`."""
        name = self._groups(gid)
        return None if name is None else name.decode() + self._end

    def uid(self, principal: str) -> int | None:
        """See `desk.Ids`."""
        return self._uids(principal.removesuffix(self._end).encode()) if principal.endswith(self._end) else None

    def gid(self, principal: str) -> int | None:
        """See `desk.Ids`."""
        return self._gids(principal.removesuffix(self._end).encode()) if principal.endswith(self._end) else None


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
